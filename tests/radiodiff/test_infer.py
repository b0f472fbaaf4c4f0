"""The VAE's command line: what it writes, and what it says to bad input."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.shared import checkpoints
from experiments.shared.errors import InputError
from radiodiff import corpus, infer
from radiodiff.module import RadioDiffVAE
from radiodiff.png import image_size
from tests.radiodiff.training import module


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    corpus.make_corpus(folder, maps=3, transmitters=2, size=64)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """Of an untrained VAE, as Lightning lays it out."""
    found, file = module(9), tmp_path_factory.mktemp("run") / "last.ckpt"
    saved = {"state_dict": found.state_dict(), "hyper_parameters": dict(found.hparams)}
    found.on_save_checkpoint(saved)
    torch.save(saved | {"class": checkpoints.class_name(RadioDiffVAE)}, file)
    return file


@pytest.fixture
def run_infer(checkpoint, monkeypatch):
    def run(command: str, *words: str | Path) -> None:
        words = [command, "--checkpoint", checkpoint, *words]
        monkeypatch.setattr("sys.argv", ["infer", *map(str, words)])
        infer.main()

    return run


def test_infer_encodes_decodes_reconstructs_and_samples(root, tmp_path, run_infer, capsys):
    run, maps, out = run_infer, str(root / "gain/DPM"), tmp_path / "out"
    run("encode", maps, str(out / "latents"), "--latents")
    latents = np.load(out / "latents/1_0.npz")
    assert latents["mean"].shape == (3, 16, 16)
    assert latents["scale"].shape == latents["shift"].shape == (3,)
    run("decode", str(out / "latents"), str(out / "decoded"))
    run("reconstruct", str(root / "gain/DPM/1_0.png"), str(out / "one.png"))
    decoded, one = (np.asarray(Image.open(out / n)) for n in ("decoded/1_0.png", "one.png"))
    assert np.abs(decoded.astype(int) - one).max() <= 1
    assert "PSNR" in capsys.readouterr().out
    run("sample", str(out / "samples"), "--count", "2", "--size", "64")
    made = list((out / "samples").glob("*.png"))
    assert [image_size(file) for file in made] == [(64, 64)] * 2


def test_files_of_a_map_are_small_and_read_again(root, tmp_path, run_infer, capsys):
    maps, out = root / "gain/DPM", tmp_path / "out"
    run_infer("encode", maps, out / "files")
    files = sorted((out / "files").iterdir())
    assert [file.suffix for file in files] == [".rdm"] * 6
    told = f"{8 * files[0].stat().st_size / 64**2:.3f} bits a pixel"
    assert told in capsys.readouterr().out
    run_infer("decode", out / "files", out / "decoded")
    run_infer("reconstruct", maps, out / "direct")
    decoded, direct = (np.asarray(Image.open(out / n / "1_0.png")) for n in ("decoded", "direct"))
    assert np.abs(decoded.astype(int) - direct).mean() < 40  # a step of 1 is coarse, untrained
    run_infer("encode", maps / "1_0.png", out / "coarse.rdm", "--coarseness", "8")
    assert (out / "coarse.rdm").stat().st_size < files[0].stat().st_size
    files[0].write_bytes(files[0].read_bytes()[:10])
    with pytest.raises(InputError, match="1 of 6 files failed"):
        run_infer("decode", out / "files", out / "again")
    assert "cut short" in capsys.readouterr().out
    with pytest.raises(InputError, match="--coarseness: expected a number"):
        run_infer("encode", maps, out, "--coarseness", "0")


def test_infer_goes_on_after_bad_files_and_fails_at_the_end(root, tmp_path, run_infer, capsys):
    maps, latents = tmp_path / "maps", tmp_path / "latents"
    maps.mkdir()
    for name in ("1_0", "2_0", "3_0"):
        shutil.copy(root / f"gain/DPM/{name}.png", maps)
    (maps / "1_0.png").write_bytes((maps / "1_0.png").read_bytes()[:200])
    (maps / "2_1.png").write_text("no image")
    with pytest.raises(InputError, match=f"2 of 4 files failed, see above; 2 are in {latents}"):
        run_infer("encode", maps, latents, "--latents")
    assert [f.name for f in sorted(latents.iterdir())] == ["2_0.npz", "3_0.npz"]
    printed = capsys.readouterr().out
    assert f"failed: {maps / '1_0.png'}: cannot be read as PNG" in printed
    assert f"failed: {maps / '2_1.png'}: cannot be read as PNG" in printed
    np.savez(latents / "0_0.npz", mean=np.full((3, 4, 4), np.nan))
    with pytest.raises(InputError, match="1 of 3 files failed"):
        run_infer("decode", latents, tmp_path / "decoded")
    assert len(list((tmp_path / "decoded").iterdir())) == 2
    with pytest.raises(InputError, match="2 of 4 files failed"):
        run_infer("reconstruct", maps, tmp_path / "made")


def test_infer_says_what_is_wrong_with_latents(tmp_path, run_infer):
    file, out = tmp_path / "latents.npz", tmp_path / "out"
    whole = np.zeros((3, 4, 4), np.float32)
    np.savez(file, mean=whole)
    archive = file.read_bytes()
    for content, message in (
        (b"", "expected latents"),
        (b"text", "expected latents"),
        (archive[:100], "expected latents"),
        ({"mean": whole + np.nan}, "NaN or infinite; encode"),
        ({"mean": np.full_like(whole, 1e38)}, "not written, the decoded map is NaN"),
        ({"mean": whole[:, :0]}, r"latents \(3, 0, 4\), expected \(3, h, w\)"),
        ({"mean": whole[:2]}, r"latents \(2, 4, 4\), expected \(3, h, w\)"),
        ({"mean": np.array(["a"])}, "expected latents"),
        ({"mean": np.array([None])}, "expected latents"),
        ({"logvar": whole}, "expected latents"),
    ):
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            np.savez(file, **content)
        with pytest.raises(InputError, match=message) as caught:
            run_infer("decode", file, out)
        assert "\n" not in str(caught.value)
    with file.open("wb") as stream:
        np.save(stream, whole)  # one array, no archive
    with pytest.raises(InputError, match="expected latents"):
        run_infer("decode", file, out)
    assert not out.exists()


def test_infer_writes_no_latents_of_a_model_that_diverged(root, tmp_path, checkpoint, run_infer):
    saved = torch.load(checkpoint, weights_only=True)
    for tensor in saved["state_dict"].values():
        if tensor.is_floating_point():
            tensor.fill_(torch.nan)
    file = tmp_path / "nan.ckpt"
    torch.save(saved, file)
    with pytest.raises(InputError, match=r"1_0\.png: its latents are NaN"):
        run_infer("encode", "--checkpoint", file, root / "gain/DPM/1_0.png", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (50, "--size 50: expected a multiple of 4; take 48 or 52"),
        (8, "--size: expected a whole number from 32"),
    ],
)
def test_infer_samples_only_sizes_that_it_can_make(tmp_path, run_infer, size, message):
    with pytest.raises(InputError, match=message):
        run_infer("sample", tmp_path / "out", "--size", str(size))
    assert not (tmp_path / "out").exists()


def test_infer_says_where_it_cannot_read_or_write(root, tmp_path, run_infer):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken/1_0.png").mkdir(parents=True)
    one = root / "gain/DPM/1_0.png"
    for words, message in (
        (
            ("encode", tmp_path / "nothing", tmp_path / "out"),
            r"nothing: cannot be read \(no such file",
        ),
        (("decode", tmp_path / "empty", tmp_path / "out"), r"expected a \.npz file"),
        (("encode", one, tmp_path / "file"), "file: is a file: expected a folder"),
        (("reconstruct", one, tmp_path / "file/below/one.png"), r"one\.png: cannot be written"),
        (("reconstruct", one, tmp_path / "taken"), r"1_0\.png: is a folder"),
        (("reconstruct", one, tmp_path / "taken/1_0.png"), r"1_0\.png: is a folder"),
        (("sample", tmp_path / "file"), "file: is a file: expected a folder"),
    ):
        with pytest.raises(InputError, match=message):
            run_infer(*words)
