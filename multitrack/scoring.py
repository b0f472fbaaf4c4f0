"""The scores of a validation or a test: every predictor's row of an edit, and what rows come to.

`V` edits, `P` predictors, `R` numbers a row.
"""

import numpy as np
import torch
from torch import Tensor

from multitrack import baselines, metrics
from multitrack.answer import decode
from multitrack.rows import Truth, matches, row

CUTTERS = ("rule", "random", "habits")  # tell cuts alone
PREDICTORS = ("model", *baselines.NAMES, *CUTTERS, "reference")
# What the objective averages: each a mean error relative to persistence's.
COMPARED = ("active_f1", "boundary_f1_2", "scale_mae", "position_mae", "crop_mae", "iou")


def edit_rows(
    batch: dict[str, Tensor],
    predictions: dict[str, Tensor],
    sure: Tensor,
    cut_sure: dict[str, Tensor],
) -> Tensor:
    """(P, R): the rows of one edit of `WholeEdits`.

    predictions: (T, K, 9) of all but CUTTERS; sure: (T, K) the model's P(active); cut_sure: (T, O)
    P(cut) around each tick by `model` and by `habits`, empty if the model tells none.
    """
    kept = [
        batch[key][batch["keep"]].cpu().numpy() for key in ("target", "score", "clip_age", "age")
    ]
    beside = [batch[key].cpu().numpy() for key in ("sizes", "canvas", "rules")]
    truth = Truth(*kept[:2], *beside[:2], *kept[2:], beside[2])
    rows = np.zeros((len(PREDICTORS), sum(metrics.LAYOUT.values())))
    for number, name in enumerate(PREDICTORS):
        if name not in CUTTERS:
            said = predictions[name].cpu().numpy()
            rows[number] = row(said, sure.cpu().numpy() if name == "model" else said[..., 0], truth)
    if len(batch["cut"]) and cut_sure:
        true, ruled, random = (column.nonzero()[:, 0].tolist() for column in batch["cut"].T)
        said = {name: decode.cuts(each.cpu().numpy()) for name, each in cut_sure.items()}
        said |= {"rule": ruled, "random": random}
        for number, name in enumerate(PREDICTORS):
            times = said.get(name, [])
            hits = matches(times, true, metrics.TOLERANCES[metrics.NEAR])
            for key, count in (("hit", len(hits)), ("said", len(times)), ("true", len(true))):
                rows[number, metrics.OFFSETS[f"cut_{key}"]] = count
    return torch.from_numpy(rows)


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
