"""Laws of the embedded corpus: truth that is true, splits by song, the same seed the same song."""

import json

import numpy as np
import pytest
import soundfile

from experiments.shared.errors import InputError
from jingle.corpus import make_corpus, render_pair
from jingle.songs.song import render_song

RATE = 24_000


@pytest.fixture(scope="module")
def songs():
    return [render_song((7, index), seconds=8.0) for index in range(6)]


def test_stems_add_up_and_stay_below_full_scale(songs):
    for song in songs:
        assert song["audio"].dtype == np.float32
        assert song["audio"].shape == (8 * RATE,)
        np.testing.assert_array_equal(song["audio"], song["percussive"] + song["harmonic"])
        for part in ("audio", "percussive", "harmonic"):
            assert np.isfinite(song[part]).all()
            assert 0.01 < np.abs(song[part]).max() < 1.0


def test_energy_rises_at_the_true_onsets_of_the_kick(songs):
    for song in songs:
        drums = song["percussive"] ** 2
        rises = []
        for time in song["onsets"]["kick"]:
            at = round(time * RATE)
            if 1200 < at < len(drums) - 1200:
                rises.append(drums[at : at + 720].mean() > 2 * drums[at - 720 : at - 48].mean())
        assert np.mean(rises) > 0.8


def test_harmony_sounds_the_true_chord(songs):
    """Energy on the chord's pitch classes, bar by bar, beats their share of the twelve."""
    for song in songs:
        gains = []
        for chord in song["chords"]:
            first, last = (round(chord[edge] * RATE) for edge in ("start", "end"))
            if last - first < RATE // 2:
                continue
            bar = song["harmonic"][first:last] * np.hanning(last - first)
            power = np.abs(np.fft.rfft(bar)) ** 2
            frequency = np.fft.rfftfreq(last - first, 1 / RATE)
            heard = (frequency > 60) & (frequency < 1000)
            pitch = np.round(69 + 12 * np.log2(frequency[heard] / 440)).astype(int) % 12
            chroma = np.bincount(pitch, power[heard], 12)
            members = chord["pitch_classes"]
            gains.append(chroma[members].sum() / chroma.sum() / (len(members) / 12))
        assert np.mean(gains) > 1.5


def test_same_seed_same_song_and_other_seed_other_song():
    first, again, other = (render_song(seed, seconds=2.0) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first["audio"], again["audio"])
    assert not np.allclose(first["audio"], other["audio"])


def test_leaving_out_a_part_leaves_the_drums_as_they_are():
    whole, bare = render_song(5, 2.0), render_song(5, 2.0, parts=("drums", "bass"))
    assert whole["onsets"] == bare["onsets"]
    correlation = np.corrcoef(whole["percussive"], bare["percussive"])[0, 1]
    assert correlation > 0.999


def test_corpus_has_the_layout_of_pairs_and_no_song_twice(tmp_path):
    make_corpus(tmp_path, pairs=2, val_pairs=1, test_pairs=1, seconds=1.0, seed=1)
    lines = dict(line.split(": ") for line in (tmp_path / "metadata.txt").read_text().splitlines())
    assert lines["samples_per_segment"] == "24000"
    assert lines["total_pairs"] == "4"
    seen = []
    for split, count in (("train", 2), ("val", 1), ("test", 1)):
        for index in range(count):
            truth = json.loads((tmp_path / "truth" / split / f"pair_{index:04d}.json").read_text())
            for side in ("input", "output"):
                stem = f"pair_{index:04d}_{side}"
                sound, rate = soundfile.read(tmp_path / split / f"{stem}.wav", dtype="float32")
                assert (rate, sound.shape) == (RATE, (RATE,))
                parts = [
                    soundfile.read(tmp_path / "stems" / split / f"{stem}_{part}.wav")[0]
                    for part in ("percussive", "harmonic")
                ]
                assert np.abs(sum(parts) - sound).max() < 2e-4  # 16 bit, rounded three times
                assert truth[side]["tempo"] > 0
                seen.append(sound)
    agreement = np.corrcoef(np.stack(seen)) - np.eye(len(seen))
    assert np.abs(agreement).max() < 0.9


def test_aligned_pairs_share_the_tempo():
    for share, same in ((1.0, True), (0.0, False)):
        first, second = render_pair(0, "train", 0, 1.0, share)
        assert (first["tempo"] == second["tempo"]) is same


def test_a_pair_does_not_depend_on_how_many_there_are(tmp_path):
    for name, count in (("few", 1), ("more", 2)):
        make_corpus(tmp_path / name, pairs=count, val_pairs=0, test_pairs=0, seconds=0.5, seed=9)
    few, more = (
        (tmp_path / n / "train" / "pair_0000_input.wav").read_bytes() for n in ("few", "more")
    )
    assert few == more


def test_senseless_sizes_are_refused(tmp_path):
    with pytest.raises(InputError, match="pairs >= 1"):
        make_corpus(tmp_path, pairs=0, val_pairs=0, test_pairs=0)
    with pytest.raises(InputError, match="seconds"):
        make_corpus(tmp_path, pairs=1, val_pairs=0, test_pairs=0, seconds=0.0)
