import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from experiments.shared.errors import InputError
from jingle import infer
from jingle.pieces import piece, requests, windows
from jingle.sound import audio
from tests.jingle.fakes import LinearCodec, make_pairs, music


def latents_of(length, seed=0, channels=128):
    return torch.randn(channels, length, generator=torch.Generator().manual_seed(seed))


def average(a, b):
    """A model that works frame by frame, so that windows must not show at all."""
    return {"output": (a + b) / 2, "input_mask": torch.sigmoid(a), "target_mask": torch.sigmoid(-a)}


class Windowed:
    """A model whose every window differs by a constant: the worst that a window can do."""

    def __init__(self):
        self.seen = 0

    def __call__(self, a, b):
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
    song, seams = windows.generate(average, a, b, window=64, overlap=overlap, batch=3)
    whole = {name: value[0] for name, value in average(a[None], b[None]).items()}
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
    song, seams = windows.generate(Windowed(), zeros, zeros, window=64, overlap=16)
    output = song["output"][0]
    assert torch.equal(output[:48], torch.zeros(48))
    assert torch.equal(output[64:], torch.ones(48))
    # from 0 to 1 in 17 even steps: no jump is larger than one over the overlap
    assert output.diff().abs().max() <= 1 / 17 + 1e-6
    assert seams["disagreement"] == pytest.approx(1 / float(output.std(correction=0)), rel=1e-4)
    abrupt, cut = windows.generate(Windowed(), zeros, zeros, window=56, overlap=0)
    assert abrupt["output"][0].diff().abs().max() == 1
    assert cut["step"] > 1


def test_the_report_of_seams_notices_an_abrupt_join():
    a = latents_of(400).cumsum(1) * 0.05

    def jumping(x, y):
        """Windows that are off by two standard deviations in turn."""
        jumping.count += 1
        return {"output": x + 2 * x.std() * (jumping.count % 2)}

    jumping.count = 0
    _, cut = windows.generate(jumping, a, a, window=100, overlap=0, batch=1)
    jumping.count = 0
    _, faded = windows.generate(jumping, a, a, window=100, overlap=40, batch=1)
    assert cut["step"] > 2 * faded["step"]


class Model:
    """Takes the place of the trained agent."""

    device = torch.device("cpu")

    def settle(self, output, hpss_mix):
        return output

    def generate(self, a, b):
        return average(a, b)

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
    loud.generate = lambda a, b: average(50 * a, 50 * b)
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
    broken.generate = lambda a, b: average(a * float("nan"), b)
    with pytest.raises(InputError, match="no finite sound"):
        piece.make_piece(broken, LinearCodec(), music(1.0, 0), music(1.0, 1), window=60, overlap=8)


def test_what_to_make_of_files_folders_and_data(tmp_path):
    root = make_pairs(tmp_path / "data", train=1, val=2, seconds=0.2)
    for folder, names in (("a", "xyz"), ("b", "yzx"), ("c", "pq"), ("d", "rs"), ("e", "t")):
        for name in names:
            audio.write(tmp_path / folder / f"{name}.wav", music(0.2, 0))
    out = tmp_path / "out"

    def found(*arguments):
        return [
            (r.input.stem, r.target.stem, r.output.name)
            for r in requests.find_requests(*arguments, out)
        ]

    by_name = found(tmp_path / "a", tmp_path / "b", None)
    assert by_name == [(n, n, f"{n}.wav") for n in "xyz"]
    in_order = found(tmp_path / "c", tmp_path / "d", None)
    assert in_order == [("p", "r", "p_with_r.wav"), ("q", "s", "q_with_s.wav")]
    of_data = found(None, None, root)
    assert of_data[1] == ("pair_0001_input", "pair_0001_output", "pair_0001.wav")
    file = tmp_path / "a" / "x.wav"
    one = requests.find_requests(file, tmp_path / "b" / "y.wav", None, tmp_path / "o.wav")
    assert one == [requests.Request(file, tmp_path / "b" / "y.wav", tmp_path / "o.wav")]
    for arguments, words in (
        ((tmp_path / "c", tmp_path / "e", None), "equal names or equal counts"),
        ((tmp_path / "a", file, None), "two files or two folders"),
        ((tmp_path / "nothing", file, None), "no such file"),
        ((None, None, tmp_path / "a"), "a folder with test/ or val/"),
        ((file, None, None), "--input and --target, or --data"),
        ((file, file, None), "expected a file name"),
    ):
        with pytest.raises(InputError, match=words):
            found(*arguments)


def checkpoint_of(tmp_path, **data) -> Path:
    """A checkpoint of a tiny untrained agent, as Lightning lays it out."""
    from jingle import losses
    from jingle.module import CreativeAgent

    torch.manual_seed(0)
    module = CreativeAgent(
        dict.fromkeys(losses.TERMS, 1.0),
        agent="gate",
        gate={"width": 16},
        stages={"widths": [16, 16, 16], "depth": 1},
    )
    file = tmp_path / "run" / "checkpoints" / "best.ckpt"
    file.parent.mkdir(parents=True)
    torch.save(
        {
            "state_dict": module.state_dict(),
            "hyper_parameters": dict(module.hparams),
            "class": "jingle.module.CreativeAgent",
            "JinglePairs": {"codec": "random", "seconds": 1.0} | data,
        },
        file,
    )
    return tmp_path / "run"


def run_main(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["infer", *map(str, arguments)])
    infer.main()


