"""The loader of training batches, whose order and whose resume depend on nothing but the seed."""

from typing import Any

import torch
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from experiments.shared.errors import InputError
from experiments.shared.sampling import EpochSampler


def training_loader(
    dataset: Dataset,
    batch_size: int | None,
    *,
    seed: int,
    trainer: Any = None,
    num_workers: int = 0,
    **options: Any,
) -> StatefulDataLoader:
    """Whole batches of `dataset`, shuffled by (seed, epoch) and split over the trainer's ranks.

    The dataset is asked for items `(epoch, index)`, from which it draws all its chance; a run that
    is resumed within an epoch goes on with the next batch.

    Args:
        dataset: with `__len__` and `__getitem__((epoch, index))`.
        batch_size: samples a device; None where an item is a batch.
        seed: of the order.
        trainer: Lightning's, which knows the ranks; None: one process.
        num_workers: processes that load batches.
        options: for the `DataLoader`.

    Raises:
        InputError: fewer samples than a batch for each rank.
    """
    ranks, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
    size = len(dataset)  # type: ignore[arg-type]  # torch's Dataset promises no length
    if size < (batch_size or 1) * ranks:
        raise InputError(
            f"{size} training samples: expected one batch at least for each of {ranks} processes; "
            f"lower data.batch_size={batch_size}, or give more data"
        )
    sampler = EpochSampler(
        size, shuffle=True, seed=seed, num_replicas=ranks, rank=rank, drop_last=True
    )
    return StatefulDataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=batch_size is not None,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        **{"pin_memory": torch.cuda.is_available(), **options},
    )
