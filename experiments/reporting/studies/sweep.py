"""The report of a sweep: its jobs in the order of the objective, curves over each other."""

from dataclasses import replace
from pathlib import Path

from experiments.reporting.document import Block, Document, Heading, Picture, Text
from experiments.reporting.events import Run
from experiments.reporting.explore import constant_zero, explorer
from experiments.reporting.facts import objective_of, term_names, whole_metrics
from experiments.reporting.results import (
    common_overrides,
    headline,
    merged_targets,
    rank,
    result_table,
    result_tags,
    study,
)
from experiments.reporting.run import save
from experiments.reporting.studies.differences import differences
from experiments.reporting.studies.effects import importances
from experiments.reporting.studies.seeds import SEED, grouped, seed_table
from experiments.reporting.studies.sweep_plots import overlay_figure, setting_figure
from experiments.reporting.studies.varied import (
    configuration_difference,
    is_number,
    label_of,
    natural,
    unique,
    varying_settings,
)
from experiments.reporting.targets import Target

PANELS, MOST_PANELS, MOST_LINES = 12, 36, 24


def sweep_document(folder: Path, runs: list[Run], together: bool = False) -> Document:
    """Report on `runs`, experiment by experiment; writes its plots into `folder/figures/`.

    With `together`, runs of experiments that share their objective are compared all the same.
    """
    names = sorted({run.name for run in runs})
    document = Document(f"{', '.join(names)}: {len(runs)} runs in {folder.resolve().name}")
    if len(names) == 1 or (together and len({objective_of(run).get("name") for run in runs}) == 1):
        document.add(*(differences(runs) if together else []), *experiment(folder, runs))
        return document
    document.add(
        Text(f"{len(names)} experiments, each by its own objective: no figure compares them.")
    )
    for name in names:
        own = [run for run in runs if run.name == name]
        document.add(Heading(name))
        document.add(*map(lowered, experiment(folder, own, prefix=f"{name}_")))
    return document


def lowered(block: Block) -> Block:
    return replace(block, level=block.level + 1) if isinstance(block, Heading) else block


def experiment(folder: Path, runs: list[Run], prefix: str = "") -> list[Block]:
    """What there is to say of the runs of one experiment; `prefix`: of its pictures' names."""
    settings = varying_settings(runs)
    objective = next((objective_of(run) for run in runs if objective_of(run).get("name")), {})
    order = sorted(range(len(runs)), key=lambda i: rank(runs[i], objective.get("mode")))
    runs, settings = [runs[i] for i in order], [settings[i] for i in order]
    labels = unique([label_of(run, own) for run, own in zip(runs, settings, strict=True)])
    targets, groups = merged_targets(runs), grouped(runs, settings)

    blocks = headline(runs, labels, objective)
    if groups:
        blocks += seed_table(groups, objective, result_tags(runs, objective, targets))
    each = f"each of the {len(runs)} runs" if groups else ""
    blocks += result_table(folder, runs, settings, objective, targets, summary=each)
    blocks += [*common_overrides(runs), *study(runs, settings)]
    blocks += importances(runs, settings)
    blocks += configuration_difference(runs, labels)
    drawn = sorted(range(len(runs)), key=lambda i: natural(settings[i]))
    shown, names = [runs[i] for i in drawn], [labels[i] for i in drawn]
    blocks += curves(folder, shown, names, objective, prefix)
    blocks += explorer(shown, names, str(objective.get("name")))
    blocks += scatter(folder, runs, settings, objective, targets, prefix)
    return blocks


def curves(
    folder: Path, runs: list[Run], labels: list[str], objective: dict, prefix: str
) -> list[Block]:
    """Metrics, the objective first, then by name; then the raw terms."""
    blocks: list[Block] = [Heading("Metrics")]
    if len(runs) > MOST_LINES:
        best = sorted(range(len(runs)), key=lambda i: rank(runs[i], objective.get("mode")))
        kept = sorted(best[:MOST_LINES])
        cut = f"Drawn are the {MOST_LINES} best of {len(runs)} runs."
        blocks.append(Text(cut, "note"))
        runs, labels = [runs[i] for i in kept], [labels[i] for i in kept]
    names = sorted({f"val/{name}" for run in runs for name in whole_metrics(run)})
    first = str(objective.get("name"))
    logged = [first, *(tag for tag in names if tag != first)]
    known = [tag for tag in logged if any(tag in run.curves for run in runs)]
    if not known:
        return [*blocks, Text("No run has logged a metric yet.", "note")]
    tags = [t for t in known if not all(constant_zero(run.curves.get(t)) for run in runs)]
    if len(tags) < len(known):
        zero = ", ".join(tag for tag in known if tag not in tags)
        blocks.append(Text(f"Not drawn, 0 throughout: {zero}.", "quiet"))
    for begin in range(0, min(len(tags), MOST_PANELS), PANELS):
        some = tags[begin : begin + PANELS]
        if begin:
            blocks.append(Heading(f"More metrics: {some[0]} to {some[-1]}", 2, open=False))
        blocks += drawn(folder, f"{prefix}metrics", begin, overlay_figure(runs, labels, some))
    if len(tags) > MOST_PANELS:
        blocks.append(
            Text(f"Metrics that are not drawn, but below: {len(tags) - MOST_PANELS}.", "note")
        )
    terms = list(dict.fromkeys(name for run in runs for name in term_names(run)))
    figure = overlay_figure(runs, labels, [f"train/{name}" for name in terms])
    if figure is not None:
        blocks += [Heading("Raw loss terms"), *save(folder, f"{prefix}terms", [figure])]
    return blocks


def drawn(folder: Path, name: str, begin: int, figure) -> list[Picture]:
    suffix = f"_{begin // PANELS + 1}" if begin else ""
    return save(folder, f"{name}{suffix}", [figure] if figure is not None else [])


def scatter(
    folder: Path,
    runs: list[Run],
    settings: list[dict[str, str]],
    objective: dict,
    targets: dict[str, Target],
    prefix: str,
) -> list[Block]:
    """Results against every setting that is a number in at least two runs."""
    blocks: list[Block] = []
    for index, key in enumerate(settings[0] if settings else {}):
        numeric = [
            (run, float(own[key]))
            for run, own in zip(runs, settings, strict=True)
            if is_number(own[key])
        ]
        if len(numeric) < 2 or key == SEED:
            continue
        results = {
            f"{objective.get('name')}": [objective_of(run).get("best") for run, _ in numeric]
        }
        tags = [tag for tag in targets if tag not in results]
        results |= {tag: [run.value(tag) for run, _ in numeric] for tag in tags[:8]}
        cut = f"; of {len(tags)} metrics with a target the first 8" if len(tags) > 8 else ""
        figure = setting_figure(key, [setting for _, setting in numeric], results, targets)
        if figure is not None:
            blocks.append(Heading(f"Results against {key}{cut}"))
            blocks += save(folder, f"{prefix}against_{index + 1}", [figure])
    return blocks
