import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from jingle.pairs import latents
from jingle.pairs.cache import LatentStore, key_of
from tests.jingle.fakes import LinearCodec, music


def some(seed=0, frames=10):
    return np.random.default_rng(seed).standard_normal((frames, 128)).astype(np.float32) * 5


def test_what_is_put_is_got_back_as_float16_from_disk(tmp_path):
    store = LatentStore(tmp_path)
    store.put("abc", some(), "a song")
    again = LatentStore(tmp_path)
    assert "abc" in again
    assert "abd" not in again
    array = again.get("abc")
    assert isinstance(array, np.memmap)
    assert array.dtype == np.float16
    assert np.array_equal(array, some().astype(np.float16))
    entry = json.loads((tmp_path / "manifest.jsonl").read_text())
    assert entry["shape"] == [10, 128]
    assert entry["of"] == "a song"
    assert len(entry["sha256"]) == 64


def test_keys_differ_in_every_part():
    keys = {key_of("song", codec, file) for codec in "ab" for file in "xy"}
    assert len(keys) == 4
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "delete"])
def test_a_corrupt_array_is_found_and_forgotten(tmp_path, damage):
    store = LatentStore(tmp_path)
    for key in ("good", "evil"):
        store.put(key, some(), key)
    path = store.path("evil")
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    elif damage == "truncate":
        path.write_bytes(content[:-300])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    assert store.verify(["good", "evil", "unknown"]) == ["evil"]
    assert "evil" not in store
    assert "good" in store
    store.put("evil", some(), "evil")
    assert LatentStore(tmp_path).verify(["good", "evil"]) == []


def test_a_truncated_array_is_not_a_stack_trace(tmp_path):
    store = LatentStore(tmp_path)
    store.put("evil", some(), "evil")
    store.path("evil").write_bytes(store.path("evil").read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be read"):
        store.get("evil")


def test_a_manifest_cut_off_by_a_kill_loses_only_its_last_line(tmp_path):
    store = LatentStore(tmp_path)
    for key in ("one", "two"):
        store.put(key, some(), key)
    store.manifest.write_text(store.manifest.read_text()[:-20])
    again = LatentStore(tmp_path)
    assert list(again.entries) == ["one"]
    again.put("two", some(), "two")
    assert set(LatentStore(tmp_path).entries) == {"one", "two"}


def test_latents_that_are_not_finite_are_refused(tmp_path):
    with pytest.raises(InputError, match="not finite"):
        LatentStore(tmp_path).put("a", np.full((3, 128), 1e9), "song x")
    assert not list(tmp_path.rglob("*.npy"))


def test_a_full_disk_is_said_and_leaves_no_half_file(tmp_path, monkeypatch):
    store = LatentStore(tmp_path)
    store.put("one", some(), "one")

    def full(stream, array):
        stream.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(InputError, match=r"No space left on device.*paths\.data"):
        store.put("two", some(), "two")
    assert [path.stem for path in tmp_path.rglob("*.npy")] == ["one"]
    assert set(LatentStore(tmp_path).entries) == {"one"}


def test_too_small_a_disk_is_said_before_the_work(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"expected 256\.0 MB free, got 0\.0 MB"):
        LatentStore(tmp_path).check_space(1_000_000)
    LatentStore(tmp_path).check_space(3)


def test_what_a_killed_run_left_is_swept_up(tmp_path):
    store = LatentStore(tmp_path)
    store.put("one", some(), "one")
    old, new = (tmp_path / "on" / name for name in (".old.npy", ".new.npy"))
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.check_space(1)
    assert not old.exists()
    assert new.exists()
    assert "one" in store


def test_an_unwritable_place_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"paths\.data"):
        LatentStore(tmp_path / "file" / "cache").check_space(1)
    with pytest.raises(InputError, match=r"paths\.data"):
        LatentStore(tmp_path / "file" / "cache").put("a", some(), "a")


@pytest.mark.parametrize("samples", [1, 319, 320, 32_000, 32_001, 47_999])
def test_chunks_with_context_equal_one_piece(samples):
    codec = LinearCodec()
    wave = torch.from_numpy(music(samples / 24_000, 0))[None, None]
    whole = codec.encode(wave)
    assert torch.allclose(latents.encode(codec, wave, chunk=20, past=5, future=2), whole, atol=1e-6)
    back = latents.decode(codec, whole, chunk=20, past=5, future=2)
    assert torch.allclose(back, codec.decode(whole), atol=1e-6)


def test_chunks_cover_every_frame_once():
    for length in (1, 7, 20, 21, 61):
        kept = [
            frame
            for _, _, first, last in latents.spans(length, 20, 5, 2)
            for frame in range(first, last)
        ]
        assert kept == list(range(length))


def published_architecture() -> torch.nn.Module:
    """EnCodec's own 24 kHz class with random weights: causal, with LSTMs."""
    from encodec import EncodecModel

    torch.manual_seed(0)
    model = EncodecModel.encodec_model_24khz(pretrained=False).eval()
    codec = torch.nn.Module()
    codec.encoder, codec.decoder = model.encoder, model.decoder
    codec.encode, codec.decode = model.encoder, model.decoder
    return codec


def test_chunks_equal_one_piece_in_encodec_itself():
    codec = published_architecture()
    wave = torch.from_numpy(music(1.4, 0))[None, None]
    with torch.inference_mode():
        whole = codec.encode(wave)
    pieces = latents.encode(codec, wave, chunk=70, past=60, future=0)
    assert (pieces - whole).abs().max() < 1e-3 * whole.abs().max()
    without = latents.encode(codec, wave, chunk=70, past=0, future=0)
    assert (without - whole).abs().max() > 1e-2 * whole.abs().max()  # so the context does the work


def test_chunks_equal_one_piece_in_the_embedded_codec():
    from jingle.codec.model import load_codec

    codec = load_codec("embedded")
    wave = torch.from_numpy(music(2.5, 0))[None, None]
    whole = codec.encode(wave)
    pieces = latents.encode(codec, wave, chunk=75, past=75, future=75)
    assert (pieces - whole).abs().max() < 1e-4 * whole.abs().max()
    back = latents.decode(codec, whole, chunk=75, past=75, future=75)
    assert (back - codec.decode(whole)).abs().max() < 1e-4


def test_file_hash_is_sha256(tmp_path):
    from experiments.shared.stamps import file_hash

    file = Path(tmp_path / "a")
    file.write_bytes(b"abc")
    assert file_hash(file).startswith("ba7816bf8f01cfea")
