"""What is drawn in an epoch: partners and crops that follow from the seed, and each input once."""

import pytest
import torch

from jingle.pairs.triples import draw_partners
from jingle.sound import audio
from tests.jingle.fakes import encoded, module_for


def test_draws_follow_from_seed_epoch_and_index_alone(data, root, cache):
    dataset, same = data.train_dataloader().dataset, module_for(root, cache).train_dataloader()
    same = same.dataset
    assert all(torch.equal(dataset[3, 1][k], same[3, 1][k]) for k in ("input", "target", "blend"))
    drawn = {tuple(dataset[epoch, 1]["blend"][0, :3].tolist()) for epoch in range(8)}
    assert len(drawn) > 4  # partner and crop vary with the epoch
    other = module_for(root, cache, seed=1).train_dataloader().dataset
    assert not all(torch.equal(dataset[e, 1]["blend"], other[e, 1]["blend"]) for e in range(4))


def test_crops_of_the_three_are_from_the_same_place(data, root):
    dataset, frames = data.train_dataloader().dataset, 60
    whole = {
        name: encoded(audio.read(root / "train" / f"{name}.wav")).half().float()
        for name in [f"pair_{i:04d}_{side}" for i in range(4) for side in ("input", "output")]
    }
    starts = set()
    for epoch in range(6):
        item = dataset[epoch, 0]
        places = [
            (name, start)
            for key in ("input", "target")
            for name, latents in whole.items()
            for start in range(75 - frames + 1)
            if torch.equal(item[key], latents[:, start : start + frames])
        ]
        (first, start), (second, other) = places
        assert first == "pair_0000_input"
        assert second.endswith("output")
        assert second != "pair_0000_output"  # shuffled: a partner's, not its own
        assert start == other
        starts.add(start)
    assert len(starts) > 2


def test_without_shuffling_each_input_has_its_own_target(root, cache):
    data = module_for(root, cache, shuffle_targets=False)
    assert all(choice.matched for choices in data._triples["train"] for choice in choices)


@pytest.mark.parametrize(("size", "partners"), [(1, 2), (2, 3), (5, 2), (40, 4)])
def test_partners_are_others_and_differ(size, partners):
    drawn = draw_partners(size, partners, 0)
    for index, others in enumerate(drawn):
        if size == 1:
            assert others == [0]
            continue
        assert index not in others
        assert len(set(others)) == len(others) == min(partners, size - 1)
        assert set(others) <= set(range(size))
    assert drawn == draw_partners(size, partners, 0)
    if size == 40:
        assert drawn != draw_partners(size, partners, 1)


def test_a_training_epoch_sees_each_input_once_on_two_ranks(data):
    from experiments.shared.sampling import EpochSampler

    seen = [
        index
        for rank in range(2)
        for _, index in EpochSampler(4, shuffle=True, seed=0, num_replicas=2, rank=rank)
    ]
    assert sorted(seen) == list(range(4))
