"""Runs beside the first of them: each metric's difference, with an interval where one is known."""

import math
from dataclasses import dataclass

from experiments.reporting.document import Block, Cell, Heading, Table, Text
from experiments.reporting.events import Run
from experiments.reporting.facts import whole_metrics
from experiments.reporting.studies.varied import label_of, unique, varying_settings
from experiments.shared.numbers import number

MOST_RUNS, MOST_METRICS = 6, 60
WIDE = 1.96  # standard errors on each side of a 95 % interval


@dataclass(frozen=True)
class Measured:
    value: float
    error: float | None  # one standard error


def measured(run: Run, tag: str) -> Measured | None:
    """A metric and its standard error: logged as `TAG_se`, or worked out of `TAG_low`, `_high`."""
    value, error = run.value(tag), run.value(f"{tag}_se")
    if value is None or not math.isfinite(value):
        return None
    low, high = run.value(f"{tag}_low"), run.value(f"{tag}_high")
    if error is None and low is not None and high is not None:
        error = (high - low) / (2 * WIDE)
    return Measured(value, error if error is None or math.isfinite(error) else None)


def differences(runs: list[Run]) -> list[Block]:
    """A row for each metric; the runs in the order in which they were named."""
    names = list(dict.fromkeys(name for run in runs for name in whole_metrics(run)))
    if len(runs) < 2 or not names:
        return []
    settings = varying_settings(runs)
    labels = unique([label_of(run, own) for run, own in zip(runs, settings, strict=True)])
    shown, rows, plain = runs[:MOST_RUNS], list[list[Cell | str]](), 0
    for name in names[:MOST_METRICS]:
        tag = f"test/{name}" if any(run.value(f"test/{name}") is not None for run in runs) else ""
        tag = tag or f"val/{name}"
        first, *others = [measured(run, tag) for run in shown]
        cells = [number(first.value) if first else "–"]
        plain += sum(1 for m in others if m and first and (m.error is None or first.error is None))
        rows.append([tag, *cells, *[difference(first, other) for other in others]])
    head: list[Cell | str] = ["metric", labels[0]]
    head += [Cell(label, note="less the first") for label in labels[1:MOST_RUNS]]
    caption = (
        "Bold where the 95 % interval leaves out 0: of the runs as independent of each other, "
        "which for runs tested on the same data is too wide rather than too narrow."
    )
    if plain:
        caption += " Without an interval: no error is logged with that metric."
    blocks: list[Block] = [Heading("Differences"), Table(head, rows, (0,), caption)]
    cut = [f"{len(runs) - MOST_RUNS} more runs are below alone"] * (len(runs) > MOST_RUNS)
    cut += [f"{len(names) - MOST_METRICS} more metrics are left out"] * (len(names) > MOST_METRICS)
    return [*blocks, Text("; ".join(cut).capitalize() + ".", "note")] if cut else blocks


def difference(first: Measured | None, other: Measured | None) -> Cell | str:
    if first is None or other is None:
        return "–" if other is None else Cell(number(other.value), note="the first has none")
    gap = other.value - first.value
    text = f"{'+' if gap > 0 else ''}{number(gap, 3)}"
    if first.error is None or other.error is None:
        return Cell(text)
    reach = WIDE * math.hypot(first.error, other.error)
    kind = "good" if abs(gap) > reach else ""
    return Cell(text, kind, note=f"{number(gap - reach, 3)} to {number(gap + reach, 3)}")
