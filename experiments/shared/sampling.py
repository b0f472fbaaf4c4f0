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
            range(size),  # type: ignore[arg-type]  # of a dataset only its length is asked
            num_replicas=num_replicas,
            rank=rank,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
        )

    def __iter__(self) -> "Draws":
        return Draws(self)

    def indices(self) -> Iterator[int]:
        return super().__iter__()


class Draws:
    """One epoch's draws. The order is fixed at the first draw, not before.

    On a resume Lightning makes the iterator first and names the epoch after; a stateful loader then
    says here how many draws the interrupted epoch has had.
    """

    def __init__(self, sampler: EpochSampler):
        self.sampler, self.drawn = sampler, 0
        self.order: list[int] | None = None

    def __iter__(self) -> "Draws":
        return self

    def __next__(self) -> tuple[int, int]:
        if self.order is None:
            self.order, self.epoch = list(self.sampler.indices()), self.sampler.epoch
        if self.drawn >= len(self.order):
            raise StopIteration
        self.drawn += 1
        return self.epoch, self.order[self.drawn - 1]

    def state_dict(self) -> dict[str, int]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.drawn = state["drawn"]
