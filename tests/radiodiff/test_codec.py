"""Latents in files: what is decoded is what was encoded, and it costs little."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from experiments.shared.errors import InputError
from radiodiff import baselines
from radiodiff.autoencoder import codec


def smooth(seed: int, h: int = 32, w: int = 32) -> np.ndarray:
    """Latents (3, h, w) of which the second channel follows the first."""
    rng = np.random.default_rng(seed)
    found = np.stack([gaussian_filter(rng.normal(size=(h, w)), 2, mode="wrap") for _ in range(3)])
    found /= found.std((1, 2), keepdims=True)
    found[1] = 0.9 * found[0] + 0.1 * found[1]
    return found.astype(np.float32)


@pytest.fixture(scope="module")
def tables() -> codec.Tables:
    return codec.fit(np.stack([smooth(seed) for seed in range(8)]), np.full(3, 0.1))


@given(h=st.integers(1, 21), w=st.integers(1, 21), coarseness=st.sampled_from([0.5, 1.0, 3.0]))
def test_decoded_latents_are_off_by_half_a_step_at_most(tables, h, w, coarseness):
    latents = smooth(100, 21, 21)[:, :h, :w]
    found = codec.decode(codec.encode(latents, tables, coarseness), tables)
    assert np.abs(found - latents).max() <= 0.05 * coarseness + 1e-5


@given(st.integers(1, 40), st.integers(1, 40))
def test_every_position_is_coded_once_and_after_its_neighbours(h, w):
    coded = np.zeros((h, w), int)
    for rows, columns, near in codec.stages(h, w):
        assert near is None or (coded[near[0], near[1]] == 1).all()
        coded[rows, columns] += 1
    assert (coded == 1).all()


def test_a_file_costs_less_than_the_entropy_of_its_numbers(tables):
    latents = np.stack([smooth(seed) for seed in range(20, 26)])
    bits = 8 * np.mean([len(codec.encode(x, tables)) for x in latents])
    entropy = 0.0
    for channel in np.moveaxis(np.rint(latents / 0.1).astype(int), 1, 0):
        share = np.unique(channel, return_counts=True)[1] / channel.size
        entropy -= (share * np.log2(share)).sum() * 32 * 32
    assert bits < 0.8 * entropy
    coarse, fine = (len(codec.encode(latents[0], tables, c)) for c in (4.0, 1.0))
    assert coarse < 0.75 * fine


def test_far_outliers_survive(tables):
    latents = smooth(7)
    latents[2, 5, 5] = 150.0
    found = codec.decode(codec.encode(latents, tables), tables)
    assert found[2, 5, 5] == pytest.approx(150, abs=0.06)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:9], "cut short"),
        (lambda data: b"PNG " + data[4:], "another kind of file"),
        (lambda data: data[:8] + b"abcd" + data[12:], "by another model"),
    ],
)
def test_bad_files_are_named(tables, spoil, message):
    data = codec.encode(smooth(1), tables)
    with pytest.raises(InputError, match=f"map.rdm: .*{message}"):
        codec.decode(spoil(data), tables, "map.rdm")


@pytest.mark.parametrize("name", baselines.CODECS)
def test_image_formats_get_better_and_dearer(name):
    draws = torch.Generator().manual_seed(0)
    rough = torch.rand(1, 1, 96, 96, generator=draws)
    maps = torch.nn.functional.avg_pool2d(rough, 9, 1, 4) * 2 - 1
    kind = baselines.CODECS[name]
    ends = [baselines.through_file(maps, kind, q) for q in (kind.qualities[0], kind.qualities[-1])]
    (worse, cheap), (better, dear) = ends
    assert float(cheap) < float(dear)
    assert float((better - maps).square().mean()) < float((worse - maps).square().mean())
    assert baselines.choose_quality({10: 0.2, 50: 0.9, 90: 2.0}, 0.5) == 50
    assert baselines.choose_quality({10: 0.2, 50: 0.9}, 3.0) == 50
