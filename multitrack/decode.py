"""From a model's output to an edit: the likeliest values, and activity that does not flicker."""

import torch
from torch import Tensor

MARGIN = 0.05  # of P(active) from a half; less is no change


def stitch(output: dict[str, Tensor], keep: Tensor) -> tuple[Tensor, Tensor]:
    """Windows (N, S, K, .) as one edit: values (T, K, 9) with 0/1 activity, P(active) (T, K)."""
    sure = output["active"].softmax(-1)[..., 1][keep]
    asset = output["asset"].argmax(-1)[keep]
    cells = [latched(sure)[..., None], asset[..., None], output["values"][keep]]
    return torch.cat([cell.to(sure.dtype) for cell in cells], -1), sure


def latched(sure: Tensor) -> Tensor:
    """On or off from P(active) (T, K), changing only where it is MARGIN away from a half.

    Told from the past alone; the first frame by the half itself.
    """
    at = torch.arange(len(sure), device=sure.device)[:, None]
    latest = torch.where((sure - 0.5).abs() > MARGIN, at, 0).cummax(0).values
    return sure.gather(0, latest) > 0.5
