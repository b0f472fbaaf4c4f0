"""A sampler that names each draw, so that a sample's randomness depends on nothing else."""

from collections.abc import Iterator

from torch.utils.data.distributed import DistributedSampler


class EpochSampler(DistributedSampler):
    """Yields `(epoch, index)`, shuffled by (seed, epoch), split over ranks.

    A dataset that draws its crop and augmentation from `(seed, epoch, index)` gives the same sample
    whatever the number of workers or ranks, and after a resume. Lightning calls `set_epoch`.
    """

    def __init__(
        self,
        size: int,
        *,
        shuffle: bool,
        seed: int,
        num_replicas: int = 1,
        rank: int = 0,
        drop_last: bool = False,
    ):
        super().__init__(
            range(size),
            num_replicas=num_replicas,
            rank=rank,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
        )

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, index) for index in super().__iter__())
