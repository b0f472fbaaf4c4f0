"""Runs that differ in their seed alone are one result: its mean, its spread, its lead."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from experiments.reporting.document import Block, Cell, Heading, Table, Text
from experiments.reporting.events import Run
from experiments.reporting.facts import objective_of
from experiments.shared.numbers import beside, number

SEED = "seed"


@dataclass(frozen=True)
class Setting:
    """The runs of one setting, by seed."""

    settings: dict[str, str]
    runs: dict[str, Run]

    def values(self, tag: str | None = None) -> dict[str, float]:
        """The objective, or the last value of `tag`, of each run that completed with one."""
        found = {}
        for seed, run in self.runs.items():
            value = objective_of(run).get("best") if tag is None else run.value(tag)
            if run.status == "completed" and value is not None and math.isfinite(value):
                found[seed] = float(value)
        return found


@dataclass(frozen=True)
class Lead:
    """By how much the best is better, seed by seed: mean, 95 % interval, p of a paired t-test."""

    mean: float
    low: float
    high: float
    p: float
    pairs: int


def grouped(runs: list[Run], settings: list[dict[str, str]]) -> list[Setting]:
    """One for each setting apart from the seed; empty where no setting has two seeds."""
    found: dict[tuple, Setting] = {}
    for run, own in zip(runs, settings, strict=True):
        rest = {key: value for key, value in own.items() if key != SEED}
        group = found.setdefault(tuple(rest.items()), Setting(rest, {}))
        group.runs.setdefault(own.get(SEED, ""), run)
    return list(found.values()) if any(len(g.runs) > 1 for g in found.values()) else []


def lead(best: Setting, other: Setting, sign: float) -> Lead | None:
    """Of `best` over `other` on the seeds that both have; None with fewer than two.

    Args:
        best: the setting with the best mean.
        other: another one.
        sign: 1 where less is better, -1 where more is.
    """
    ours, theirs = best.values(), other.values()
    common = [seed for seed in ours if seed in theirs]
    if len(common) < 2:
        return None
    differences = sign * np.array([theirs[seed] - ours[seed] for seed in common])
    mean, error = differences.mean(), differences.std(ddof=1) / math.sqrt(len(common))
    if error == 0:
        p = 1.0 if mean == 0 else 0.0
        return Lead(float(mean), float(mean), float(mean), p, len(common))
    reach = stats.t.ppf(0.975, len(common) - 1) * error
    p = float(2 * stats.t.sf(abs(mean / error), len(common) - 1))
    return Lead(float(mean), float(mean - reach), float(mean + reach), p, len(common))


def holm(ps: list[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979), in the order given."""
    order, largest = sorted(range(len(ps)), key=lambda i: ps[i]), 0.0
    corrected = [0.0] * len(ps)
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = largest
    return corrected


def seed_table(groups: list[Setting], objective: dict, tags: list[str]) -> list[Block]:
    """A row for each setting, the best mean first."""
    sign = -1.0 if objective.get("mode") == "max" else 1.0

    def order(group: Setting) -> float:
        found = list(group.values().values())
        return sign * float(np.mean(found)) if found else math.inf

    groups = sorted(groups, key=order)
    leads = [lead(groups[0], other, sign) for other in groups[1:]]
    corrected = iter(holm([found.p for found in leads if found]))
    rows: list[list[Cell | str]] = []
    for index, group in enumerate(groups):
        own: list[Cell | str] = [*group.settings.values(), seeds_of(group), spread(group.values())]
        own += [spread(group.values(tag)) for tag in tags]
        found = leads[index - 1] if index else None
        if found is None:
            rows.append([*own, "the best" if not index else "–", ""])
            continue
        interval = f"{number(found.low, 3)} to {number(found.high, 3)}"
        p = next(corrected)
        verdict = Cell(f"{p:.2g}", "good" if p < 0.05 else "quiet")
        rows.append([*own, Cell(number(found.mean, 3), note=interval), verdict])
    keys = list(groups[0].settings)
    means = [Cell(tag, note="mean ± sd") for tag in (str(objective.get("name")), *tags)]
    behind = Cell("worse than the best by", note="paired by seed, 95 %")
    head: list[Cell | str] = [*keys, "seeds", *means, behind, Cell("p", note="Holm")]
    caption = (
        "The best by its mean, which flatters it a little: it was chosen by these numbers. p: "
        "paired t-test over the seeds that both have, corrected for the number of comparisons."
    )
    least = min(len(group.values()) for group in groups)
    blocks: list[Block] = [
        Heading("Results over seeds", 2),
        Table(head, rows, words=range(len(keys)), caption=caption),
    ]
    if least < 3:
        blocks.append(Text("With fewer than three seeds a spread says little.", "note"))
    return blocks


def seeds_of(group: Setting) -> Cell:
    done = len(group.values())
    return Cell(str(done), "" if done == len(group.runs) else "bad", note=lost(group))


def lost(group: Setting) -> str:
    missing = [run.status for run in group.runs.values() if run.status != "completed"]
    return ", ".join(f"{missing.count(s)} {s}" for s in dict.fromkeys(missing))


def spread(values: dict[str, float]) -> str:
    found = list(values.values())
    if len(found) < 2:
        return number(found[0]) if found else "–"
    mean, deviation = float(np.mean(found)), float(np.std(found, ddof=1))
    return f"{beside(mean, deviation)} ± {number(deviation, 2)}"
