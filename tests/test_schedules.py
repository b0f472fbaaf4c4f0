"""Laws of learning-rate schedules."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from experiments.shared.schedules import by_update, warmup_cosine


def rates(schedule, trainer, batches: int, count: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    moved, found = by_update(schedule, optimizer, trainer, batches), []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        moved.step()
    return found


def trainer(limit: float = 1.0) -> SimpleNamespace:
    return SimpleNamespace(limit_train_batches=limit, accumulate_grad_batches=1)


def test_epochs_are_counted_in_updates():
    found = rates(partial(warmup_cosine, warmup=1, total=3, floor=0.1), trainer(), 4, 16)
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert found[4:12] == sorted(found[4:12], reverse=True)
    assert found[12:] == pytest.approx([0.1] * 4)


def test_limits_of_the_trainer_count():
    whole = rates(partial(warmup_cosine, warmup=2, total=4), trainer(0.5), 8, 10)
    assert whole == rates(partial(warmup_cosine, warmup=2, total=4), trainer(4), 8, 10)
    assert whole[7] == 1.0


def test_without_a_warm_up_the_first_update_has_the_full_rate():
    assert rates(partial(warmup_cosine, warmup=0, total=1, floor=1.0), trainer(), 3, 5) == [1.0] * 5
