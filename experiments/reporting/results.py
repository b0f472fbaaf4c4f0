"""The results of a sweep's runs as a table, the best first, and what goes with it."""

import math
from pathlib import Path
from urllib.parse import quote

from experiments.reporting.document import Block, Cell, Facts, Heading, Table, Text
from experiments.reporting.events import Run
from experiments.reporting.facts import objective_of, targets_of
from experiments.reporting.published import published_for
from experiments.reporting.studies.varied import overrides_of
from experiments.reporting.targets import Target
from experiments.shared.numbers import count, duration, number

FINISHED = "completed"


def rank(run: Run, mode: str | None) -> tuple[int, float]:
    """Finished runs first, better objective first; runs without one at the end."""
    best = objective_of(run).get("best")
    if best is None or not math.isfinite(best):
        return (2, 0.0)
    sound = run.status in (FINISHED, "interrupted", "unfinished")
    return (0 if sound else 1, -best if mode == "max" else best)


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


def result_tags(runs: list[Run], objective: dict, targets: dict[str, Target]) -> list[str]:
    """The test's objective and what has a target."""
    name = str(objective.get("name"))
    results = [tag for tag in targets if tag != name]
    test = f"test/{name.split('/', 1)[-1]}"
    if test not in results and any(run.value(test) is not None for run in runs):
        results.insert(0, test)
    return results


def result_table(
    folder: Path,
    runs: list[Run],
    settings: list[dict[str, str]],
    objective: dict,
    targets: dict[str, Target],
    summary: str = "",
) -> list[Block]:
    """A row for each run; folded away under `summary`, if there is one."""
    keys = list(settings[0]) if settings else []
    name, results = str(objective.get("name")), result_tags(runs, objective, targets)
    rows: list[list[Cell | str]] = []
    for run, own in zip(runs, settings, strict=True):
        found, link = objective_of(run), f"./{quote(run.folder.name)}/report.html"
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
    table = Table(head, rows, words=range(2 + len(keys)), caption=note, summary=summary)
    return [table] if summary else [Heading("Results"), table]


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
