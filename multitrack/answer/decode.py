"""From a model's output to an edit: the likeliest values, and activity that does not flicker."""

import torch
from torch import Tensor

ENTER, LEAVE = 0.5, 0.4  # probabilities above and below which a run begins and ends


def stitch(output: dict[str, Tensor], keep: Tensor) -> tuple[Tensor, Tensor]:
    """Windows (N, S, K, .) as one edit: values (T, K, 9) with 0/1 activity, P(active) (T, K)."""
    sure = output["active"].softmax(-1)[..., 1][keep]
    asset = output["asset"].argmax(-1)[keep]
    cells = [latched(sure)[..., None], asset[..., None], output["values"][keep]]
    return torch.cat([cell.to(sure.dtype) for cell in cells], -1), sure


def latched(sure: Tensor) -> Tensor:
    """On or off from P(active) (T, K): on above ENTER, off below LEAVE, between them as before."""
    at = torch.arange(len(sure), device=sure.device)[:, None]
    told = (sure > ENTER) | (sure < LEAVE)
    latest = torch.where(told, at, 0).cummax(0).values
    return sure.gather(0, latest) > ENTER
