"""Which settings of a sweep matter: how much of the objective's variance each accounts for."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.reporting.document import Block, Heading, Table
from experiments.reporting.events import Run
from experiments.reporting.facts import objective_of
from experiments.shared.numbers import number, percent


def main_effect(levels: Sequence[str], values: np.ndarray) -> float:
    """Share of the variance of `values` that lies between the `levels`: 0 to 1 (eta squared).

    Over a full grid the shares of all settings and of their interactions add up to 1.
    """
    total = ((values - values.mean()) ** 2).sum()
    between = 0.0
    for level in set(levels):
        own = values[[other == level for other in levels]]
        between += len(own) * float((own.mean() - values.mean()) ** 2)
    return between / float(total) if total > 0 else 0.0


def importances(runs: list[Run], settings: list[dict[str, str]]) -> list[Block]:
    """A table; empty with one setting, or where every run has values of its own."""
    best = [objective_of(run).get("best") for run in runs]
    kept = [
        i
        for i, value in enumerate(best)
        if value is not None and math.isfinite(value) and runs[i].status == "completed"
    ]
    keys = list(settings[0]) if settings else []
    if len(kept) < 4 or len(keys) < 2:
        return []
    values, rows = np.array([best[i] for i in kept], float), []
    for key in keys:
        levels = [settings[i][key] for i in kept]
        if len(set(levels)) in (1, len(levels)):  # as many values as runs would explain it all
            continue
        means = {v: values[[w == v for w in levels]].mean() for v in dict.fromkeys(levels)}
        told = ", ".join(f"{level}: {number(mean)}" for level, mean in means.items())
        rows.append((main_effect(levels, values), key, told))
    if not rows:
        return []
    rows.sort(reverse=True)
    caption = (
        "Share of the variance of the objective over the completed runs that lies between the "
        "values of a setting, the others averaged over; the rest is interaction and noise."
    )
    table = [[key, percent(share), told] for share, key, told in rows]
    head = ["setting", "importance", "mean objective at each value"]
    return [Heading("Importance of the settings", 3), Table(head, table, (0, 2), caption)]