def test_a_checkpoint_makes_wav_picture_and_report(tmp_path, monkeypatch, capsys):
    from jingle.codec.model import load_codec

    run = checkpoint_of(tmp_path, identity=load_codec("random").identity)
    stereo = np.stack([music(2.3, 0, 44_100)] * 2, 1)
    soundfile.write(tmp_path / "a.wav", stereo, 44_100)
    audio.write(tmp_path / "b.flac", music(2.5, 1))
    run_main(
        monkeypatch, "--checkpoint", run, "--input", tmp_path / "a.wav",
        "--target", tmp_path / "b.flac", "--output", tmp_path / "new" / "OUT.wav",
    )  # fmt: skip
    out = tmp_path / "new"
    names = ["OUT.html", "OUT.json", "OUT.png", "OUT.wav", "OUT_input.wav", "OUT_target.wav"]
    assert sorted(file.name for file in out.iterdir()) == names
    for name in names[3:]:
        assert len(audio.read(out / name)) == audio.at_rate(round(2.3 * 44_100), 44_100)
    assert (out / "OUT.png").read_bytes()[:4] == b"\x89PNG"
    report = json.loads((out / "OUT.json").read_text())
    assert report["window_s"] == 1.0
    assert report["overlap_s"] == pytest.approx(0.125, abs=0.01)
    assert report["seams"]["windows"] == 3
    assert report["metrics"]["coverage_error"] < 1e-6
    needed = {"rhythm_f1", "rhythm_correlation", "harmony", "complementarity", "level_db",
              "centroid_hz", "chance_corrected", "copying", "mel_distance"}  # fmt: skip
    assert needed <= set(report["metrics"])
    assert len(report["warnings"]) == 1  # of the random codec's sound
    assert "not meaningful" in capsys.readouterr().out


def test_another_codec_than_the_runs_is_warned_of(tmp_path):
    run = checkpoint_of(tmp_path, codec="embedded", identity="other")
    _, known, warnings = infer.codec_of(run, "random", torch.device("cpu"))
    assert known["seconds"] == 1.0
    assert "the agent was trained with codec embedded (other)" in warnings[0]


def test_folders_go_on_after_a_broken_song(tmp_path, monkeypatch, capsys):
    run = checkpoint_of(tmp_path, identity="any")
    for side in ("a", "b"):
        for name in ("one", "two"):
            audio.write(tmp_path / side / f"{name}.wav", music(1.0, 0))
    (tmp_path / "b" / "one.wav").write_bytes(b"")
    arguments = (
        "--checkpoint", run, "--input", tmp_path / "a", "--target", tmp_path / "b",
        "--output", tmp_path / "out",
    )  # fmt: skip
    with pytest.raises(InputError, match="1 of 2 pieces failed"):
        run_main(monkeypatch, *arguments)
    assert (tmp_path / "out" / "two.wav").is_file()
    assert not (tmp_path / "out" / "one.wav").exists()
    assert "skipped one.wav" in capsys.readouterr().out
    (tmp_path / "b" / "two.wav").write_bytes(b"")
    with pytest.raises(InputError, match="2 of 2 pieces failed"):
        run_main(monkeypatch, *arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--window", "nan"), "--window nan: expected more than 0"),
        (("--window", "0"), "--window 0: expected more than 0"),
        (("--window", "0.4", "--overlap", "0.4"), "0.4 s, expected less than the window, 0.4 s"),
        (("--overlap", "-1"), "--overlap -1: expected 0 or more"),
        (("--seconds", "inf"), "--seconds inf: expected more than 0"),
        (("--limit", "0"), "--limit 0: expected more than 0"),
        (("--batch", "0"), "--batch 0: expected more than 0"),
        (("--device", "abacus"), "--device abacus: cannot be used"),
        (("--codec", "."), "codec weights .: no such file"),
    ],
)
def test_options_that_make_no_piece_are_refused(tmp_path, monkeypatch, options, message):
    run, song = checkpoint_of(tmp_path, identity="any"), tmp_path / "a.wav"
    audio.write(song, music(0.2, 0))
    common = ("--checkpoint", run, "--input", song, "--target", song)
    with pytest.raises(InputError, match=message) as caught:
        run_main(monkeypatch, *common, "--output", tmp_path / "o.wav", *options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "o.wav").exists()


@pytest.mark.parametrize("taken", ["o.wav", "o.png", "o.json", "."])
def test_a_place_that_cannot_be_written_is_said(tmp_path, monkeypatch, taken):
    run, song = checkpoint_of(tmp_path, identity="any"), tmp_path / "a.wav"
    audio.write(song, music(0.2, 0))
    if taken == ".":
        (tmp_path / "out").write_text("")
    else:
        (tmp_path / "out" / taken).mkdir(parents=True)
    common = ("--checkpoint", run, "--input", song, "--target", song)
    with pytest.raises(InputError, match="cannot be written"):
        run_main(monkeypatch, *common, "--output", tmp_path / "out" / "o.wav")


@pytest.mark.slow
def test_the_command_line_says_what_is_wrong(tmp_path):
    song = tmp_path / "a.wav"
    audio.write(song, music(1.0, 0))
    (tmp_path / "bad.ckpt").write_bytes(b"PK not a checkpoint")
    common = ["--input", song, "--target", song, "--output", tmp_path / "o.wav"]
    run = subprocess.run(
        [sys.executable, "-m", "jingle.infer", "--checkpoint", tmp_path / "bad.ckpt", *common],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert "cannot be read as a checkpoint" in run.stderr
    assert "Traceback" not in run.stderr
