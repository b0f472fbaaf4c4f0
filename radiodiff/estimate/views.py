"""A place seen turned and mirrored, whose estimates are averaged: Lim et al. 2017, self-ensemble.

Radio does not care how a plan is turned, a network does, and each answer errs in its own way.

Axes: B batch, K channels of `fields.CHANNELS`, H W map; `which` in 0..7 as of `data.turn`.
"""

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from radiodiff.estimate.fields import CHANNELS

Views = Annotated[int, Ge(1), Le(8)]
ARROWS = [
    (CHANNELS.index(down), CHANNELS.index(right))
    for down, right in (("down", "right"), ("plan_down", "plan_right"))
]


def turn(images: Tensor, which: int) -> Tensor:
    """`data.turn` of the last two axes."""
    turned = torch.rot90(images, which % 4, (-2, -1))
    return turned.flip(-1) if which >= 4 else turned


def turn_back(images: Tensor, which: int) -> Tensor:
    """Undoes `turn`."""
    return torch.rot90(images.flip(-1) if which >= 4 else images, -which % 4, (-2, -1))


def seen(known: Tensor, which: int) -> Tensor:
    """Inputs (B, K, H, W) of the turned place: its directions turn with it."""
    found = turn(known, which).clone()
    for arrow in ARROWS:
        down, right = found[:, arrow].unbind(1)
        for _ in range(which % 4):
            down, right = -right, down
        found[:, arrow] = torch.stack([down, -right if which >= 4 else right], 1)
    return found


def averaged(estimate: Callable[[Tensor], Tensor], known: Tensor, views: int) -> Tensor:
    """The mean of what `estimate` makes (B, 1, H, W) of the first `views` of the eight."""
    total = estimate(known).float()
    for which in range(1, views):
        total = total + turn_back(estimate(seen(known, which)).float(), which)
    return total / views
