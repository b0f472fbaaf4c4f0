"""Training batches: shuffled by the seed, split over ranks, resumed within an epoch."""

from itertools import islice
from types import SimpleNamespace

import pytest
from torch.utils.data import Dataset

from experiments.shared.errors import InputError
from experiments.shared.loaders import training_loader


class Items(Dataset):
    """Gives back what it is asked for."""

    def __init__(self, size: int):
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, item):
        return item


def loader(size: int = 20, batch_size: int | None = 4, rank: int = 0, ranks: int = 1, **options):
    trainer = SimpleNamespace(world_size=ranks, global_rank=rank)
    return training_loader(Items(size), batch_size, seed=3, trainer=trainer, **options)


def indices(batches) -> list[int]:
    return [int(i) for _, batch in batches for i in batch]


def test_an_epoch_has_every_sample_once_in_an_order_of_the_seed():
    first, again = indices(loader()), indices(loader())
    assert first == again != sorted(first)
    assert sorted(first) == list(range(20))


def test_ranks_share_the_samples_and_have_as_many_batches():
    one, two = (indices(loader(21, rank=rank, ranks=2)) for rank in (0, 1))
    assert len(one) == len(two) == 8
    assert not set(one) & set(two)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_resumed_epoch_goes_on_with_the_next_batch(num_workers: int):
    whole = indices(loader(num_workers=num_workers))
    stopped, resumed = loader(num_workers=num_workers), loader(num_workers=num_workers)
    had = indices(islice(stopped, 2))
    resumed.load_state_dict(stopped.state_dict())
    assert had + indices(resumed) == whole


def test_an_item_may_be_a_batch():
    assert sorted(index for _, index in loader(5, None)) == list(range(5))


@pytest.mark.parametrize(("size", "batch_size"), [(7, 4), (1, None)])
def test_fewer_samples_than_a_batch_for_each_rank_are_refused(size: int, batch_size: int | None):
    with pytest.raises(InputError, match=r"lower data\.batch_size"):
        loader(size, batch_size, ranks=2)
