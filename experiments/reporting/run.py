"""The report of one run: its sections in a reader's order, and its plots as files."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from experiments.reporting.beside import published_table
from experiments.reporting.curves import Curve
from experiments.reporting.document import Block, Document, Heading, Picture, Sound, Text
from experiments.reporting.events import Run
from experiments.reporting.explore import constant_zero, explorer
from experiments.reporting.facts import (
    objective_of,
    other_names,
    targets_of,
    term_names,
    whole_metrics,
)
from experiments.reporting.forecast import forecasts
from experiments.reporting.headline import headline, target_table, warnings
from experiments.reporting.plots import (
    beside_figure,
    metric_figures,
    optimisation_figure,
    shares_figure,
    terms_figure,
)
from experiments.reporting.provenance import compact, efficiency, provenance
from experiments.reporting.published import Published, as_steps, published_for
from experiments.reporting.run_tables import metric_table, milestones, term_table
from experiments.shared.errors import InputError
from experiments.shared.folder import Folder
from experiments.shared.writing import replacing

DPI = 130


def run_document(run: Run) -> Document:
    """Everything there is to say about `run`; writes its plots into `figures/`."""
    published = published_for(run)
    document = Document(f"{run.name}: {run.folder.resolve().name}")
    document.add(*headline(run), *warnings(run))
    document.add(*target_table(run))
    document.add(*metric_table(run))
    document.add(*forecasts(run))
    document.add(*metric_pictures(run, published))
    document.add(*explorer([run], ["this run"], str(objective_of(run).get("name"))))
    document.add(*term_table(run))
    terms = term_names(run)
    logged = [*terms, *other_names(run)]
    shown = [name for name in logged if not constant_zero(run.curves.get(f"train/{name}"))]
    plots = [terms_figure(run, shown), shares_figure(run, shown)]
    document.add(*pictures(run, "terms", plots))
    zero = [name for name in logged if name not in shown and f"train/{name}" in run.curves]
    if zero:
        document.add(Text(f"Not drawn, 0 throughout: {', '.join(zero)}.", "quiet"))
    document.add(*milestones(run))
    document.add(*published_table(run, published))
    if published is not None:
        document.add(*pictures(run, "published", [beside_figure(run, published)]))
    document.add(*what_it_makes(run))
    optimisation = pictures(run, "optimisation", [optimisation_figure(run)])
    if optimisation:
        document.add(Heading("Learning rate, gradients, throughput", open=False), *optimisation)
    document.add(*efficiency(run))
    document.add(*provenance(run))
    return document


def metric_pictures(run: Run, published: Published | None) -> list[Block]:
    """The first panel sheet open, the others folded away."""
    shown = pictures(run, "metrics", metric_plots(run, published))
    more: list[Block] = [Heading("More metrics", open=False), *shown[1:]]
    return [*shown[:1], *(more if shown[1:] else [])]


def metric_plots(run: Run, published: Published | None) -> list[Figure]:
    names = whole_metrics(run)
    shown = [name for name in names if not constant_zero(run.curves.get(f"val/{name}"))]
    return metric_figures(run, shown, targets_of(run)[0], overlays(run, published))


def overlays(run: Run, published: Published | None) -> dict[str, Curve]:
    """The published points by our tag, in our unit, over our steps."""
    if published is None:
        return {}
    found = {row.tag(run): as_steps(run, row, published.axis) for row in published.rows}
    return {tag: curve for tag, curve in found.items() if tag and curve is not None}


def pictures(run: Run, name: str, figures: Sequence[Figure | None]) -> list[Picture]:
    """Save what was drawn as figures/report_<name>.png (then _2, ...) and show it."""
    return save(run.folder, name, [figure for figure in figures if figure is not None])


def save(folder: Path, name: str, figures: list[Figure], **options) -> list[Picture]:
    """Each as a file `report_<name>.png`, with `options` of matplotlib's savefig."""
    blocks = []
    for count, figure in enumerate(figures, start=1):
        suffix = "" if count == 1 else f"_{count}"
        path = Folder(folder).figures / f"report_{name}{suffix}.png"
        path.parent.mkdir(exist_ok=True)
        if not path.parent.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{path.parent}: leads out of the folder; remove that link")
        with replacing(path) as scratch:
            figure.savefig(scratch, dpi=DPI, **options)
        blocks.append(Picture(path))
    return blocks


def what_it_makes(run: Run) -> list[Block]:
    """The run's own pictures and sounds."""
    if not run.figures and not run.audio:
        return []
    blocks: list[Block] = [Heading("What it makes")]
    for path in run.figures:
        blocks += [Heading(path.stem.replace("_", " "), 3), Picture(path, plot=False)]
    if run.audio:
        blocks += [Heading("Audio", 3), *[Sound(path) for path in run.audio]]
        codec = (run.summary.get("data") or {}).get("codec")
        if codec:
            blocks.append(Text(f"Decoded with the codec: {compact(codec)}.", "note"))
    return blocks
