"""The report of a sweep: its jobs in the order of the objective, curves over each other."""

import math
from pathlib import Path

from experiments.reporting.document import Block, Cell, Document, Facts, Heading, Table, Text
from experiments.reporting.events import Run
from experiments.reporting.facts import objective_of, targets_of, term_names, whole_metrics
from experiments.reporting.published import published_for
from experiments.reporting.run import save
from experiments.reporting.sweep_plots import overlay_figure, setting_figure
from experiments.reporting.targets import Target
from experiments.shared.numbers import count, duration, number

FINISHED = "completed"


def sweep_document(folder: Path, runs: list[Run]) -> Document:
    """Compare `runs`; writes its plots into `folder/figures/`."""
    settings = varying_settings(runs)
    objective = next((objective_of(run) for run in runs if objective_of(run).get("name")), {})
    order = sorted(range(len(runs)), key=lambda i: rank(runs[i], objective.get("mode")))
    runs, settings = [runs[i] for i in order], [settings[i] for i in order]
    labels = unique([label_of(run, own) for run, own in zip(runs, settings, strict=True)])
    targets = merged_targets(runs)

    names = sorted({run.name for run in runs})
    document = Document(f"{', '.join(names)}: {len(runs)} runs in {folder.resolve().name}")
    document.add(*headline(runs, labels, objective))
    document.add(*result_table(folder, runs, settings, objective, targets))
    document.add(*common_overrides(runs))
    document.add(*study(runs, settings))
    metrics = [name for run in runs for name in whole_metrics(run)]
    tags = dict.fromkeys([str(objective.get("name")), *(f"val/{name}" for name in metrics)])
    drawn = sorted(range(len(runs)), key=lambda i: natural(settings[i]))
    shown, names = [runs[i] for i in drawn], [labels[i] for i in drawn]
    document.add(Heading("Metrics"))
    document.add(*pictures(folder, "metrics", overlay_figure(shown, names, list(tags)[:12])))
    document.add(*scatter(folder, runs, settings, objective, targets))
    terms = list(dict.fromkeys(name for run in runs for name in term_names(run)))
    figure = overlay_figure(shown, names, [f"train/{name}" for name in terms])
    if figure is not None:
        document.add(Heading("Raw loss terms"))
        document.add(*save(folder, "terms", [figure]))
    return document


def pictures(folder: Path, name: str, figure) -> list[Block]:
    if figure is None:
        return [Text("No run has logged a metric yet.", "note")]
    return save(folder, name, [figure])


def rank(run: Run, mode: str | None) -> tuple[int, float]:
    """Finished runs first, better objective first; runs without one at the end."""
    best = objective_of(run).get("best")
    if best is None or not math.isfinite(best):
        return (2, 0.0)
    sound = run.status in (FINISHED, "interrupted", "unfinished")
    return (0 if sound else 1, -best if mode == "max" else best)


def overrides_of(run: Run) -> dict[str, str]:
    """`key=value` overrides as a dictionary, without the leading `+`."""
    pairs = (item.lstrip("+~").split("=", 1) for item in run.overrides if "=" in item)
    return {key: value for key, value in pairs if not key.startswith(("hydra.", "paths."))}


def varying_settings(runs: list[Run]) -> list[dict[str, str]]:
    """For each run the overrides that differ between the runs (and the name, if it does)."""
    every = [overrides_of(run) for run in runs]
    keys = dict.fromkeys(key for own in every for key in own)
    differ = [key for key in keys if len({own.get(key) for own in every}) > 1]
    found = [{key: own.get(key, "–") for key in differ} for own in every]
    if not differ and len({run.name for run in runs}) > 1:
        found = [{"name": run.name} for run in runs]
    return found


def natural(settings: dict[str, str]) -> list[tuple[float, str]]:
    """A sort key that takes numbers as numbers."""
    return [(float(v) if is_number(v) else math.inf, v) for v in settings.values()]


def label_of(run: Run, settings: dict[str, str]) -> str:
    text = ", ".join(f"{key.split('.')[-1]} {value}" for key, value in settings.items())
    return text or run.folder.name


def unique(labels: list[str]) -> list[str]:
    """Labels with a count behind repeated ones, so that no two runs share a line."""
    seen: dict[str, int] = {}
    result = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        result.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return result


def merged_targets(runs: list[Run]) -> dict[str, Target]:
    targets: dict[str, Target] = {}
    for run in runs:
        targets.update(targets_of(run)[0])
    return targets


