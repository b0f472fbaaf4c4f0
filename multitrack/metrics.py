"""What a predicted edit is worth: sums an edit, metrics from sums, intervals over edits.

`T` frames, `K` tracks, `V` edits, `R` numbers a row. A row holds sums, so that the metrics of many
edits come from the sum of their rows, and a bootstrap over edits from weighted sums.
"""

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from multitrack.edit.geometry import iou, rectangles
from multitrack.edit.timeline import SAMPLES_PER_SECOND, TRACKS

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


def matches(said: Tensor, true: Tensor, tolerance: int) -> list[int]:
    """The true times that are met, one to one, within `tolerance` (greedy is optimal here)."""
    hits, i, j = [], 0, 0
    said, true = said.tolist(), true.tolist()
    while i < len(said) and j < len(true):
        gap = said[i] - true[j]
        if abs(gap) <= tolerance:
            hits.append(true[j])
            i, j = i + 1, j + 1
        elif gap < 0:
            i += 1
        else:
            j += 1
    return hits


def edges(active: Tensor, score: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Onset and offset times of each track; only between two scored frames: (T, K) each."""
    both = score[1:] & score[:-1]
    up = active[1:] & ~active[:-1] & both
    down = ~active[1:] & active[:-1] & both
    return (
        [up[:, k].nonzero()[:, 0] + 1 for k in range(up.shape[1])],
        [down[:, k].nonzero()[:, 0] + 1 for k in range(down.shape[1])],
    )


def row(
    said: Tensor,
    sure: Tensor,
    true: Tensor,
    score: Tensor,
    sizes: Tensor,
    canvas: Tensor,
    age: Tensor,
    rules: Tensor,
) -> Tensor:
    """The sums of one edit: (R,).

    said, true: (T, K, 9) with 0/1 activity; sure: (T, K) probability of being active; score: (T, K)
    which cells count; sizes: (T, K, 2) of the true sources; canvas: (2,) pixels; age: (T, K) frames
    since what a cell is told from; rules: (T, K, 2) the rule, counted from 1 in RULES, of the onset
    and of the offset at each cell, 0 where none is known. Cuts are told by no cell: `scoring` adds
    them.
    """
    sums = {key: torch.zeros(size, dtype=torch.float64) for key, size in LAYOUT.items()}
    on, yes = true[..., 0] > 0.5, said[..., 0] > 0.5
    tracks = true.shape[1]
    for key, cells in (("tp", on & yes), ("fp", ~on & yes), ("fn", on & ~yes)):
        sums[key][:tracks] = (cells & score).sum(0)
    sums["frames"] += score.any(1).sum()
    on = on & score
    sums["on"] += on.sum()
    sums["asset_right"] += (on & (said[..., 1].round() == true[..., 1])).sum()
    error = (said - true).abs().to(torch.float64)
    pixels = (error[..., 3:5] * canvas).mean(-1)
    sums["scale"] += error[..., 2][on].sum()
    sums["position"] += pixels[on].sum()
    sums["crop"] += error[..., 5:].mean(-1)[on].sum()
    drift = torch.zeros_like(true)
    drift[1:] = true[1:] - true[:-1]
    alive = on.clone()
    alive[1:] &= true[:-1, :, 0] > 0.5
    alive[0] = False
    running = alive & (clip_age(true) > age)  # seen for two frames at least
    for what, moves, value in (
        ("scale", drift[..., 2].abs() > 1e-3, error[..., 2]),
        ("position", (drift[..., 3:5].abs() > 1e-5).any(-1), pixels),
    ):
        for kind, cells in (("moving", alive & moves), ("running", running & moves)):
            sums[f"{kind}_{what}"] += value[cells].sum()
            sums[f"{kind}_{what}_cells"] += cells.sum()

    source = torch.where(sizes > 0, sizes, canvas.expand_as(sizes))
    boxes = [rectangles(e[..., 2], e[..., 3:5], e[..., 5:], source, canvas) for e in (said, true)]
    shown = (on | yes) & score
    sums["iou"] += iou(*boxes)[on & yes].sum()
    sums["shown"] += shown.sum()

    for kind, told, fact, rule in zip(
        ("onset", "offset"), edges(yes, score), edges(true[..., 0] > 0.5, score),
        rules.unbind(-1), strict=True,
    ):  # fmt: skip
        for k in range(tracks):
            sums[f"{kind}_said"] += len(told[k])
            sums[f"{kind}_true"] += len(fact[k])
            if kind == "onset":
                sums["clips"][k] = len(fact[k])
            met = [matches(told[k], fact[k], tolerance) for tolerance in TOLERANCES]
            sums[f"{kind}_hit"] += torch.tensor([len(times) for times in met])
            for what, times in (("hit", met[NEAR]), ("true", fact[k])):
                ruled = rule[times, k].long()
                sums[f"{kind}_{what}_ruled"] += torch.bincount(ruled, minlength=len(RULES) + 1)[1:]
    sums["flips_said"] = sums["onset_said"] + sums["offset_said"]
    sums["flips_true"] = sums["onset_true"] + sums["offset_true"]
    sums["minutes"] += score.any(1).sum() / SAMPLES_PER_SECOND / 60

    if len(true) > 2:
        still = alive[1:-1] & alive[2:] & yes[2:] & yes[1:-1] & yes[:-2]
        still &= (drift[1:-1, :, 2:].abs() < 1e-6).all(-1) & (drift[2:, :, 2:].abs() < 1e-6).all(-1)
        place = said[..., 3:5].to(torch.float64) * canvas
        bend = (place[2:] - 2 * place[1:-1] + place[:-2]).abs().mean(-1)
        for kind, cells in (("", still), ("running_", still & running[:-2])):
            sums[f"{kind}jitter"] += bend[cells].sum()
            sums[f"{kind}still"] += cells.sum()

    truth = (true[..., 0] > 0.5).to(torch.float64)
    sums["brier"] += ((sure - truth) ** 2)[score].sum()
    sums["cells"] += score.sum()
    confident = torch.maximum(sure, 1 - sure)[score]
    right = (yes == (truth > 0.5))[score]
    index = ((confident - 0.5) * 2 * BINS).long().clamp(0, BINS - 1)
    sums["bin_count"].index_add_(0, index, torch.ones_like(confident, dtype=torch.float64))
    sums["bin_sure"].index_add_(0, index, confident.to(torch.float64))
    sums["bin_right"].index_add_(0, index, right.to(torch.float64))
    return torch.cat(list(sums.values()))


def clip_age(true: Tensor) -> Tensor:
    """Frames since each cell's clip came on, or took over from another one: (T, K)."""
    at = torch.arange(len(true))[:, None]
    begins = torch.ones(true.shape[:2], dtype=torch.bool)
    begins[1:] = (true[1:, :, :2] != true[:-1, :, :2]).any(-1)
    return at - torch.where(begins, at, 0).cummax(0).values


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


def bootstrap(rows: np.ndarray, seed: int = 0, draws: int = 1000) -> dict[str, np.ndarray]:
    """Metrics of `draws` resamples of the edits; rows (V, P, R) -> each (draws, P).

    All P predictors see the same resamples, so that differences between them are paired.
    """
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=draws)
    sums = np.einsum("dv,vpr->dpr", weights.astype(np.float64), rows)
    return metrics(sums)


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
