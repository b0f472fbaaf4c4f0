"""Learning-rate schedules, counted in whatever unit the module steps them."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from experiments.shared.kinds import Fraction, NonNegativeInt


def warmup_cosine(
    optimizer: Optimizer, *, warmup: NonNegativeInt, total: int, floor: Fraction = 0.0
) -> LambdaLR:
    """Linear warm-up over `warmup` counts, then a cosine down to `floor` x base rate at `total`.

    Beyond `total` the rate stays at the floor, so that a resumed, longer run goes on. Loshchilov
    and Hutter 2017, without restarts.
    """

    def factor(count: int) -> float:
        if count < warmup:
            return (count + 1) / warmup
        done = min(1.0, (count - warmup) / max(1, total - warmup))
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))

    return LambdaLR(optimizer, factor)
