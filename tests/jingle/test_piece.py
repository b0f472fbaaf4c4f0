"""A piece of two songs: its length, its level, its figures, and what cannot become one."""

import json

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from jingle.pieces import piece
from tests.jingle.fakes import LinearCodec, average, music


class Model:
    """Takes the place of the trained agent."""

    device = torch.device("cpu")

    def generate(self, songs):
        return average(songs)

    def standard(self, z):
        return z


@pytest.mark.parametrize("lengths", [(24_000, 24_000), (30_001, 28_000), (1_000, 5_000)])
def test_a_piece_is_as_long_as_the_shorter_song(lengths):
    a, b = (music(3.0, seed)[:n] for seed, n in enumerate(lengths))
    options = {"window": 60, "overlap": 8}
    waves, masks, report = piece.make_piece(Model(), LinearCodec(), a, b, **options)
    for wave in waves.values():
        assert wave.shape == (min(lengths),)
        assert np.isfinite(wave).all()
        assert np.abs(wave).max() <= 1
    assert masks["input_mask"].shape == (128, -(-min(lengths) // 320))
    json.dumps(report, allow_nan=False)
    assert report["metrics"]["coverage_error"] == pytest.approx(0, abs=1e-6)


def test_the_piece_of_the_averaging_model_is_the_average():
    a, b = music(2.0, 0), music(2.0, 1)
    options = {"window": 60, "overlap": 8}
    waves, _, report = piece.make_piece(Model(), LinearCodec(), a, b, **options)
    codec = LinearCodec()
    both = codec.encode(torch.from_numpy((a + b) / 2)[None, None])
    assert np.abs(waves["output"] - codec.decode(both)[0, 0].numpy()).max() < 1e-5
    assert report["metrics"]["copying"] == pytest.approx(1, abs=1e-4)
    for name, value in report["baselines"]["plain_average"].items():
        assert value == pytest.approx(report["metrics"][name], abs=1e-4)
    assert report["baselines"]["input_alone"]["rhythm_correlation"] == pytest.approx(1)
    assert report["baselines"]["target_alone"]["harmony"] == pytest.approx(1)


def test_low_tones_are_at_the_bottom_of_the_picture():
    low = np.sin(2 * np.pi * 200 * np.arange(24_000) / 24_000).astype(np.float32)
    figure = piece.picture({"input": low}, {"input_mask": torch.rand(128, 75)})
    image = figure.axes[0].images[0]
    assert image.origin == "lower"
    assert image.get_array()[:30].max() > image.get_array()[200:].max() + 20


def test_silence_makes_no_nan():
    silence = np.zeros(30_000, np.float32)
    for a, b in ((silence, silence), (silence, music(1.25, 0)), (music(1.25, 0), silence)):
        waves, _, report = piece.make_piece(Model(), LinearCodec(), a, b, window=60, overlap=8)
        assert np.isfinite(waves["output"]).all()
        json.dumps(report, allow_nan=False)


def test_a_loud_piece_is_turned_down_not_clipped():
    loud = Model()
    loud.generate = lambda songs: average({name: 50 * z for name, z in songs.items()})
    a, b = music(1.0, 0), music(1.0, 1)
    waves, _, report = piece.make_piece(loud, LinearCodec(), a, b, window=60, overlap=8)
    plain, _, _ = piece.make_piece(Model(), LinearCodec(), a, b, window=60, overlap=8)
    assert report["peak_before_limiting"] > 1
    assert np.abs(waves["output"]).max() == pytest.approx(0.99, abs=1e-4)
    assert np.corrcoef(waves["output"], plain["output"])[0, 1] > 0.9999


def test_songs_too_short_for_anything_are_said():
    a, b = music(1.0, 0), music(1.0, 1)[:100]
    with pytest.raises(InputError, match=r"lasts 0\.004 s"):
        piece.make_piece(Model(), LinearCodec(), a, b, window=60, overlap=8)


def test_a_diverged_model_is_said():
    broken = Model()
    broken.generate = lambda songs: average(songs | {"input": songs["input"] * float("nan")})
    with pytest.raises(InputError, match="no finite sound"):
        piece.make_piece(broken, LinearCodec(), music(1.0, 0), music(1.0, 1), window=60, overlap=8)
