"""Laws of what stands around a piece: its page, its width, its high band, what it may write."""

import base64
import io
import json
import os
import re

import numpy as np
import pytest
import soundfile
import torch

from experiments.shared.errors import InputError
from jingle.pieces import requests, space
from jingle.pieces.page import page
from jingle.sound import audio
from tests.jingle.fakes import make_pairs, music
from tests.jingle.test_infer import checkpoint_of, run_main

RATE = 44_100


def noise(seconds, seed=0, rate=RATE):
    rng = np.random.default_rng(seed)
    return 0.1 * rng.standard_normal(round(seconds * rate)).astype(np.float32)


def power_above(wave, rate, hertz=12_500):
    spectrum = np.abs(np.fft.rfft(wave, axis=0)) ** 2
    return float(spectrum[np.fft.rfftfreq(len(wave), 1 / rate) > hertz].sum() / spectrum.sum())


def test_the_page_holds_every_sound_and_picture_and_needs_no_other_file():
    waves = {"A <one>": (music(1.0, 0), 24_000), "ours": (np.stack([noise(1.0)] * 2, 1), RATE)}
    masks = {"input_mask": torch.rand(16, 75)}
    tables = {"ours": {"rhythm_f1": 0.5, "harmony": None}, "HPSS": {"rhythm_f1": 0.75}}
    text = page("Rhythm & harmony", "about", waves, masks, tables, ["WARNING <x>"])
    sounds = re.findall(r"data:audio/mpeg;base64,([^\"]+)", text)
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", text)
    assert (len(sounds), len(pictures)) == (2, 3)
    for sound, rate, channels in zip(sounds, (24_000, RATE), (1, 2), strict=True):
        back, found = soundfile.read(io.BytesIO(base64.b64decode(sound)), always_2d=True)
        assert (found, back.shape[1]) == (rate, channels)
        assert len(back) == pytest.approx(rate, rel=0.1)
    assert all(base64.b64decode(picture)[:4] == b"\x89PNG" for picture in pictures)
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "A &lt;one&gt;" in text
    assert "WARNING &lt;x&gt;" in text
    assert "<td>0.750</td>" in text
    assert "$" not in re.sub(r"base64,[^\"]+", "", text)


def test_a_long_song_makes_a_picture_no_wider_than_the_page():
    text = page(
        "t", "", {"a": (noise(60, rate=24_000), 24_000)}, {"m": torch.rand(4, 4500)}, {}, []
    )
    for picture in re.findall(r"data:image/png;base64,([^\"]+)", text):
        width = int.from_bytes(base64.b64decode(picture)[16:20], "big")
        assert 1000 < width <= 1610


def test_the_mean_of_both_channels_is_the_mono_piece():
    mono = music(2.0, 0)
    a, b = (np.stack([noise(2.0, s, 24_000), noise(2.0, s + 1, 24_000)], 1) for s in (1, 5))
    wide = space.finish(mono, a, b, 24_000, gains=(1.0, 1.0), stereo=True)
    assert wide.shape == (48_000, 2)
    assert np.abs(wide.mean(1) - mono).max() < 1e-4
    assert np.abs(wide[:, 0] - wide[:, 1]).max() > 0.01


def test_a_tone_of_b_is_heard_where_b_has_it():
    time = np.arange(48_000) / 24_000
    tone = (0.2 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    left_only = np.stack([tone, 0 * tone], 1)
    wide = space.finish(tone, left_only * 0, left_only, 24_000, gains=(1.0, 1.0), stereo=True)
    inside = wide[6000:-6000]
    assert np.square(inside[:, 0]).mean() > 50 * np.square(inside[:, 1]).mean()


def test_the_high_band_comes_from_the_songs_and_the_low_band_stays():
    mono = music(2.0, 0)
    a, silent = noise(2.0)[:, None], np.zeros((2 * RATE, 1), np.float32)
    made = space.finish(mono, a, silent, RATE, gains=(1.0, 1.0), stereo=False)
    plain = space.finish(mono, silent, silent, RATE, gains=(1.0, 1.0), stereo=False)
    assert made.shape == (2 * RATE,)
    assert power_above(plain, RATE) < 1e-4
    assert power_above(made, RATE) > 0.05
    low = [audio.resample(wave, RATE)[2000:-2000] for wave in (made, plain)]
    assert np.corrcoef(*low)[0, 1] > 0.999
    half = space.finish(mono / 2, a, silent, RATE, gains=(1.0, 1.0), stereo=False)
    assert np.allclose(half, made / 2, atol=1e-5)  # the high band keeps the piece's level


def test_an_output_that_is_one_of_the_songs_is_refused(tmp_path):
    songs = {name: tmp_path / f"{name}.wav" for name in ("a", "b", "mix_input")}
    for file in songs.values():
        audio.write(file, music(0.3, 0))
    os.link(songs["a"], tmp_path / "link.wav")
    for output in (songs["a"], songs["b"], tmp_path / "link.wav"):
        with pytest.raises(InputError, match="would take the place of the song"):
            requests.find_requests(songs["a"], songs["b"], None, output)
    with pytest.raises(InputError, match="would take the place of the song"):
        requests.find_requests(songs["mix_input"], songs["b"], None, tmp_path / "mix.wav")
    assert requests.find_requests(songs["a"], songs["b"], None, tmp_path / "mix.wav")


def test_pairs_are_not_written_over(tmp_path):
    """OUT/pair_0000_input.wav is where the pair's own input is, if OUT is the pairs' folder."""
    root = make_pairs(tmp_path / "data", train=1, val=1, seconds=0.2)
    before = (root / "val" / "pair_0000_input.wav").read_bytes()
    with pytest.raises(InputError, match="would take the place of the song"):
        requests.find_requests(None, None, root, root / "val")
    assert (root / "val" / "pair_0000_input.wav").read_bytes() == before


def test_an_aligned_stereo_piece_at_the_rate_of_the_input(tmp_path, monkeypatch):
    from jingle.codec.model import load_codec
    from jingle.songs.song import render_song

    run = checkpoint_of(tmp_path, identity=load_codec("random").identity)
    for name, tempo, seed in (("a", 100.0, 0), ("b", 120.0, 2)):
        sound = render_song((5, seed), 8.0, tempo=tempo, parts=("drums", "bass"))["audio"]
        high = audio.soxr.resample(sound, 24_000, RATE)
        stereo = np.stack([high, 0.5 * high], 1) + 0.01 * noise(8.0)[:, None]
        soundfile.write(tmp_path / f"{name}.wav", stereo, RATE)
    run_main(
        monkeypatch, "--checkpoint", run, "--input", tmp_path / "a.wav", "--target",
        tmp_path / "b.wav", "--output", tmp_path / "o.wav", "--align", "beat", "--key", "--stereo",
    )  # fmt: skip
    samples, rate = audio.load(tmp_path / "o.wav")
    assert rate == RATE
    assert samples.shape[1] == 2
    report = json.loads((tmp_path / "o.json").read_text())
    assert report["align"]["how"] == "beat"
    assert report["align"]["rate"] == pytest.approx(100 / 120, rel=0.02) or report["align"][
        "rate"
    ] == pytest.approx(200 / 120, rel=0.02)
    assert abs(report["align"]["semitones"]) <= 3
    assert {"hpss_mix", "plain_average"} <= set(report["baselines"])
    assert "<audio" in (tmp_path / "o.html").read_text()
