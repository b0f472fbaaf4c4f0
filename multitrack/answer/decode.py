"""From a model's output to an edit: the likeliest values, activity without flicker, cuts."""

import numpy as np
import torch
from torch import Tensor

ENTER, LEAVE = 0.5, 0.4  # probabilities above and below which a run begins and ends


LIKELY = 0.42  # probability of a cut within two ticks that makes it one
MIDDLE = np.array([0, 0.02, 0.04, 0.02, 0])  # how much more what lies in the middle counts
APART = 6  # ticks between cuts
AROUND = tuple(range(-2, 5))  # ticks around a moment of which is told what is told of it


def cuts(sure: np.ndarray) -> list[int]:
    """Ticks of cuts, from P(cut) (T, len(AROUND)) at each tick and around it, told from one time.

    A cut is where the probability within two ticks is LIKELY and no less than a little later: that
    is what its score counts; of equals the one in the middle.
    """
    centre = AROUND.index(0)
    near = [sure[:, centre + k - 2 : centre + k + 3] for k in range(3)]
    within = [part.sum(1) + part @ MIDDLE for part in near]
    peaks = (near[0].sum(1) >= LIKELY) & (within[0] >= np.maximum(within[1], within[2]) - 1e-6)
    found: list[int] = []
    for tick in np.nonzero(peaks)[0]:
        if not found or tick - found[-1] >= APART:
            found.append(int(tick))
    return found


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
