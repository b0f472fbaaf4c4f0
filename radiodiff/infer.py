"""The VAE put to use on PNG files: encode, decode, reconstruct, and sample maps from nothing."""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.shared import checkpoints
from experiments.shared.errors import InputError, cli
from radiodiff.corpus import save
from radiodiff.metrics import psnr
from radiodiff.module import RadioDiffVAE, gray
from radiodiff.network import draw
from radiodiff.png import read_gray


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


def target(out: Path, source: Path, file: Path, suffix: str) -> Path:
    """Where the result of `file` goes: `out` itself for a single file, else a name below it."""
    single = source.is_file() and out.suffix == suffix
    place = out if single else out / f"{file.stem}{suffix}"
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def read_map(file: Path, factor: int) -> Tensor:
    """(1, 1, H, W) in [-1, 1].

    Raises:
        InputError: unreadable, or a side that the network cannot divide.
    """
    pixels = read_gray(file)
    if any(side % factor for side in pixels.shape):
        raise InputError(f"{file}: {pixels.shape} pixels, expected multiples of {factor}; crop it")
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1.0)[None, None]


def save_map(made: Tensor, file: Path) -> None:
    save(gray(made[0, 0]).clamp(0, 1).numpy(), file)


def encode(module: RadioDiffVAE, source: Path, out: Path) -> None:
    """Latents as .npz: `mean`, `logvar` (Z, h, w), and `shift`, `scale` (Z,) of each channel.

    `(mean - shift) * scale` has mean 0 and std 1 over the validation cities: what a diffusion stage
    wants.
    """
    for file in files_in(source, ".png"):
        mean, logvar = module.autoencoder.encode(read_map(file, module.autoencoder.factor))
        place = target(out, source, file, ".npz")
        scale = 1.0 / module.latent_std.clamp_min(1e-6)
        arrays = {"mean": mean[0], "logvar": logvar[0], "shift": module.latent_mean, "scale": scale}
        np.savez(place, **{name: array.numpy() for name, array in arrays.items()})
        print(f"{file} -> {place}, {tuple(mean.shape[1:])}")


def decode(module: RadioDiffVAE, source: Path, out: Path) -> None:
    for file in files_in(source, ".npz"):
        try:
            with np.load(file, allow_pickle=False) as arrays:
                latents = torch.from_numpy(arrays["mean"]).float()[None]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{file}: expected latents of `encode` ({error})") from error
        if latents.ndim != 4 or latents.shape[1] != module.autoencoder.latent:
            shape, channels = tuple(latents.shape[1:]), module.autoencoder.latent
            raise InputError(f"{file}: latents {shape}, expected ({channels}, h, w)")
        place = target(out, source, file, ".png")
        save_map(module.autoencoder.decode(latents), place)
        print(f"{file} -> {place}")


def reconstruct(module: RadioDiffVAE, source: Path, out: Path) -> None:
    for file in files_in(source, ".png"):
        maps = read_map(file, module.autoencoder.factor)
        made = module.autoencoder.decode(module.autoencoder.encode(maps)[0])
        place = target(out, source, file, ".png")
        save_map(made, place)
        print(f"{file} -> {place}, PSNR {float(psnr(gray(made).clamp(0, 1), gray(maps))):.2f} dB")


def sample(module: RadioDiffVAE, out: Path, count: int, size: int, seed: int) -> None:
    """Maps from the prior: latents drawn from a Gaussian with each channel's mean and std.

    A VAE alone knows nothing of how latents hang together, so these show what is left for a
    diffusion stage to learn.
    """
    side = size // module.autoencoder.factor
    draws = torch.Generator().manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        shift = module.latent_mean[None, :, None, None].expand(1, -1, side, side)
        spread = 2 * module.latent_std.log()[None, :, None, None].expand_as(shift)
        save_map(module.autoencoder.decode(draw(shift, spread, draws)), out / f"sample_{index}.png")
    print(f"{count} samples in {out}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m radiodiff.infer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (
        ("encode", "PNG files to latents (.npz)"),
        ("decode", "latents to PNG files"),
        ("reconstruct", "PNG files to PNG files, through the latents"),
        ("sample", "PNG files from the prior"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("--checkpoint", required=True, help="run folder or .ckpt file")
        if name == "sample":
            command.add_argument("--count", type=int, default=4)
            command.add_argument("--size", type=int, default=256, help="pixels a side")
            command.add_argument("--seed", type=int, default=0)
        else:
            command.add_argument("source", type=Path, help="file or folder")
        command.add_argument("out", type=Path, help="folder, or file for a single file")
    options = vars(parser.parse_args())
    command = options.pop("command")
    module = checkpoints.load(RadioDiffVAE, options.pop("checkpoint"))
    if command == "sample":
        for name, least in (("count", 1), ("size", 32)):
            if options[name] < least:
                raise InputError(f"--{name} {options[name]}: expected at least {least}")
    with torch.inference_mode():
        {"encode": encode, "decode": decode, "reconstruct": reconstruct, "sample": sample}[command](
            module, **options
        )


if __name__ == "__main__":
    cli(main)
