"""The terms of estimation, of gray maps (B, 1, H, W) in [0, 1] or of ends of the flow's paths."""

import torch.nn.functional as F
from torch import Tensor

TERMS = {"regressor": ("l1", "l2", "edges"), "flow": ("matching",)}  # of each estimator


def l1(made: Tensor, maps: Tensor) -> Tensor:
    return F.l1_loss(made, maps)


def l2(made: Tensor, maps: Tensor) -> Tensor:
    return F.mse_loss(made, maps)


def edges(made: Tensor, maps: Tensor) -> Tensor:
    """Mean difference of the steps between neighbours, down and across: borders of shadows."""
    return sum(F.l1_loss(made.diff(dim=axis), maps.diff(dim=axis)) for axis in (-2, -1))


def matching(found: Tensor, true: Tensor) -> Tensor:
    """Conditional flow matching of straight paths by their ends (B, Z, h, w).

    The velocity's error is that of the end over 1 - t, so this is matching of velocities with a
    weight of (1 - t)^2.
    """
    return F.mse_loss(found, true)