def headline(runs: list[Run], labels: list[str], objective: dict) -> list[Block]:
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.status] = counts.get(run.status, 0) + 1
    best = objective_of(runs[0]).get("best")
    facts: list[tuple[str, Cell | str]] = [
        ("runs", str(len(runs))),
        ("by status", ", ".join(f"{n} {status}" for status, n in counts.items())),
    ]
    if best is not None:
        facts += [(f"best {objective['name']}", number(best)), ("reached with", labels[0])]
    blocks: list[Block] = [Facts(facts)]
    bad = [run for run in runs if run.status in ("failed", "diverged")]
    for run in bad:
        reason = run.summary.get("error") or run.status
        blocks.append(Text(f"{run.folder.name}: {reason}", "bad"))
    return blocks


def result_table(
    folder: Path,
    runs: list[Run],
    settings: list[dict[str, str]],
    objective: dict,
    targets: dict[str, Target],
) -> list[Block]:
    keys = list(settings[0]) if settings else []
    name = str(objective.get("name"))
    results = [tag for tag in targets if tag != name]
    test = f"test/{name.split('/', 1)[-1]}"
    if test not in results and any(run.value(test) is not None for run in runs):
        results.insert(0, test)
    rows: list[list[Cell | str]] = []
    for run, own in zip(runs, settings, strict=True):
        found, link = objective_of(run), f"{run.folder.name}/report.html"
        exists = run.folder.parent == folder and (run.folder / "report.html").is_file()
        rows.append(
            [
                Cell(str(len(rows) + 1) if keys else run.folder.name, link=link * exists),
                *own.values(),
                Cell(run.status, {FINISHED: "", "unfinished": "quiet"}.get(run.status, "bad")),
                number(found.get("best")),
                count(found.get("best_step")),
                number(found.get("last")),
                *[result_cell(run, tag, targets.get(tag)) for tag in results],
                duration(run.summary.get("duration_s")),
            ]
        )
    better = "highest" if objective.get("mode") == "max" else "lowest"
    heads = [Cell(tag, note=targets[tag].text if tag in targets else "") for tag in results]
    best = Cell(name, note=better)
    head: list[Cell | str] = ["run", *keys, "status", best, "at step", "last", *heads, "time"]
    note = (
        f"Sorted by {name}, the best first; diverged and failed runs behind. The weighted total is "
        "not compared: it changes its scale with the weights. Coloured: met or missed a target."
    )
    return [Heading("Results"), Table(head, rows, words=range(2 + len(keys)), caption=note)]


def result_cell(run: Run, tag: str, target: Target | None) -> Cell:
    value = run.value(tag)
    if value is None or target is None:
        return Cell(number(value))
    if target.met(value):
        return Cell(number(value), "good")
    return Cell(number(value), "bad", note="missed")


def common_overrides(runs: list[Run]) -> list[Block]:
    every = [overrides_of(run) for run in runs]
    same = [f"{k}={v}" for k, v in every[0].items() if all(own.get(k) == v for own in every)]
    return [Text(f"Common to all: {' '.join(same)}", "quiet")] if same else []


def study(runs: list[Run], settings: list[dict[str, str]]) -> list[Block]:
    """What the published report found for values of a setting that varies here."""
    published = published_for(runs[0])
    if published is None or not settings:
        return []
    blocks: list[Block] = []
    for key in (key for key in settings[0] if key in published.study):
        stated = "; ".join(f"{value:g}: {words}" for value, words in published.study[key].items())
        text = (
            f"The published report on {key}, without figures: {stated}. Source: {published.source}."
        )
        blocks.append(Text(text, "note"))
    return blocks


def scatter(
    folder: Path,
    runs: list[Run],
    settings: list[dict[str, str]],
    objective: dict,
    targets: dict[str, Target],
) -> list[Block]:
    """Results against every setting that is a number in at least two runs."""
    blocks: list[Block] = []
    for index, key in enumerate(settings[0] if settings else {}):
        numeric = [
            (run, float(own[key]))
            for run, own in zip(runs, settings, strict=True)
            if is_number(own[key])
        ]
        if len(numeric) < 2:
            continue
        results = {
            f"{objective.get('name')}": [objective_of(run).get("best") for run, _ in numeric]
        }
        tags = [tag for tag in targets if tag not in results]
        results |= {tag: [run.value(tag) for run, _ in numeric] for tag in tags[:8]}
        figure = setting_figure(key, [setting for _, setting in numeric], results, targets)
        if figure is not None:
            blocks.append(Heading(f"Results against {key}", 3))
            blocks += save(folder, f"against_{index + 1}", [figure])
    return blocks


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
