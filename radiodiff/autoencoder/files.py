"""Maps to files and back, by a trained autoencoder; and maps sampled from nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.shared import writing
from experiments.shared.errors import InputError
from experiments.shared.progress import progress, say
from experiments.shared.reading import read_npz, regular
from radiodiff.autoencoder import codec
from radiodiff.autoencoder.evaluation import Measured, gray
from radiodiff.autoencoder.network import Autoencoder, draw
from radiodiff.corpus import save
from radiodiff.metrics import psnr
from radiodiff.png import read_gray

MOST_BYTES = 1 << 28  # of a map's file


def files_in(source: Path, suffix: str) -> list[Path]:
    """`source` itself, or the files with `suffix` of a folder, by name.

    Raises:
        InputError: nothing there.
    """
    if source.is_dir():
        found = sorted(f for f in source.iterdir() if f.suffix.lower() == suffix)
    else:
        found = [source] if source.is_file() else []
    if not found:
        raise InputError(f"{source}: expected a {suffix} file, or a folder with some")
    return found


def each(
    source: Path, out: Path, suffixes: tuple[str, str], work: Callable, overwrite: bool
) -> None:
    """`work(file, place)` on the files of `source`: writes `place`, returns a line to print.

    `place` is `out` itself for a single file, else a name below it. `suffixes`: of file and place.
    A bad file of a folder is named and passed over.

    Raises:
        InputError: nothing there, no place to write; or, when all is done, that some files failed.
    """
    files = files_in(source, suffixes[0])
    single = source.is_file() and out.suffix == suffixes[1]
    places = {file: out if single else out / f"{file.stem}{suffixes[1]}" for file in files}
    if not single:
        writing.check_below(out)
    for place in places.values():
        writing.check_file(place, inputs=files, overwrite=overwrite)
    failed = 0
    for file in progress(files, "files", "file") if len(files) > 1 else files:
        try:
            say(work(file, places[file]))
        except InputError as error:
            if source.is_file():
                raise
            failed += 1
            say(f"failed: {error}")
    if failed:
        done = len(files) - failed
        raise InputError(f"{failed} of {len(files)} files failed, see above; {done} are in {out}")


def read_map(file: Path, factor: int) -> Tensor:
    """(1, 1, H, W) in [-1, 1].

    Raises:
        InputError: unreadable, or a side that the network cannot divide.
    """
    pixels = read_gray(file)
    if any(side % factor for side in pixels.shape):
        raise InputError(f"{file}: {pixels.shape} pixels, expected multiples of {factor}; crop it")
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1.0)[None, None]


def read_latents(file: Path, channels: int) -> Tensor:
    """(1, channels, h, w), the `mean` that `encode` wrote.

    Raises:
        InputError: unreadable, of another shape, or not finite.
    """
    found = read_npz(file, ["mean"], "latents of `encode`")["mean"]
    if found.dtype.kind != "f":
        raise InputError(f"{file}: expected latents of `encode`, got {found.dtype}")
    latents = torch.from_numpy(found).float()[None]
    shape = tuple(latents.shape[1:])
    if len(shape) != 3 or shape[0] != channels or 0 in shape:
        raise InputError(f"{file}: latents {shape}, expected ({channels}, h, w)")
    if not latents.isfinite().all():
        raise InputError(f"{file}: latents are NaN or infinite; encode the map again")
    return latents


def save_map(made: Tensor, file: Path) -> None:
    """Write a decoded map (1, 1, H, W).

    Raises:
        InputError: it is not finite, or cannot be written.
    """
    if not made.isfinite().all():
        raise InputError(
            f"{file}: not written, the decoded map is NaN or infinite; its latents are far from "
            "any that the model knows, or it diverged in training: take an earlier checkpoint"
        )
    with writing.replacing(file) as scratch:
        save(gray(made[0, 0]).clamp(0, 1).numpy(), scratch)


def encode(
    autoencoder: Autoencoder,
    measured: Measured,
    source: Path,
    out: Path,
    coarseness: float = 1.0,
    latents: bool = False,
    overwrite: bool = False,
) -> None:
    """Maps as files (.rdm) of quantised, range-coded latents; prints the bits a pixel of each.

    With `latents`, .npz instead, for a diffusion stage: `mean`, `logvar` (Z, h, w), and `shift`,
    `scale` (Z,) of each channel. `(mean - shift) * scale` has mean 0 and std 1 over the validation
    cities.
    """
    if not 0.1 <= coarseness <= 100:
        raise InputError(f"--coarseness {coarseness}: expected from 0.1 (fine) to 100 (coarse)")
    tables, scale = measured.tables, 1.0 / measured.std.clamp_min(1e-6)

    def work(file: Path, place: Path) -> str:
        maps = read_map(file, autoencoder.factor)
        mean, logvar = autoencoder.encode(maps)
        if not torch.cat([mean, logvar]).isfinite().all():
            raise InputError(
                f"{file}: its latents are NaN or infinite; the model diverged in training, take "
                "an earlier checkpoint"
            )
        arrays = {
            "mean": mean[0],
            "logvar": logvar[0],
            "shift": measured.mean,
            "scale": scale,
        }
        told = f"{file} -> {place}, {tuple(mean.shape[1:])}"
        with writing.replacing(place) as scratch:
            if latents:
                np.savez(scratch, **{name: array.numpy() for name, array in arrays.items()})
                return told
            data = codec.encode(mean[0].numpy(), tables, coarseness)
            scratch.write_bytes(data)
        return f"{told}, {8 * len(data) / maps.numel():.3f} bits a pixel"

    each(source, out, (".png", ".npz" if latents else ".rdm"), work, overwrite)


def decode(
    autoencoder: Autoencoder,
    measured: Measured,
    source: Path,
    out: Path,
    overwrite: bool = False,
) -> None:
    """Maps from what `encode` wrote, of either kind."""
    tables, channels = measured.tables, autoencoder.latent
    folder = list(source.iterdir()) if source.is_dir() else [source]
    suffix = ".rdm" if any(file.suffix.lower() == ".rdm" for file in folder) else ".npz"

    def work(file: Path, place: Path) -> str:
        if suffix == ".rdm":
            data = regular(file, "a map's file (.rdm)", MOST_BYTES).read_bytes()
            latents = torch.from_numpy(codec.decode(data, tables, str(file)))[None]
        else:
            latents = read_latents(file, channels)
        save_map(autoencoder.decode(latents), place)
        return f"{file} -> {place}"

    each(source, out, (suffix, ".png"), work, overwrite)


def reconstruct(autoencoder: Autoencoder, source: Path, out: Path, overwrite: bool = False) -> None:
    def work(file: Path, place: Path) -> str:
        maps = read_map(file, autoencoder.factor)
        made = autoencoder.decode(autoencoder.encode(maps)[0])
        save_map(made, place)
        found = float(psnr(gray(made).clamp(0, 1), gray(maps)))
        return f"{file} -> {place}, PSNR {found:.2f} dB"

    each(source, out, (".png", ".png"), work, overwrite)


def sample(
    autoencoder: Autoencoder,
    measured: Measured,
    out: Path,
    count: int,
    size: int,
    seed: int,
    overwrite: bool = False,
) -> None:
    """Maps from the prior: latents drawn from a Gaussian with each channel's mean and std.

    A VAE alone knows nothing of how latents hang together, so these show what is left for a
    diffusion stage to learn.

    Raises:
        InputError: a size that the network cannot make, or no place to write.
    """
    side, rest = divmod(size, autoencoder.factor)
    if rest:
        nearest = f"{size - rest} or {size - rest + autoencoder.factor}"
        raise InputError(
            f"--size {size}: expected a multiple of {autoencoder.factor}; take {nearest}"
        )
    draws = torch.Generator().manual_seed(seed)
    writing.check_below(out)
    places = [out / f"sample_{index}.png" for index in range(count)]
    for place in places:
        writing.check_file(place, overwrite=overwrite)
    for place in places:
        shift = measured.mean[None, :, None, None].expand(1, -1, side, side)
        spread = 2 * measured.std.log()[None, :, None, None].expand_as(shift)
        save_map(autoencoder.decode(draw(shift, spread, draws)), place)
    print(f"{count} samples in {out}")
