"""Loss terms: robust ones in units of persistence's error, and the published ones to compare.

`B` batch, `S` frames, `K` tracks. Robust terms have the names of conf/loss/multitrack.yaml.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

TERMS = ("active", "asset", "scale", "position", "crop")
CUTS = ("cut",)  # of the default model, not of the published one
RARE = 10.0  # cuts are rare: so their entropy is about one
FRESH, FADING = 10.0, 0.8  # frames, exponent: how much more a young clip's errors count
# Persistence's error of each term at 10 frames.
UNITS = {"active": 0.06, "asset": 0.3, "scale": 8.0, "position": 0.02, "crop": 1.2}


def active(logits: Tensor, target: Tensor, score: Tensor, unit: float = 1.0) -> Tensor:
    """Cross entropy (nats / unit) over scored cells; logits (B, S, K, 2), target (B, S, K)."""
    return _mean(_entropy(logits, target), score) / unit


def asset(logits: Tensor, target: Tensor, score: Tensor, unit: float = 1.0) -> Tensor:
    """Cross entropy (nats / unit) over scored cells that are active. logits (B, S, K, 10)."""
    chosen = score.bool()  # a tenth of the cells: worth picking out
    if not chosen.any():
        return logits.sum() * 0
    return F.cross_entropy(logits[chosen], target[chosen].long()) / unit


def scale(value: Tensor, target: Tensor, score: Tensor, unit: float = 1.0) -> Tensor:
    """Huber loss of (B, S, K), percent / unit."""
    return _huber(value, target, score, unit)


def position(value: Tensor, target: Tensor, score: Tensor, unit: float = 1.0) -> Tensor:
    """Huber loss of x and y, summed: (B, S, K, 2), canvas sizes / unit."""
    return _huber(value, target, score, unit)


def crop(value: Tensor, target: Tensor, score: Tensor, unit: float = 1.0) -> Tensor:
    """Huber loss of the four sides, summed: (B, S, K, 4), percent / unit."""
    return _huber(value, target, score, unit)


def cut(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy (nats) of cuts at moments (B, M), of which each stands for `weight` others."""
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * weight).sum() / weight.sum().clamp_min(1e-6) * RARE


def published(
    output: dict[str, Tensor], target: Tensor, score: Tensor, mean: Tensor, std: Tensor
) -> dict[str, Tensor]:
    """The published terms: entropies over all cells, squared z-score errors over active cells.

    output: active (B, S, K, 2), asset (B, S, K, 10), values (B, S, K, 7) in raw units; target
    (B, S, K, 9); mean, std (K, 7) of the training frames. x and y are summed, so are the crops.
    """
    on = score & (target[..., 0] > 0.5)
    error = (((output["values"] - target[..., 2:]) / std) ** 2).float()
    return {
        "active": active(output["active"], target[..., 0], score),
        "asset": asset(output["asset"], target[..., 1], score),
        "scale": _mean(error[..., 0], on),
        "position": _mean(error[..., 1:3].sum(-1), on),
        "crop": _mean(error[..., 3:].sum(-1), on),
    }


def robust(
    output: dict[str, Tensor],
    target: Tensor,
    score: Tensor,
    units: dict[str, float],
    clip_age: Tensor,
) -> dict[str, Tensor]:
    """All five terms; geometry and asset count where the target is active.

    clip_age (B, S, K): frames since each target's clip began. Errors of geometry in a young clip
    count (FRESH / age)^FADING as much: that is where forecasts of one frame err.
    """
    on = score & (target[..., 0] > 0.5)
    young = on * (FRESH / (clip_age + 1)).clamp(0.5, FRESH) ** FADING
    values, true = output["values"], target[..., 2:]
    return {
        "active": active(output["active"], target[..., 0], score, units["active"]),
        "asset": asset(output["asset"], target[..., 1], on, units["asset"]),
        "scale": scale(values[..., 0], true[..., 0], young, units["scale"]),
        "position": position(values[..., 1:3], true[..., 1:3], young, units["position"]),
        "crop": crop(values[..., 3:], true[..., 3:], young, units["crop"]),
    }


def _entropy(logits: Tensor, target: Tensor) -> Tensor:
    flat = F.cross_entropy(logits.flatten(0, -2), target.long().flatten(), reduction="none")
    return flat.view(target.shape)


def _huber(value: Tensor, target: Tensor, score: Tensor, unit: float) -> Tensor:
    """Quadratic below a tenth of the unit, then linear: the mean error rules, not a jump."""
    loss = F.smooth_l1_loss(value / unit, target / unit, reduction="none", beta=0.1)
    return _mean(loss.flatten(3).sum(-1) if loss.dim() > 3 else loss, score)


def _mean(value: Tensor, score: Tensor) -> Tensor:
    weight = score.to(value.dtype)
    return (value * weight).sum() / weight.sum().clamp_min(1)


def column_statistics(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (K, 7) over frames (T, K, 9), inactive ones included, as published.

    A column that never changes has deviation 1 (as scikit-learn's StandardScaler has it).
    """
    columns = values[..., 2:].to(torch.float64)
    deviation = columns.std(0, unbiased=False)
    deviation = torch.where(deviation > 1e-6, deviation, 1.0)
    return columns.mean(0).float(), deviation.float()
