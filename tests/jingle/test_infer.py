"""The agent's command line: what it makes of files and folders, and what it says to bad input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from experiments.shared.errors import InputError
from jingle import infer
from jingle.pieces import requests
from jingle.sound import audio
from tests.jingle.fakes import make_pairs, music


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
        run_main(monkeypatch, *arguments, "--overwrite")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--window", "nan"), "--window: expected a number more than 0, up to 3600, got nan"),
        (("--window", "0"), "--window: expected a number more than 0, up to 3600, got 0"),
        (("--window", "0.4", "--overlap", "0.4"), "0.4 s, expected less than the window, 0.4 s"),
        (("--overlap", "-1"), "--overlap: expected a number from 0 to 3600, got -1"),
        (("--seconds", "inf"), "--seconds: expected a number more than 0, up to 86400, got inf"),
        (("--limit", "0"), "--limit: expected a whole number from 1 to 1,000,000, got 0"),
        (("--batch", "0"), "--batch: expected a whole number from 1 to 4,096, got 0"),
        (("--device", "abacus"), "--device: abacus cannot be used"),
        (("--codec", "."), ".: is a folder: expected a codec's weights"),
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
    with pytest.raises(InputError, match=r"cannot be written|is a folder"):
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
