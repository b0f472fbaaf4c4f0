"""Laws of tempo, beats and of the warp that brings one song under another."""

import numpy as np
import pytest

from jingle.pairs import align
from jingle.songs.song import render_song
from jingle.sound import beats, features

RATE = 24_000


def song(seed, tempo, seconds=20.0):
    return render_song((5, seed), seconds, tempo=tempo, parts=("drums", "bass", "chords"))


@pytest.fixture(scope="module")
def two():
    """A song at 100 and one at 120 beats a minute, with their pulses."""
    sounds = [song(seed, tempo)["audio"] for seed, tempo in ((0, 100.0), (2, 120.0))]
    return [(sound, beats.track(sound)) for sound in sounds]


def octave_error(found, wanted):
    """How far a tempo is off, leaving aside that it may be counted at half or double speed."""
    ratio = np.log2(found / wanted)
    return abs(ratio - round(ratio))


def test_tempo_is_found(two):
    for (_, pulse), tempo in zip(two, (100, 120), strict=True):
        assert octave_error(pulse.tempo, tempo) < 0.01
        assert pulse.steadiness > 0.8
        assert pulse.first in range(4)


def test_silence_and_a_tone_have_no_pulse():
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(5 * RATE) / RATE)
    for sound in (np.zeros(5 * RATE), tone, np.zeros(10)):
        pulse = beats.track(sound.astype(np.float32))
        assert pulse.tempo == 0
        assert len(pulse.beats) == 0


def test_halving_and_doubling_keep_the_bars():
    pulse = beats.Pulse(np.arange(16.0), 2, 1.0)
    assert pulse.halved().beats[pulse.halved().first] == 2.0
    assert pulse.halved().tempo == pytest.approx(30)
    assert pulse.doubled().beats[pulse.doubled().first] == 2.0
    assert pulse.doubled().tempo == pytest.approx(120)
    slow = beats.Pulse(np.arange(16.0) * 2.1, 0, 1.0)
    assert align.fold(pulse, slow).tempo == pytest.approx(60 / 1.05)
    assert align.fold(slow, pulse).tempo == pytest.approx(30)


def test_tempo_brings_b_to_the_tempo_of_a(two):
    (_, a), (sound, b) = two
    warp = align.warp(a, b, how="tempo", start_a=2.0, start_b=1.0, seconds=10.0)
    assert 1 / align.FARTHEST <= warp.rate <= align.FARTHEST
    found = align.hear(sound, warp)
    assert len(found) == 10 * RATE
    assert octave_error(beats.track(found).tempo, a.tempo) < 0.03


@pytest.mark.parametrize("steady", [True, False])
def test_beats_of_b_fall_on_beats_of_a(two, steady):
    """By one rate, and beat by beat where the pulse sways: clicks stand for B's beats."""
    (_, a), (sound, b) = two
    if not steady:
        sway = lambda t: t + 0.15 * np.sin(t)  # noqa: E731
        a = beats.Pulse(sway(a.beats), a.first, 0.3)
    clicks = np.zeros(len(sound), np.float32)
    places = (b.beats[(b.beats > 0) & (b.beats < 19.9)] * RATE).astype(int)
    clicks[places[:, None] + np.arange(60)] = 0.9
    warp = align.warp(a, b, how="beat", start_a=3.0, start_b=2.0, seconds=12.0)
    heard = align.hear(clicks, warp)
    assert len(heard) == 12 * RATE
    found = features.onset_times(features.onset_envelope(heard))
    grid = np.sort(np.r_[a.beats, (a.beats[1:] + a.beats[:-1]) / 2]) - 3.0
    far = np.abs(found[:, None] - grid).min(1)
    assert len(found) > 8
    assert np.median(far) < 0.03
    assert np.quantile(far, 0.9) < 0.06


def test_bars_begin_together(two):
    (_, a), (_, b) = two
    warp = align.warp(a, b, how="beat", start_a=3.0, start_b=2.0, seconds=12.0)
    b = align.fold(a, b)
    bar = b.beats[align.bar_after(b, 2.0)]
    heard = np.interp(bar, warp.source, warp.heard) + 3.0
    assert np.abs(a.beats[a.first :: 4] - heard).min() < 0.02


def test_none_and_an_equal_tempo_leave_samples_alone(two):
    (_, a), (sound, _) = two
    warp = align.warp(a, a, how="none", start_a=0.0, start_b=1.5, seconds=4.0)
    assert np.array_equal(align.hear(sound, warp), sound[36_000 : 36_000 + 96_000])
    beyond = align.warp(a, a, how="none", start_a=0.0, start_b=18.0, seconds=4.0)
    assert not align.hear(sound, beyond)[2 * RATE :].any()


def test_a_song_without_a_pulse_cannot_be_aligned(two):
    (_, a), _ = two
    still = beats.Pulse(np.zeros(0), 0, 0.0)
    options = {"start_a": 0.0, "start_b": 0.0, "seconds": 4.0}
    assert align.warp(a, still, how="beat", **options) is None
    assert align.warp(still, a, how="tempo", **options) is None
    assert align.warp(still, still, how="none", **options) is not None


@pytest.mark.parametrize("shift", [-3, -1, 0, 2])
def test_the_key_is_matched_within_three_semitones(shift):
    time = np.arange(4 * RATE) / RATE

    def chord(root):
        return sum(np.sin(2 * np.pi * root * 2 ** (k / 12) * time) for k in (0, 4, 7)) * 0.1

    a, b = (chord(root).astype(np.float32) for root in (262.0, 262.0 * 2 ** (-shift / 12)))
    found, match = align.key_shift(align.profile(a), align.profile(b))
    assert found == shift
    assert match > 0.9
    warp = align.Warp(np.array([0.0, 3.0]), np.array([0.5, 3.5]), semitones=found)
    again, _ = align.key_shift(align.profile(a), align.profile(align.hear(b, warp)))
    assert again == 0


def test_stereo_stays_stereo(two):
    (_, a), (sound, b) = two
    both = np.stack([sound, -sound], 1)
    warp = align.warp(a, b, how="tempo", start_a=0.0, start_b=0.0, seconds=5.0)
    found = align.hear(both, warp)
    assert found.shape == (5 * RATE, 2)
    assert np.corrcoef(found.T)[0, 1] < -0.99
