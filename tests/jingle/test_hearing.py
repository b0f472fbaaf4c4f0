"""Laws of what is heard: whose drums, whose harmony, and how far two sets of sounds are apart."""

import math

import numpy as np
import pytest
import torch

from jingle import hearing
from jingle.sound import sets
from tests.jingle.fakes import LinearCodec

RATE = 24_000


def drums(times: np.ndarray, seconds: float = 4.0) -> np.ndarray:
    """Bursts of noise at `times`."""
    rng, wave = np.random.default_rng(0), np.zeros(round(seconds * RATE), np.float32)
    for time in times:
        start = round(time * RATE)
        burst = rng.standard_normal(2400) * np.exp(-np.arange(2400) / 300)
        wave[start : start + 2400] += 0.3 * burst[: len(wave) - start]
    return wave


def chord(frequencies: tuple[float, ...], seconds: float = 4.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return sum(0.1 * np.sin(2 * np.pi * f * time) for f in frequencies).astype(np.float32)


def tensor(wave: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(wave)[None, None]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, float]]:
    own, other = drums(np.arange(0.25, 3.8, 0.5)), drums(np.arange(0.37, 3.8, 0.31))
    c, fis = chord((261.6, 329.6, 392.0)), chord((370.0, 466.2, 554.4))
    parts = dict(zip(hearing_parts(), map(tensor, (own, fis, other, c)), strict=True))
    parts |= {"input": tensor(own + fis), "target": tensor(other + c)}
    pieces = {"right": own + c, "leaky": own + other + c + fis, "wrong": other + fis}
    scores, seen = hearing.compare(
        {name: tensor(wave) for name, wave in pieces.items()}, parts, tensor(pieces["right"])
    )
    assert seen["right"].shape == (15, 120)
    return {name: {k: float(v) for k, v in one.items()} for name, one in scores.items()}


def hearing_parts() -> tuple[str, ...]:
    return ("input_percussive", "input_harmonic", "target_percussive", "target_harmonic")


def test_the_right_piece_keeps_and_leaks_nothing(found):
    right = found["right"]
    assert right["rhythm_f1"] > 0.9
    assert right["rhythm_leak"] < 0.2
    assert right["harmony"] > 0.9
    assert abs(right["harmony_leak"]) < 0.5
    assert right["mel_distance"] == 0


def test_what_leaks_is_seen_where_the_mix_would_count_it_a_success(found):
    assert found["leaky"]["rhythm_leak"] > 0.8
    assert found["leaky"]["harmony_leak"] > found["right"]["harmony_leak"] + 0.2
    assert found["wrong"]["rhythm_leak"] > 0.8
    assert found["wrong"]["rhythm_f1"] < found["right"]["rhythm_f1"]
    assert found["wrong"]["harmony"] < 0.3


def test_a_residue_that_is_raised_is_no_drums(found):
    assert found["right"]["drumless"] == 0
    residue, song, other = (
        tensor(x) for x in (0.05 * chord((262.0,)), chord((262.0,)), chord((330.0,)))
    )
    parts = {"input_percussive": residue, "input": song, "target": other}
    assert hearing.drumless(parts).tolist() == [1]


def test_onsets_that_both_have_are_no_leak():
    kept, other = np.array([1.0, 2.0]), np.array([1.02, 1.5])
    assert hearing.leaked(kept, other, np.array([1.0, 2.0])) == 0
    assert hearing.leaked(kept, other, np.array([1.0, 1.5])) == 1
    assert math.isnan(hearing.leaked(kept, kept, kept))
    assert hearing.leaked(np.zeros(0), other, np.zeros(0)) == 0


def test_pieces_are_turned_down_to_their_ceiling_and_never_up():
    codec = LinearCodec()
    quiet = codec.encode(torch.full((1, 1, 3200), 0.01))
    loud = codec.encode(torch.randn(1, 1, 3200, generator=torch.Generator().manual_seed(0)))
    assert float(hearing.headroom(codec, quiet)) == 1
    peak = codec.decode(hearing.headroom(codec, loud) * loud).abs().max()
    assert float(peak) == pytest.approx(0.99, abs=1e-4)


def test_a_set_is_near_itself_and_far_from_another_kind():
    rng = np.random.default_rng(0)
    songs = [drums(np.sort(rng.uniform(0, 3.5, 8))) + chord((220.0 * k,)) for k in range(1, 9)]
    reference = sets.Reference(songs)
    own = np.concatenate([sets.windows(wave) for wave in songs])
    assert reference.distance(own)[0] == pytest.approx(0, abs=1e-6)
    noise = np.concatenate([sets.windows(0.1 * rng.standard_normal(96_000)) for _ in range(4)])
    assert reference.distance(noise)[0] > 100


def test_the_distance_of_infinite_sets_does_not_grow_with_a_sample():
    """Two halves of one kind: what a finite sample adds is extrapolated away."""
    rng = np.random.default_rng(1)
    reference = sets.Reference.__new__(sets.Reference)
    reference.mean, reference.scale = np.zeros(24), np.ones(24)
    reference.directions, reference.points = np.eye(24), rng.standard_normal((20_000, 24))
    finite, infinite = reference.distance(rng.standard_normal((150, 24)))
    assert finite > 1
    assert abs(infinite) < 0.4 * finite


def test_frechet_distance_has_its_closed_form():
    """Of scaled and shifted normals: |difference of means|^2 + D (difference of deviations)^2."""
    points = np.random.default_rng(2).standard_normal((500, 3))
    points = (points - points.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(points.T))).T
    assert sets.frechet(points, 2 * points + 1) == pytest.approx(3 + 3)
