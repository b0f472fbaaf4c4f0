"""What training reads is prepared once, again where something changed, and never half."""

import numpy as np
import pytest
import soundfile
import torch

from experiments.shared.errors import InputError
from tests.jingle.fakes import make_pairs, module_for, music


def test_everything_is_computed_once(data, root, cache):
    again = module_for(root, cache)
    assert data.codec.encoded > 0
    assert again.codec.encoded == 0
    for one, two in zip(data.val_dataloader(), again.val_dataloader(), strict=True):
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_workers_prepare_the_same_latents(data, root, tmp_path):
    parallel = module_for(root, tmp_path, cache_workers=2, encode_batch=3)
    for one, two in zip(data.val_dataloader(), parallel.val_dataloader(), strict=True):
        assert all(torch.allclose(one[key], two[key], atol=2e-3) for key in one)
    assert set(parallel._store.entries) == set(data._store.entries)


def test_a_corrupt_cache_is_rebuilt_and_says_so(stemmed, tmp_path, capsys):
    before = next(iter(module_for(stemmed, tmp_path).val_dataloader()))
    file = sorted(tmp_path.rglob("*.npy"))[3]
    file.write_bytes(file.read_bytes()[:-7])
    capsys.readouterr()
    again = module_for(stemmed, tmp_path)
    assert "1 arrays of" in capsys.readouterr().out
    assert again.codec.encoded == 1
    after = next(iter(again.val_dataloader()))
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_changed_file_is_encoded_again(tmp_path):
    root = make_pairs(tmp_path / "pairs", train=2, val=2, stems=True)
    module_for(root, tmp_path / "cache")
    soundfile.write(root / "val" / "pair_0001_input.wav", music(1.0, 99), 24_000)
    again = module_for(root, tmp_path / "cache")
    # the song, its two parts, two blends, of stems and of separated parts, and silence
    assert again.codec.encoded == 8


def test_another_codec_has_its_own_cache(stemmed, tmp_path):
    first = module_for(stemmed, tmp_path)
    second = module_for(stemmed, tmp_path, ready=False)
    second.codec.identity = "linear-2"
    second.prepare_data()
    assert second.codec.encoded == first.codec.encoded > 0


def test_a_file_in_place_of_the_cache_is_said(root, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError, match=r"paths\.data"):
        module_for(root, tmp_path / "cache")


def test_a_full_disk_while_caching_is_said_and_the_rest_is_kept(stemmed, tmp_path, monkeypatch):
    real, calls = np.save, []

    def save(stream, array):
        calls.append(0)
        if len(calls) > 5:
            stream.write(b"half")
            raise OSError(28, "No space left on device")
        real(stream, array)

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(InputError, match="No space left on device"):
        module_for(stemmed, tmp_path)
    assert len(list(tmp_path.rglob("*.npy"))) == 5
    monkeypatch.setattr(np, "save", real)
    total = len({*module_for(stemmed, tmp_path)._store.entries})
    assert total == len(list(tmp_path.rglob("*.npy"))) > 5
