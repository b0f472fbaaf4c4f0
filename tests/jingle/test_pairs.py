import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from experiments.shared.errors import InputError
from jingle.pairs.build import build, check_apart
from jingle.sound import audio
from tests.jingle.fakes import module_for, music

OPTIONS = {"per_song": 2, "seconds": 0.5, "val_share": 0.25}


@pytest.fixture
def songs(tmp_path):
    folder = tmp_path / "songs"
    for index in range(8):
        file = folder / f"artist_{index % 2}" / f"song_{index}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        rate = (24_000, 44_100)[index % 2]
        soundfile.write(file, music(1.5, index, rate), rate)
    return folder


def test_it_has_the_layout_of_pairs_and_can_be_trained_on(songs, tmp_path):
    sizes = build(songs, tmp_path / "out", **OPTIONS)
    assert sizes == {"train": 12, "val": 4}
    files = sorted((tmp_path / "out" / "train").iterdir())
    assert [f.name for f in files[:2]] == ["pair_0000_input.wav", "pair_0000_output.wav"]
    assert len(files) == 24
    assert all(len(audio.read(file)) == 12_000 for file in files)
    assert "segment_duration: 0.5\n" in (tmp_path / "out" / "metadata.txt").read_text()
    data = module_for(tmp_path / "out", tmp_path / "cache", seconds=0.4)
    assert data.describe()["sizes"]["train"] == 12


def test_no_song_is_in_two_splits(songs, tmp_path):
    build(songs, tmp_path / "out", **OPTIONS | {"test_share": 0.25})
    made = json.loads((tmp_path / "out" / "songs.json").read_text())
    used = {
        split: {entry[side]["song"] for entry in entries for side in ("input", "output")}
        for split, entries in made.items()
    }
    assert set(used) == {"train", "val", "test"}
    assert not used["train"] & used["val"]
    assert not used["train"] & used["test"]
    assert not used["val"] & used["test"]
    assert all(e["input"]["song"] != e["output"]["song"] for own in made.values() for e in own)


def test_a_song_in_two_splits_would_be_caught():
    one, two = ({"song": name, "hash": name} for name in "ab")
    fine = {"train": [{"input": one, "output": one}], "val": [{"input": two, "output": two}]}
    check_apart(fine)
    with pytest.raises(AssertionError, match="two splits"):
        check_apart(fine | {"test": [{"input": two, "output": two}]})


def test_the_files_hold_what_the_record_says(songs, tmp_path):
    build(songs, tmp_path / "out", **OPTIONS)
    entry = json.loads((tmp_path / "out" / "songs.json").read_text())["train"][3]
    for side in ("input", "output"):
        got = audio.read(tmp_path / "out" / "train" / f"{entry['pair']}_{side}.wav")
        whole = audio.read(entry[side]["song"])
        start = round(entry[side]["start_s"] * 24_000)
        around = whole[max(0, start - 30) : start + 12_030]
        best = np.correlate(around, got, mode="valid").max() / (got**2).sum()
        assert best > 0.98


def test_the_same_seed_gives_the_same_pairs(songs, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        build(songs, tmp_path / name, **OPTIONS, seed=seed)
    records = [(tmp_path / name / "songs.json").read_text() for name in "abc"]
    assert records[0] == records[1] != records[2]
    file = "train/pair_0003_input.wav"
    assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_what_cannot_be_used_is_skipped_and_said(songs, tmp_path, capsys):
    (songs / "text.mp3").write_text("not a song")
    (songs / "empty.wav").write_bytes(b"")
    (songs / "copy.wav").write_bytes((songs / "artist_0" / "song_0.wav").read_bytes())
    soundfile.write(songs / "silent.wav", np.zeros(48_000), 24_000)
    soundfile.write(songs / "short.wav", music(0.3, 0), 24_000)
    (songs / "cover.jpg").write_bytes(b"picture")
    build(songs, tmp_path / "out", **OPTIONS)
    said = capsys.readouterr().out
    for name in ("text.mp3", "empty.wav", "silent.wav", "short.wav"):
        assert f"{name}: " in said
    assert "copy.wav" in said
    assert "a copy of" in said
    assert "5 files" in said
    assert "cover.jpg" not in said
    record = (tmp_path / "out" / "songs.json").read_text()
    assert "silent.wav" not in record


def test_silent_passages_are_not_drawn(tmp_path):
    for index in range(4):
        sound = music(6.0, index)
        sound[: 4 * 24_000] = 0
        file = tmp_path / "songs" / f"{index}.wav"
        file.parent.mkdir(exist_ok=True)
        soundfile.write(file, sound, 24_000)
    build(tmp_path / "songs", tmp_path / "out", per_song=4, seconds=0.5, val_share=0.5)
    for file in (tmp_path / "out").rglob("*.wav"):
        assert 20 * np.log10(np.sqrt((audio.read(file) ** 2).mean())) > -51


def test_bad_input_is_said(songs, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        build(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="no audio in it"):
        build(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(InputError, match="two songs or more"):
        build(songs, tmp_path / "out", seconds=0.5, val_share=0.9)
    with pytest.raises(InputError, match=r"two songs or more in each split.*got 0 usable"):
        build(songs, tmp_path / "out", seconds=100)
    with pytest.raises(InputError, match="expected at least 1"):
        build(songs, tmp_path / "out", per_song=0)
    with pytest.raises(InputError, match="is there already"):
        build(songs, songs)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another folder"):
        build(songs, tmp_path / "file" / "out", **OPTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "nothing", "songs"]


@pytest.mark.slow
def test_the_command_line(songs, tmp_path):
    command = [sys.executable, "-m", "jingle.pairs", str(songs), str(tmp_path / "out")]
    run = subprocess.run([*command, "--seconds", "0.5"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "pairs of 0.5 s from 8 songs" in run.stdout
    again = subprocess.run([*command, "--seconds", "0.5"], capture_output=True, text=True)
    assert again.returncode == 2
    assert again.stderr.startswith("error: ")
    assert "Traceback" not in again.stderr
