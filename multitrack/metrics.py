"""What predicted edits are worth: metrics from sums.

`K` tracks, `V` edits, `P` predictors, `R` numbers a row (`rows`). A row holds sums, so that the
metrics of many edits come from the sum of their rows, and a bootstrap (`intervals`) from weighted
ones.
"""

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from multitrack.edit.timeline import TRACKS

TOLERANCES = (0, 1, 2, 5)
BINS = 10
RARE = 0.05  # a track that is on in less than this share of the frames
RULES = ("R1", "R3", "R5", "R6", "R7", "R8", "R10")  # of the embedded corpus, that make edges
NEAR = TOLERANCES.index(2)  # the tolerance of the headline
LAYOUT = {
    "tp": TRACKS, "fp": TRACKS, "fn": TRACKS, "clips": TRACKS, "frames": 1,
    "asset_right": 1, "on": 1,
    "scale": 1, "position": 1, "crop": 1,
    **{f"{kind}_{what}{cells}": 1 for kind in ("moving", "running")
       for what in ("scale", "position") for cells in ("", "_cells")},
    "iou": 1, "shown": 1,
    **{f"{kind}_{what}": len(TOLERANCES) if what == "hit" else 1
       for kind in ("onset", "offset") for what in ("hit", "said", "true")},
    **{f"{kind}_{what}_ruled": len(RULES) for kind in ("onset", "offset")
       for what in ("hit", "true")},
    "cut_hit": 1, "cut_said": 1, "cut_true": 1,
    "jitter": 1, "still": 1, "running_jitter": 1, "running_still": 1,
    "flips_said": 1, "flips_true": 1, "minutes": 1,
    "brier": 1, "cells": 1,
    "bin_count": BINS, "bin_sure": BINS, "bin_right": BINS,
}  # fmt: skip
OFFSETS = dict(zip(LAYOUT, np.cumsum([0, *LAYOUT.values()])[:-1], strict=True))
# Larger is better for these; for the rest smaller is.
HIGHER = (
    "active_f1",
    "rare_f1",
    "asset_accuracy",
    "iou",
    "boundary",
    "cut",
    "onset",
    "offset",
    "precision",
    "recall",
)


def pick(rows: np.ndarray, key: str) -> np.ndarray:
    """The entries of `key` in rows (..., R): (...) or (..., size)."""
    start, size = OFFSETS[key], LAYOUT[key]
    part = rows[..., start : start + size]
    return part[..., 0] if size == 1 else part


def track_f1(rows: np.ndarray) -> np.ndarray:
    """F1 of activity by track: (..., K), nan where a track has no active cell in the truth."""
    tp, fp, fn = (pick(rows, key) for key in ("tp", "fp", "fn"))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(tp + fn > 0, 2 * tp / (2 * tp + fp + fn), np.nan)


def metrics(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics from summed rows (..., R), each (...); nan where nothing was to be measured."""

    def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(bottom > 0, top / bottom, np.nan)

    def get(key: str) -> np.ndarray:
        return pick(rows, key)

    f1 = track_f1(rows)
    share = ratio(get("tp") + get("fn"), get("frames")[..., None])
    found = {
        "active_f1": _nanmean(f1),
        "rare_f1": _nanmean(np.where(share < RARE, f1, np.nan)),
        "active_error": ratio((get("fp") + get("fn")).sum(-1), get("cells")),
        "precision": ratio(get("tp").sum(-1), (get("tp") + get("fp")).sum(-1)),
        "recall": ratio(get("tp").sum(-1), (get("tp") + get("fn")).sum(-1)),
        "asset_accuracy": ratio(get("asset_right"), get("on")),
        "scale_mae": ratio(get("scale"), get("on")),
        "position_mae": ratio(get("position"), get("on")),
        "crop_mae": ratio(get("crop"), get("on")),
        "scale_moving_mae": ratio(get("moving_scale"), get("moving_scale_cells")),
        "position_panning_mae": ratio(get("moving_position"), get("moving_position_cells")),
        "scale_running_mae": ratio(get("running_scale"), get("running_scale_cells")),
        "position_running_mae": ratio(get("running_position"), get("running_position_cells")),
        "iou": ratio(get("iou"), get("shown")),
        "cut_f1_2": ratio(2 * get("cut_hit"), get("cut_said") + get("cut_true")),
        "jitter": ratio(get("jitter"), get("still")),
        "jitter_running": ratio(get("running_jitter"), get("running_still")),
        "flips_excess": ratio(get("flips_said") - get("flips_true"), get("minutes")),
        "brier": ratio(get("brier"), get("cells")),
        "ece": ratio(np.abs(get("bin_sure") - get("bin_right")).sum(-1), get("cells")),
    }
    for kind in ("onset", "offset"):
        caught = ratio(get(f"{kind}_hit_ruled"), get(f"{kind}_true_ruled"))
        for number, rule in enumerate(RULES):
            found[f"{kind}_recall_{rule}"] = caught[..., number]
    for kinds, name in (
        (("onset", "offset"), "boundary"),
        (("onset",), "onset"),
        (("offset",), "offset"),
    ):
        hit = sum(get(f"{kind}_hit") for kind in kinds)
        total = sum(get(f"{kind}_{what}") for kind in kinds for what in ("said", "true"))
        for number, tolerance in enumerate(TOLERANCES):
            if name == "boundary" or tolerance == 2:
                found[f"{name}_f1_{tolerance}"] = ratio(2 * hit[..., number], total)
    return found


def _nanmean(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(-1)
    return np.where(known.any(-1), total / known.sum(-1).clip(1), np.nan)


class EditScores(Metric):
    """Rows of several predictors over edits; `rows()` is (V, P, R)."""

    full_state_update = False

    def __init__(self, predictors: tuple[str, ...]):
        super().__init__()
        self.predictors = predictors
        self.add_state("gathered", default=[], dist_reduce_fx="cat")

    def update(self, rows: Tensor) -> None:
        """Add the rows (V, P, R) of V edits.

        Under DDP every rank must call it, with V = 0 if it has no edit: what is gathered has to
        have the same dimensions everywhere.
        """
        self.gathered.append(rows)

    def compute(self) -> dict[str, dict[str, float]]:
        """Predictor -> metric -> value."""
        sums = metrics(self.rows().sum(0))
        return {
            name: {key: float(value[i]) for key, value in sums.items()}
            for i, name in enumerate(self.predictors)
        }

    def rows(self) -> np.ndarray:
        gathered = self.gathered
        stacked = gathered if isinstance(gathered, Tensor) else torch.cat(gathered)
        return stacked.cpu().numpy()
