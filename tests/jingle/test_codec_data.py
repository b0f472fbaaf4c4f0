"""Songs that the codec is trained on: their splits, their crops, and folders that are refused."""

import numpy as np
import pytest
import soundfile
import torch

from experiments.shared.errors import InputError
from jingle.codec.data import CodecSongs, find_songs
from jingle.songs.song import render_song
from jingle.sound import audio


def write_songs(folder, count, seed=3):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        audio.write(folder / f"song_{index}.wav", render_song((seed, index), 1.0)["audio"])


def codec_songs(tmp_path) -> CodecSongs:
    data = CodecSongs(
        root=str(tmp_path / "music"), cache=str(tmp_path / "cache"), crop_seconds=0.5,
        eval_seconds=1.0, batch_size=2, epoch_crops=4,
    )  # fmt: skip
    data.setup("fit")
    return data


def test_a_users_folder_is_split_by_file_and_broken_files_are_counted(tmp_path):
    write_songs(tmp_path / "music", 7)
    splits = find_songs(tmp_path / "music")
    assert sum(len(files) for files in splits.values()) == 7
    assert len({file for files in splits.values() for file in files}) == 7
    splits["train"][0].write_bytes(b"RIFFnothing")
    data = codec_songs(tmp_path)
    assert data.describe()["skipped"] == 1
    assert data.describe()["sizes"] == {"train": 4, "val": 1, "test": 1}


def test_crops_follow_from_seed_epoch_and_index_alone(tmp_path):
    for split in ("train", "val", "test"):
        write_songs(tmp_path / "music" / split, 2)
    data = CodecSongs(
        root=str(tmp_path / "music"), cache=str(tmp_path / "cache"), crop_seconds=0.5,
        eval_seconds=1.5, batch_size=2, epoch_crops=4,
    )  # fmt: skip
    data.setup("fit")
    crops = data.train_dataset()
    assert crops[1, 2]["audio"].shape == (1, 12_000)
    assert torch.equal(crops[1, 2]["audio"], crops[1, 2]["audio"])
    assert not torch.equal(crops[1, 2]["audio"], crops[2, 2]["audio"])
    assert len(list(data.train_dataloader())) == 2
    whole = next(iter(data.val_dataloader()))["audio"]
    assert whole.shape == (2, 1, 36_000)
    assert whole[..., 24_000:].abs().max() == 0  # shorter songs are padded


def test_what_is_in_val_is_never_trained_on(tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        write_songs(tmp_path / "music" / split, count, seed=count)
    data = codec_songs(tmp_path)
    parents = {
        split: {file.parent.name for file, _ in songs} for split, songs in data.songs.items()
    }
    assert parents == {"train": {"train"}, "val": {"val"}, "test": {"val"}}
    assert data.describe()["sizes"] == {"train": 3, "val": 2, "test": 2}
    assert data.describe()["notes"] == ["there is no test split: test figures are of the val split"]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("val",), "has val/ but no train/"),
        (("test",), "has test/ but no train/"),
        (("train", "test"), "has test/ but no val/"),
    ],
)
def test_held_out_folders_without_their_counterparts_are_refused(tmp_path, folders, message):
    for folder in folders:
        write_songs(tmp_path / folder, 3)
    with pytest.raises(InputError, match=message):
        find_songs(tmp_path)


def test_a_song_in_two_splits_is_said_with_both_names(tmp_path):
    write_songs(tmp_path / "music" / "train", 2)
    write_songs(tmp_path / "music" / "val", 2, seed=4)
    heard, copy = (tmp_path / "music" / name for name in ("train/song_1.wav", "val/other.wav"))
    copy.write_bytes(heard.read_bytes())
    note = codec_songs(tmp_path).describe()["notes"][1]
    assert note.startswith("WARNING 1 of 3 files of val")
    assert f"{copy} is {heard}" in note


def test_folders_that_hold_no_songs_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_songs(tmp_path / "none")
    (tmp_path / "few").mkdir()
    soundfile.write(tmp_path / "few" / "a.wav", np.zeros(100), 24_000)
    with pytest.raises(InputError, match="at least 3 songs"):
        find_songs(tmp_path / "few")
