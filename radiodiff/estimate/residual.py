"""What samples say against an estimate, carried to the places around them.

Regression kriging (Hengl et al. 2007): the network explains, simple kriging spreads what it left.
Axes: B batch, K channels, H W map, N samples.
"""

import torch
from torch import Tensor

from radiodiff.estimate.fields import PLAN, SAMPLE, SAMPLED

# Chosen on the demo's validation cities, as is LARGEST, among 10, 20, 40 and 0.1, 0.3, 1.
REACH = 40.0  # m, over which the covariance of what is left falls to 1 / e
NUGGET = 0.3  # variance that no neighbour shares, of the rest
LARGEST = 0.12  # gray, 12 dB: what is more is of its spot alone, a building's rim or a closed yard


def covariance(one: Tensor, other: Tensor) -> Tensor:
    """(n, m) between places (n, 2) and (m, 2), in pixels; 1 where they are one."""
    return (-torch.cdist(one, other) / REACH).exp()


def corrected(made: Tensor, known: Tensor) -> Tensor:
    """Estimates (B, 1, H, W) that heed the samples in `known` (B, K, H, W).

    Buildings of the plan, and maps without a sample, stay as they are.
    """
    found = made.clone()
    for one, inputs in zip(found, known, strict=True):
        sampled, free = inputs[SAMPLED] > 0.5, inputs[PLAN] < 0.5
        sampled &= (inputs[SAMPLE] - one[0]).abs() < LARGEST
        if not sampled.any():
            continue
        places, wanted = sampled.nonzero().float(), free.nonzero().float()
        left = (inputs[SAMPLE] - one[0])[sampled]
        own = covariance(places, places) + NUGGET * torch.eye(len(places), device=made.device)
        one[0, free] += covariance(wanted, places) @ torch.linalg.solve(own, left)
    return found
