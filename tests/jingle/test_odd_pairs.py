"""Pairs as they come: other formats, silence, damage, copies, and folders without any."""

import numpy as np
import pytest
import soundfile
import torch

from experiments.shared.errors import InputError
from tests.jingle.fakes import make_pairs, module_for, music


def test_rates_channels_and_formats_may_differ(tmp_path):
    root = make_pairs(tmp_path / "pairs", train=3, val=1, test=1, stems=True)
    stereo = np.stack([music(1.0, 7, 44_100)] * 2, 1)
    soundfile.write(root / "train" / "pair_0000_input.wav", stereo, 44_100)
    (root / "train" / "pair_0001_input.wav").unlink()
    soundfile.write(root / "train" / "pair_0001_input.flac", music(1.2, 8, 48_000), 48_000)
    (root / "train" / "pair_0001_output.wav").unlink()
    soundfile.write(root / "train" / "pair_0001_output.ogg", music(1.5, 9, 22_050), 22_050)
    soundfile.write(root / "train" / "pair_0002_output.wav", music(1.0, 7), 24_000, "PCM_U8")
    data = module_for(root, tmp_path / "cache")
    assert data.describe()["sizes"] == {"train": 3, "val": 1, "test": 1}
    assert data.describe()["skipped"] == 0
    for batch in data.train_dataloader():
        assert all(torch.isfinite(value).all() for value in batch.values())


def test_silence_gives_no_nan(tmp_path):
    root = make_pairs(tmp_path / "pairs", train=2, val=2)
    for file in (root / "train").glob("*.wav"):
        soundfile.write(file, np.zeros(24_000, np.float32), 24_000)
    data = module_for(root, tmp_path / "cache")
    for batch in (*data.train_dataloader(), *data.val_dataloader()):
        assert all(torch.isfinite(value).all() for value in batch.values())
    assert all(torch.isfinite(value).all() for value in data.statistics)
    assert (data.statistics[1] > 0).all()


def spoil(root, kind):
    """Spoil the first training pair; the words that the message must hold."""
    file = root / "train" / "pair_0000_input.wav"
    sound = music(1.0, 0)
    if kind == "missing":
        file.unlink()
        return "pair_0000_input is missing"
    if kind == "truncated":
        file.write_bytes(file.read_bytes()[:9_999])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "read as audio":
        file.write_bytes(b"text" * 999)
    elif kind == "NaN":
        sound[5] = np.nan
        soundfile.write(file, sound, 24_000, subtype="FLOAT")
    elif kind == "lasts 0.50 s, expected at least the crop of 0.8 s":
        soundfile.write(file, sound[:12_000], 24_000)
    return kind


KINDS = (
    "missing",
    "truncated",
    "empty",
    "read as audio",
    "NaN",
    "lasts 0.50 s, expected at least the crop of 0.8 s",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_pair_among_good_ones_is_skipped_and_counted(tmp_path, capsys, kind):
    root = make_pairs(tmp_path / "pairs", train=3, val=1, stems=True)
    words = spoil(root, kind)
    data = module_for(root, tmp_path / "cache")
    facts = data.describe()
    assert facts["sizes"]["train"] == 2
    assert facts["skipped"] == 1
    note = next(note for note in facts["notes"] if "skipped" in note)
    assert note.startswith("WARNING train/pair_0000 skipped")
    assert words in note
    assert words in capsys.readouterr().out
    for batch in data.train_dataloader():
        assert all(torch.isfinite(value).all() for value in batch.values())


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_bad_pairs_is_an_error(tmp_path, kind):
    root = make_pairs(tmp_path / "pairs", train=1, val=1, stems=True)
    words = spoil(root, kind)
    with pytest.raises(InputError, match="no usable pair") as caught:
        module_for(root, tmp_path / "cache")
    assert words in str(caught.value)


def test_inputs_without_drums_are_said(tmp_path):
    """A tone has no drums: what separation leaves of it would be raised to full loudness."""
    root = make_pairs(tmp_path / "pairs", train=3, val=2, seconds=2.0)
    time = np.arange(48_000) / 24_000
    for index in range(2):
        tone = 0.3 * np.sin(2 * np.pi * (220 + 50 * index) * time)
        soundfile.write(root / "train" / f"pair_000{index}_input.wav", tone, 24_000)
    for _ in range(2):  # the second time from the cache
        notes = module_for(root, tmp_path / "cache").describe()["notes"]
        found = [note for note in notes if "no drums to keep" in note]
        assert len(found) == 1
        assert "blends of train" in found[0]
        assert "pair_0000" in found[0]
        assert "pair_0002 blend" not in found[0]


def test_a_recording_in_two_splits_is_said_with_both_names(tmp_path, capsys):
    root = make_pairs(tmp_path / "pairs", train=3, val=2, test=1, stems=True)
    assert not any("same" in n for n in module_for(root, tmp_path / "c").describe()["notes"])
    heard = root / "train" / "pair_0002_output.wav"
    copies = [root / "val" / "pair_0001_input.flac", root / "test" / "pair_0000_output.wav"]
    for copy in copies:
        copy.with_suffix(".wav").unlink()
        soundfile.write(copy, *soundfile.read(heard))
    notes = [n for n in module_for(root, tmp_path / "c").describe()["notes"] if "same" in n]
    assert [note.startswith("WARNING 1 of ") for note in notes] == [True] * 3
    assert f"{copies[0]} is {heard}" in notes[0]
    assert f"{copies[1]} is {heard}" in notes[1]
    assert f"{copies[1]} is {copies[0]}" in notes[2]
    assert notes[0] in capsys.readouterr().out


def test_val_in_place_of_a_missing_test_is_no_copy(tmp_path):
    root = make_pairs(tmp_path / "pairs", train=2, val=1, stems=True)
    assert not any("same" in n for n in module_for(root, tmp_path / "c").describe()["notes"])


def test_a_mended_file_is_seen(tmp_path):
    root = make_pairs(tmp_path / "pairs", train=2, val=1, stems=True)
    spoil(root, "empty")
    assert module_for(root, tmp_path / "c", batch_size=1).describe()["sizes"]["train"] == 1
    soundfile.write(root / "train" / "pair_0000_input.wav", music(1.0, 0), 24_000)
    assert module_for(root, tmp_path / "c", batch_size=1).describe()["sizes"]["train"] == 2


def test_a_missing_or_empty_root_says_what_it_should_hold(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        module_for(tmp_path / "nowhere", tmp_path / "cache")
    (tmp_path / "root").mkdir()
    with pytest.raises(InputError, match="no folder train/"):
        module_for(tmp_path / "root", tmp_path / "cache")
    (tmp_path / "root" / "train").mkdir()
    with pytest.raises(InputError, match="no folder val/"):
        module_for(tmp_path / "root", tmp_path / "cache")
    (tmp_path / "root" / "val").mkdir()
    with pytest.raises(InputError, match="no file named like a pair"):
        module_for(tmp_path / "root", tmp_path / "cache")
