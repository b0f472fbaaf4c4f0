"""How sure the metrics are: 95 % intervals by bootstrap over edits, and of leads over baselines.

`V` edits, `P` predictors (`scoring.PREDICTORS`), `R` numbers a row.
"""

from collections.abc import Iterator

import numpy as np

from multitrack import metrics
from multitrack.scoring import COMPARED, CUTTERS, PREDICTORS


def bootstrap(rows: np.ndarray, seed: int = 0, draws: int = 1000) -> dict[str, np.ndarray]:
    """Metrics of `draws` resamples of the edits; rows (V, P, R) -> each (draws, P).

    All P predictors see the same resamples, so that differences between them are paired.
    """
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=draws)
    sums = np.tensordot(weights.astype(np.float64), rows, 1)
    return metrics.metrics(sums)


def intervals(rows: np.ndarray) -> Iterator[tuple[str, float]]:
    """95 % intervals by bootstrap over edits (V, P, R), and of the lead over each baseline."""
    draws = bootstrap(rows)
    for name in COMPARED:
        low, high = np.nanpercentile(draws[name][:, 0], (2.5, 97.5))
        yield f"{name}_low", float(low)
        yield f"{name}_high", float(high)
        for baseline in ("persistence", "linear"):
            yield f"{name}_lead_{baseline}_low", _lead(draws, name, baseline)


def cut_leads(rows: np.ndarray) -> Iterator[tuple[str, float]]:
    """How far the model's cuts lead those of the rule and of chance, and the leads' lower ends."""
    found, draws = metrics.metrics(rows.sum(0)), None
    for baseline in CUTTERS:
        number = PREDICTORS.index(baseline)
        lead = float(found["cut_f1_2"][0] - found["cut_f1_2"][number])
        if not np.isfinite(lead) or not metrics.pick(rows[:, number], "cut_said").any():
            continue
        draws = bootstrap(rows) if draws is None else draws
        yield f"cut_f1_2_lead_{baseline}", lead
        yield f"cut_f1_2_lead_{baseline}_low", _lead(draws, "cut_f1_2", baseline)


def head_leads(rows: np.ndarray) -> bool:
    """Whether the head's cuts are shown to be better than those of the habits alone."""
    low = dict(cut_leads(rows)).get("cut_f1_2_lead_habits_low", 0.0)
    return low > 0


def _lead(draws: dict[str, np.ndarray], name: str, baseline: str) -> float:
    sign = 1 if name.startswith(metrics.HIGHER) else -1
    lead = sign * (draws[name][:, 0] - draws[name][:, PREDICTORS.index(baseline)])
    return float(np.nanpercentile(lead, 2.5)) if np.isfinite(lead).any() else float("nan")
