"""Both models put to use: maps predicted and completed; encoded, decoded, sampled from nothing."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.shared import checkpoints
from experiments.shared.errors import InputError, cli
from experiments.shared.progress import progress, say
from radiodiff import codec
from radiodiff.corpus import make_folder, save
from radiodiff.estimate.module import RadioMapEstimator
from radiodiff.estimate.predict import complete, predict
from radiodiff.evaluation import gray
from radiodiff.metrics import psnr
from radiodiff.module import RadioDiffVAE
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


def each(source: Path, out: Path, suffixes: tuple[str, str], work: Callable) -> None:
    """`work(file, place)` on the files of `source`: writes `place`, returns a line to print.

    `place` is `out` itself for a single file, else a name below it. `suffixes`: of file and place.
    A bad file of a folder is named and passed over.

    Raises:
        InputError: nothing there, no place to write; or, when all is done, that some files failed.
    """
    files = files_in(source, suffixes[0])
    single = source.is_file() and out.suffix == suffixes[1]
    make_folder(out.parent if single else out)
    failed = 0
    for file in progress(files, "files", "file") if len(files) > 1 else files:
        try:
            say(work(file, out if single else out / f"{file.stem}{suffixes[1]}"))
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
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            latents = torch.from_numpy(arrays["mean"]).float()[None]
    except Exception as error:  # numpy raises a dozen kinds for a broken archive
        raise InputError(f"{file}: expected latents of `encode` ({error})") from error
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
    try:
        save(gray(made[0, 0]).clamp(0, 1).numpy(), file)
    except OSError as error:
        raise cannot_write(file, error) from error


def cannot_write(file: Path, error: OSError) -> InputError:
    return InputError(f"{file}: cannot be written ({error}); free space or choose another folder")


def encode(
    module: RadioDiffVAE, source: Path, out: Path, coarseness: float = 1.0, latents: bool = False
) -> None:
    """Maps as files (.rdm) of quantised, range-coded latents; prints the bits a pixel of each.

    With `latents`, .npz instead, for a diffusion stage: `mean`, `logvar` (Z, h, w), and `shift`,
    `scale` (Z,) of each channel. `(mean - shift) * scale` has mean 0 and std 1 over the validation
    cities.
    """
    if not 0.1 <= coarseness <= 100:
        raise InputError(f"--coarseness {coarseness}: expected from 0.1 (fine) to 100 (coarse)")
    tables, scale = module.measured.tables, 1.0 / module.measured.std.clamp_min(1e-6)

    def work(file: Path, place: Path) -> str:
        maps = read_map(file, module.autoencoder.factor)
        mean, logvar = module.autoencoder.encode(maps)
        if not torch.cat([mean, logvar]).isfinite().all():
            raise InputError(
                f"{file}: its latents are NaN or infinite; the model diverged in training, take "
                "an earlier checkpoint"
            )
        arrays = {
            "mean": mean[0],
            "logvar": logvar[0],
            "shift": module.measured.mean,
            "scale": scale,
        }
        told = f"{file} -> {place}, {tuple(mean.shape[1:])}"
        try:
            if latents:
                np.savez(place, **{name: array.numpy() for name, array in arrays.items()})
                return told
            data = codec.encode(mean[0].numpy(), tables, coarseness)
            place.write_bytes(data)
        except OSError as error:
            raise cannot_write(place, error) from error
        return f"{told}, {8 * len(data) / maps.numel():.3f} bits a pixel"

    each(source, out, (".png", ".npz" if latents else ".rdm"), work)


def decode(module: RadioDiffVAE, source: Path, out: Path) -> None:
    """Maps from what `encode` wrote, of either kind."""
    tables, channels = module.measured.tables, module.autoencoder.latent
    folder = list(source.iterdir()) if source.is_dir() else [source]
    suffix = ".rdm" if any(file.suffix.lower() == ".rdm" for file in folder) else ".npz"

    def work(file: Path, place: Path) -> str:
        if suffix == ".rdm":
            latents = torch.from_numpy(codec.decode(file.read_bytes(), tables, str(file)))[None]
        else:
            latents = read_latents(file, channels)
        save_map(module.autoencoder.decode(latents), place)
        return f"{file} -> {place}"

    each(source, out, (suffix, ".png"), work)


def reconstruct(module: RadioDiffVAE, source: Path, out: Path) -> None:
    def work(file: Path, place: Path) -> str:
        maps = read_map(file, module.autoencoder.factor)
        made = module.autoencoder.decode(module.autoencoder.encode(maps)[0])
        save_map(made, place)
        found = float(psnr(gray(made).clamp(0, 1), gray(maps)))
        return f"{file} -> {place}, PSNR {found:.2f} dB"

    each(source, out, (".png", ".png"), work)


def sample(module: RadioDiffVAE, out: Path, count: int, size: int, seed: int) -> None:
    """Maps from the prior: latents drawn from a Gaussian with each channel's mean and std.

    A VAE alone knows nothing of how latents hang together, so these show what is left for a
    diffusion stage to learn.

    Raises:
        InputError: a size that the network cannot make, or no place to write.
    """
    side, rest = divmod(size, module.autoencoder.factor)
    if rest:
        nearest = f"{size - rest} or {size - rest + module.autoencoder.factor}"
        raise InputError(
            f"--size {size}: expected a multiple of {module.autoencoder.factor}; take {nearest}"
        )
    draws = torch.Generator().manual_seed(seed)
    make_folder(out)
    for index in range(count):
        shift = module.measured.mean[None, :, None, None].expand(1, -1, side, side)
        spread = 2 * module.measured.std.log()[None, :, None, None].expand_as(shift)
        save_map(module.autoencoder.decode(draw(shift, spread, draws)), out / f"sample_{index}.png")
    print(f"{count} samples in {out}")


def add_estimation(commands) -> None:
    """The commands of a run of radio_map."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--checkpoint", required=True, help="run folder or .ckpt of radio_map")
    parser.add_argument("--scale", help="of GeoJSON: metres a unit, or degrees")
    parser.add_argument("--invert", action="store_true", help="buildings are black in the PNG")
    pair = {"nargs": 2, "type": int, "metavar": ("ROW", "COLUMN")}
    found = commands.add_parser(
        "predict", parents=[parser], help="plans and transmitters to radio maps"
    )
    found.add_argument("source", type=Path, help="plan (.png, .geojson), or folder of plans")
    found.add_argument(
        "--tx", action="append", help="a transmitter's pixel; may be given again", **pair
    )
    found.add_argument("--antennas", type=Path, help="RadioMapSeer's antenna JSON, or folder of it")
    found.add_argument("--power-dbm", type=float, default=23.0, help="for SINR (%(default)s)")
    found.add_argument("--bandwidth-hz", type=float, default=10e6, help="for SINR (%(default)g)")
    found.add_argument("--noise-figure-db", type=float, default=0.0, help="for SINR (%(default)s)")
    found.add_argument("out", type=Path, help="folder")
    found = commands.add_parser(
        "complete", parents=[parser], help="a plan and measurements to a radio map"
    )
    found.add_argument("source", type=Path, help="plan (.png, .geojson)")
    found.add_argument("--samples", type=Path, required=True, help="CSV with row,column,db")
    found.add_argument("--tx", help="the transmitter's pixel; else it is located", **pair)
    found.add_argument("out", type=Path, help="folder")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m radiodiff.infer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_estimation(commands)
    for name, about in (
        ("encode", "PNG files to small files (.rdm), or to latents"),
        ("decode", "such files to PNG files"),
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
        if name == "encode":
            command.add_argument("--coarseness", type=float, default=1.0, help="2: smaller files")
            command.add_argument(
                "--latents", action="store_true", help=".npz for a diffusion stage"
            )
        command.add_argument("out", type=Path, help="folder, or file for a single file")
    options = vars(parser.parse_args())
    command, checkpoint = options.pop("command"), options.pop("checkpoint")
    if command in ("predict", "complete"):
        module = checkpoints.load(RadioMapEstimator, checkpoint)
        if command == "predict":
            names = ("power_dbm", "bandwidth_hz", "noise_figure_db")
            options["radio"] = {name: options.pop(name) for name in names}
        {"predict": predict, "complete": complete}[command](module, **options)
        return
    module = checkpoints.load(RadioDiffVAE, checkpoint)
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
