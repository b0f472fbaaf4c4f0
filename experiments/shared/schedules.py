"""Learning-rate schedules, counted in whatever unit the module steps them."""

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from experiments.shared.errors import InputError
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


def by_update(schedule: Any, optimizer: Optimizer, trainer: Any, batches: int) -> LambdaLR:
    """`schedule`, whose `warmup` and `total` are epochs, to be stepped after every update.

    A warm-up of one epoch is one: stepped once an epoch it would begin at the full rate.

    Args:
        schedule: partial of a schedule.
        optimizer: what it moves.
        trainer: Lightning's, whose limits count.
        batches: of an epoch, on a rank.
    """
    length = per_epoch(trainer, batches)
    counts = {key: schedule.keywords[key] * length for key in ("warmup", "total")}
    return schedule(optimizer, **counts)


def per_epoch(trainer: Any, batches: int) -> int:
    """Optimizer updates of an epoch whose loader has `batches` batches a rank."""
    limit = trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    return max(1, math.ceil(batches / trainer.accumulate_grad_batches))


def updates(trainer: Any, batches: int) -> int:
    """Optimizer updates of a whole run whose epochs have `batches` batches a rank.

    As Lightning will count them: by limits, accumulation, and whichever of `max_steps` and
    `max_epochs` ends the run. (Its own `estimated_stepping_batches` would start the loader, which
    then forgets where a resumed run stood.)

    Raises:
        InputError: the run has no end that could be known.
    """
    an_epoch = per_epoch(trainer, batches)
    ends = []
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        ends.append(an_epoch * trainer.max_epochs)
    if trainer.max_steps is not None and trainer.max_steps >= 0:
        ends.append(trainer.max_steps)
    if not ends:
        raise InputError(
            "the learning rate's schedule ends with the run: expected trainer.max_epochs or "
            "trainer.max_steps, got neither"
        )
    return max(1, min(ends))
