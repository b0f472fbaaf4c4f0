"""The scores of a validation or a test: every predictor's row of an edit, and what rows come to.

`V` edits, `P` predictors, `R` numbers a row.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from multitrack import baselines, metrics
from multitrack.answer import decode

CUTTERS = ("rule", "random")  # tell cuts alone
PREDICTORS = ("model", *baselines.NAMES, *CUTTERS, "reference")
# What the objective averages: each a mean error relative to persistence's.
COMPARED = ("active_f1", "boundary_f1_2", "scale_mae", "position_mae", "crop_mae", "iou")


def edit_rows(
    batch: dict[str, Tensor],
    predictions: dict[str, Tensor],
    sure: Tensor,
    cut_sure: Tensor | None,
) -> Tensor:
    """(P, R): the rows of one edit of `WholeEdits`.

    predictions: (T, K, 9) of all but CUTTERS; sure: (T, K) the model's P(active); cut_sure: (T, O)
    its P(cut) around each tick, None if it tells none.
    """
    kept = {key: batch[key][batch["keep"]] for key in ("age", "target", "score")}
    truth = (kept["target"], kept["score"], batch["sizes"], batch["canvas"], kept["age"])
    rows = torch.zeros(len(PREDICTORS), sum(metrics.LAYOUT.values()), dtype=torch.float64)
    for number, name in enumerate(PREDICTORS):
        if name not in CUTTERS:
            certain = sure if name == "model" else predictions[name][..., 0]
            rows[number] = metrics.row(predictions[name], certain, *truth, batch["rules"])
    if len(batch["cut"]) and cut_sure is not None:
        true, ruled, random = (column.nonzero()[:, 0] for column in batch["cut"].unbind(-1))
        model = torch.tensor(decode.cuts(cut_sure.cpu().numpy()))
        said = {"model": model, "rule": ruled, "random": random}
        for number, name in enumerate(PREDICTORS):
            times = said.get(name, true[:0])
            hits = metrics.matches(times, true, metrics.TOLERANCES[metrics.NEAR])
            for key, count in (("hit", len(hits)), ("said", len(times)), ("true", len(true))):
                rows[number, metrics.OFFSETS[f"cut_{key}"]] = count
    return rows


def excess(model: dict[str, float], persistence: dict[str, float]) -> float:
    """Mean over COMPARED of the model's error as a share of persistence's: 1 as good, 0 right.

    An error is 1 - x for metrics of which larger is better. What persistence does not err in
    is left out.
    """
    shares = []
    for name in COMPARED:
        one, two = model[name], persistence[name]
        if name.startswith(metrics.HIGHER):
            one, two = 1 - one, 1 - two
        if np.isfinite(one) and np.isfinite(two) and two > 1e-9:
            shares.append(one / two)
    return float(np.mean(shares)) if shares else 1.0


def named(
    found: dict[str, dict[str, float]], rows: np.ndarray, task: str, prefix: str
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Finite metrics under `prefix`: the model's, and those of each baseline.

    found: of `EditScores.compute`; rows (V, P, R). `reference` only where the corpus tells it.
    """
    known = task.startswith("forecast") and np.any(rows[:, -1])
    kept = {
        predictor: {prefix + name: value for name, value in values.items() if np.isfinite(value)}
        for predictor, values in found.items()
        if predictor != "reference" or known
    }
    for predictor in ("model", "linear"):
        kept[predictor][f"{prefix}excess"] = excess(found[predictor], found["persistence"])
    kept["persistence"][f"{prefix}excess"] = 1.0
    return kept.pop("model"), kept


def intervals(rows: np.ndarray) -> Iterator[tuple[str, float]]:
    """95 % intervals by bootstrap over edits (V, P, R), and of the lead over each baseline."""
    draws = metrics.bootstrap(rows)
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
        draws = metrics.bootstrap(rows) if draws is None else draws
        yield f"cut_f1_2_lead_{baseline}", lead
        yield f"cut_f1_2_lead_{baseline}_low", _lead(draws, "cut_f1_2", baseline)


def _lead(draws: dict[str, np.ndarray], name: str, baseline: str) -> float:
    sign = 1 if name.startswith(metrics.HIGHER) else -1
    lead = sign * (draws[name][:, 0] - draws[name][:, PREDICTORS.index(baseline)])
    return float(np.nanpercentile(lead, 2.5)) if np.isfinite(lead).any() else float("nan")
