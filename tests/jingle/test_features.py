import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jingle.sound import features
from tests.jingle.fakes import music

RATE = features.RATE


def clicks(times, seconds=4.0, seed=0):
    rng = np.random.default_rng(seed)
    audio = np.zeros(round(seconds * RATE), np.float32)
    for time in times:
        start = round(time * RATE)
        burst = rng.standard_normal(2_400) * np.exp(-np.arange(2_400) / 400)
        audio[start : start + 2_400] += 0.5 * burst[: len(audio) - start].astype(np.float32)
    return audio


def chord(*frequencies, seconds=4.0):
    time = np.arange(round(seconds * RATE)) / RATE
    tones = [np.sin(2 * np.pi * f * h * time) / h for f in frequencies for h in (1, 2, 3)]
    return (0.05 * sum(tones)).astype(np.float32)


C, F_SHARP = (261.63, 329.63, 392.0), (369.99, 466.16, 554.37)
C_LOW = tuple(f / 2 for f in C)


def brute_force(reference, estimate, tolerance):
    """Tries every assignment of the shorter list to places in the longer."""
    short, long = sorted((reference, estimate), key=len)
    best = 0
    for places in itertools.permutations(range(len(long)), len(short)):
        hits = sum(abs(x - long[p]) <= tolerance for x, p in zip(short, places, strict=True))
        best = max(best, hits)
    return best


times = st.lists(st.integers(0, 40).map(lambda n: n / 100), max_size=5)


@given(times, times)
def test_onset_matching_equals_brute_force(reference, estimate):
    found = features.matches(np.array(reference), np.array(estimate), 0.0501)
    assert found == brute_force(reference, estimate, 0.0501)


@given(times, times)
def test_f1_is_symmetric_and_within_bounds(a, b):
    a, b = np.array(a), np.array(b)
    assert 0 <= features.onset_f1(a, b) == features.onset_f1(b, a) <= 1
    assert features.onset_f1(a, a) == 1


def test_f1_by_hand():
    assert features.onset_f1(np.array([1.0, 2.0, 3.0]), np.array([1.04, 2.06])) == 0.4
    assert features.onset_f1(np.zeros(0), np.zeros(0)) == 1
    assert features.onset_f1(np.zeros(0), np.array([1.0])) == 0


def test_onsets_are_found_where_they_are():
    true = np.arange(0.25, 3.9, 0.25)
    found = features.onset_times(features.onset_envelope(clicks(true) + chord(*C)))
    assert features.onset_f1(true, found, tolerance=0.03) > 0.96


def test_another_rhythm_scores_lower():
    a = features.analyse(clicks(np.arange(0.25, 3.9, 0.25)))
    same = features.analyse(clicks(np.arange(0.25, 3.9, 0.25), seed=1) * 0.3)
    other = features.analyse(clicks(np.arange(0.1, 3.9, 0.4)))
    assert features.onset_f1(a.onsets, same.onsets) > 0.95
    assert features.onset_f1(a.onsets, other.onsets) < 0.5
    assert features.envelope_correlation(a.envelope, same.envelope) > 0.9
    assert features.envelope_correlation(a.envelope, other.envelope) < 0.3


def test_independent_noise_does_not_correlate():
    rng = np.random.default_rng(0)
    pair = [features.onset_envelope(rng.standard_normal(96_000) * 0.1) for _ in range(2)]
    assert abs(features.envelope_correlation(*pair)) < 0.2


def test_the_start_of_a_crop_is_no_onset():
    steady = chord(*C)[5_000:]
    assert not (features.onset_times(features.onset_envelope(steady)) < 0.1).any()


def test_harmony_knows_a_chord_in_another_octave_and_loudness():
    reference = features.analyse(chord(*C))
    same = features.analyse(0.2 * chord(*C_LOW))
    other = features.analyse(chord(*F_SHARP))
    assert features.chroma_similarity(reference, reference) == pytest.approx(1, abs=1e-6)
    assert features.chroma_similarity(reference, same) > 0.9
    assert features.chroma_similarity(reference, other) < 0.0


def test_harmony_of_noise_is_about_zero():
    rng = np.random.default_rng(0)
    noise = [features.analyse(rng.standard_normal(96_000) * 0.1) for _ in range(3)]
    assert abs(features.chroma_similarity(*noise[:2])) < 0.15
    assert abs(features.chroma_similarity(features.analyse(chord(*C)), noise[2])) < 0.15


def test_harmony_weighs_frames_by_the_reference():
    half = chord(*C)
    half[48_000:] *= 0.01
    wrong_when_quiet = chord(*C)
    wrong_when_quiet[48_000:] = chord(*F_SHARP)[48_000:]
    similarity = features.chroma_similarity(
        features.analyse(half), features.analyse(wrong_when_quiet)
    )
    assert similarity > 0.9


def test_silence_by_convention():
    silence = features.analyse(np.zeros(48_000, np.float32))
    sound = features.analyse(music(2.0, 0))
    both = features.compare(silence, silence, silence)
    assert (both["rhythm_f1"], both["rhythm_correlation"], both["harmony"]) == (1, 1, 1)
    for piece, source in ((silence, sound), (sound, silence)):
        one = features.compare(piece, source, source)
        assert (one["rhythm_f1"], one["rhythm_correlation"], one["harmony"]) == (0, 0, 0)
    assert silence.level == -120
    assert silence.centroid == 0


@pytest.mark.parametrize("samples", [1, 240, 1_023, 5_000])
def test_short_pieces_give_numbers(samples):
    piece = features.analyse(music(1.0, 0)[:samples])
    assert all(np.isfinite(value) for value in features.compare(piece, piece, piece).values())


def test_centroid_and_level_by_hand():
    time = np.arange(RATE * 2) / RATE
    sine = np.sin(2 * np.pi * 3_000 * time).astype(np.float32)
    assert features.spectral_centroid(sine) == pytest.approx(3_000, rel=0.05)
    assert features.level(sine) == pytest.approx(-3.01, abs=0.01)


def test_torch_and_numpy_are_the_same():
    sound = music(1.0, 0)
    one, two = features.analyse(sound), features.analyse(torch.from_numpy(sound)[None])
    assert np.array_equal(one.envelope, two.envelope)
    assert features.compare(one, two, two)["rhythm_f1"] == 1
