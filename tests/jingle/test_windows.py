"""Windows over a song: they cover it, fade into each other, and their seams are measured."""

from itertools import pairwise

import pytest
import torch

from jingle.pieces import windows
from tests.jingle.fakes import average


def latents_of(length, seed=0, channels=128):
    return torch.randn(channels, length, generator=torch.Generator().manual_seed(seed))


class Windowed:
    """A model whose every window differs by a constant: the worst that a window can do."""

    def __init__(self):
        self.seen = 0

    def __call__(self, songs):
        a = songs["input"]
        offsets = torch.arange(self.seen, self.seen + len(a)).remainder(2)[:, None, None]
        self.seen += len(a)
        return {"output": torch.zeros_like(a) + offsets}


@pytest.mark.parametrize("length", [64, 65, 111, 112, 113, 500])
@pytest.mark.parametrize("overlap", [0, 1, 16])
def test_windows_cover_the_song_and_overlap_enough(length, overlap):
    first = windows.starts(length, 64, overlap)
    assert first[0] == 0
    assert first[-1] == length - 64
    assert all(0 < t - s <= 64 - overlap for s, t in pairwise(first))


@pytest.mark.parametrize("length", [1, 40, 64, 65, 100, 333])
@pytest.mark.parametrize("overlap", [0, 8])
def test_a_frame_wise_model_shows_no_seam(length, overlap):
    a, b = latents_of(length), latents_of(length, 1)
    song, seams = windows.generate(
        average, {"input": a, "target": b}, window=64, overlap=overlap, batch=3
    )
    whole = {
        name: value[0] for name, value in average({"input": a[None], "target": b[None]}).items()
    }
    for name, value in song.items():
        assert value.shape == (128, length)
        assert torch.allclose(value, whole[name], atol=1e-5), name
    assert seams["disagreement"] < 1e-5
    assert seams["step"] == pytest.approx(1, abs=0.15)


def test_weights_sum_to_one_everywhere():
    for length, overlap in ((64, 8), (100, 8), (300, 20), (171, 0)):
        weights, total = windows.fade(64, overlap), torch.zeros(length)
        for start in windows.starts(length, 64, overlap):
            total[start : start + 64] += weights
        assert (total > 0).all()


def test_disagreeing_windows_are_faded_over_the_overlap():
    zeros = torch.zeros(4, 112)
    song, seams = windows.generate(Windowed(), {"input": zeros}, window=64, overlap=16)
    output = song["output"][0]
    assert torch.equal(output[:48], torch.zeros(48))
    assert torch.equal(output[64:], torch.ones(48))
    # from 0 to 1 in 17 even steps: no jump is larger than one over the overlap
    assert output.diff().abs().max() <= 1 / 17 + 1e-6
    assert seams["disagreement"] == pytest.approx(1 / float(output.std(correction=0)), rel=1e-4)
    abrupt, cut = windows.generate(Windowed(), {"input": zeros}, window=56, overlap=0)
    assert abrupt["output"][0].diff().abs().max() == 1
    assert cut["step"] > 1


def test_the_report_of_seams_notices_an_abrupt_join():
    a = latents_of(400).cumsum(1) * 0.05

    def jumping(songs):
        """Windows that are off by two standard deviations in turn."""
        x = songs["input"]
        jumping.count += 1
        return {"output": x + 2 * x.std() * (jumping.count % 2)}

    jumping.count = 0
    _, cut = windows.generate(jumping, {"input": a}, window=100, overlap=0, batch=1)
    jumping.count = 0
    _, faded = windows.generate(jumping, {"input": a}, window=100, overlap=40, batch=1)
    assert cut["step"] > 2 * faded["step"]
