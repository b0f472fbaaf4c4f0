"""The estimator put to use: maps of a user's plans, with transmitters or samples given."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from PIL import Image

from experiments.shared import writing
from experiments.shared.errors import InputError
from experiments.shared.plots import COLOURS, new_figure
from experiments.shared.progress import progress, say
from radiodiff.cities.propagation import FLOOR_DB, SPAN_DB, TOP_DB, path_loss, spread
from radiodiff.estimate.fields import SAMPLE, SAMPLED, known, look
from radiodiff.estimate.figures import show
from radiodiff.estimate.module import RadioMapEstimator
from radiodiff.estimate.plans import (
    PLANS,
    check_place,
    read_plan,
    read_samples,
    read_transmitters,
)
from radiodiff.estimate.registration import UNKNOWN

HEARD = 24  # samples, the loudest, that a transmitter is located by


def estimate(
    module: RadioMapEstimator,
    plan: np.ndarray,
    place: tuple[int, int],
    samples: tuple[np.ndarray, np.ndarray] | None = None,
    shift: tuple[float, float] = UNKNOWN,
) -> dict[str, np.ndarray]:
    """`path_gain_db` (H, W) of a transmitter at (row, column); samples are places and dB.

    Of a flow also `low_50_db`, `high_50_db`, `low_90_db`, `high_90_db`, the ends of intervals.
    """
    return estimate_all(module, [inputs_of(plan, place, samples, shift)])[0]


def inputs_of(
    plan: np.ndarray,
    place: tuple[int, int],
    samples: tuple[np.ndarray, np.ndarray] | None = None,
    shift: tuple[float, float] = UNKNOWN,
) -> np.ndarray:
    """Channels (K, H, W) of what is known, samples included."""
    inputs = known(plan, look(plan, *place), *place, shift=shift)
    if samples is not None:
        rows, columns = samples[0].T
        inputs[SAMPLE, rows, columns] = ((samples[1] - FLOOR_DB) / SPAN_DB).clip(0, 1)
        inputs[SAMPLED, rows, columns] = 1
    return inputs


def estimate_all(
    module: RadioMapEstimator, inputs: list[np.ndarray]
) -> list[dict[str, np.ndarray]]:
    """`estimate` of each of `inputs` (K, H, W); those of one size are one batch."""
    found: list[dict[str, np.ndarray]] = [{} for _ in inputs]
    for shape in {one.shape for one in inputs}:
        places = [i for i, one in enumerate(inputs) if one.shape == shape]
        with torch.inference_mode():
            given = torch.from_numpy(np.stack([inputs[i] for i in places])).to(module.device)
            made = {"path_gain": module.estimate(given)}
            if module.flow is not None:
                made |= module.intervals(given)
        for name, gray in made.items():
            decibels = FLOOR_DB + SPAN_DB * gray[:, 0].float().clamp(0, 1).cpu().numpy()
            for i, one in zip(places, decibels, strict=True):
                found[i][f"{name}_db"] = one
    return found


def locate(plan: np.ndarray, places: np.ndarray, levels: np.ndarray) -> tuple[int, int]:
    """The free pixel from which our propagation hears the samples (dB) as they were measured.

    By reciprocity: paths are followed from each of the loudest samples to everywhere.
    """
    loudest = np.argsort(-levels)[:HEARD]
    misfit = np.zeros(plan.shape)
    for (y, x), level in zip(places[loudest], levels[loudest], strict=True):
        length, turning, bends = spread(np.ascontiguousarray(plan), int(y), int(x))
        off = np.abs(-path_loss(length, turning, bends) - level)
        misfit += np.where(length < 0, 40.0, np.minimum(off, 40.0))
    misfit[plan] = np.inf
    return tuple(int(n) for n in np.unravel_index(misfit.argmin(), plan.shape))


def plans_in(source: Path) -> list[Path]:
    """`source` itself, or the plans of a folder, by name.

    Raises:
        InputError: nothing there.
    """
    found = [source]
    if source.is_dir():
        found = sorted(f for f in source.iterdir() if f.suffix.lower() in PLANS)
    if not found or not found[0].is_file():
        raise InputError(f"{source}: expected a plan ({' or '.join(PLANS)}), or a folder with some")
    return found


def predict(
    module: RadioMapEstimator,
    source: Path,
    out: Path,
    *,
    tx: list[tuple[int, int]] | None,
    antennas: Path | None,
    scale: str | None,
    invert: bool,
    registration: tuple[float, float],
    radio: dict[str, float],
    overwrite: bool = False,
) -> None:
    """Write the maps of each plan's transmitters; several give best-server and SINR maps, too.

    Raises:
        InputError: bad input; for a folder, when all is done, that some plans failed.
    """
    files, failed = plans_in(source), 0
    check_new(out, files, overwrite)
    for file in progress(files, "plans", "plan") if len(files) > 1 else files:
        try:
            plan = read_plan(file, scale, invert)
            at = antennas / f"{file.stem}.json" if antennas and antennas.is_dir() else antennas
            places = [tuple(place) for place in tx or ()] + (read_transmitters(at) if at else [])
            if not places:
                raise InputError(
                    "say where the transmitter is: --tx ROW COLUMN, or --antennas FILE"
                )
            for place in places:
                check_place(plan, *place, "transmitter")
            maps = [estimate(module, plan, place, shift=registration) for place in places]
            for index, (found, place) in enumerate(zip(maps, places, strict=True)):
                name = f"{file.stem}_{index}" if len(places) > 1 else file.stem
                write(out, name, found, plan, [place])
            if len(maps) > 1:
                decibels = np.stack([found["path_gain_db"] for found in maps])
                network(out, file.stem, decibels, plan, places, radio)
            say(f"{file}: {len(maps)} {'map' if len(maps) == 1 else 'maps'} in {out}")
        except InputError as error:
            if source.is_file():
                raise
            failed += 1
            say(f"failed: {error}")
    if failed:
        raise InputError(f"{failed} of {len(files)} plans failed, see above; the rest is in {out}")


def complete(
    module: RadioMapEstimator,
    source: Path,
    out: Path,
    *,
    samples: Path,
    tx: tuple[int, int] | None,
    scale: str | None,
    invert: bool,
    registration: tuple[float, float],
    overwrite: bool = False,
) -> None:
    """Write the map of one plan that a few samples were measured of; says where it comes from.

    Raises:
        InputError: bad input.
    """
    check_new(out, [source], overwrite)
    plan = read_plan(source, scale, invert)
    measured = read_samples(samples, plan)
    place = tuple(tx) if tx else locate(plan, *measured)
    check_place(plan, *place, "transmitter")
    found = estimate(module, plan, place, measured, registration)
    write(out, source.stem, found, plan, [place], measured[0])
    off = found["path_gain_db"][tuple(measured[0].T)] - measured[1]
    print(
        f"{source}: {len(off)} samples, transmitter {'given' if tx else 'located'} at row "
        f"{place[0]}, column {place[1]}; the map is off by {np.sqrt(np.square(off).mean()):.1f} dB "
        f"(RMS) at the samples; in {out}"
    )


def check_new(out: Path, plans: list[Path], overwrite: bool) -> None:
    """Stop if a map would take the place of a file that is there, or cannot be written."""
    writing.check_below(out)
    for plan in plans:
        for ending in (".png", ".npz", "_db.png", "_0.png", "_network.npz"):
            writing.check_file(out / f"{plan.stem}{ending}", inputs=plans, overwrite=overwrite)


def write(
    out: Path,
    name: str,
    found: dict[str, np.ndarray],
    plan: np.ndarray,
    transmitters: list[tuple[int, int]],
    samples: np.ndarray | None = None,
) -> None:
    """A map as gray PNG in RadioMapSeer's scale, as .npz in dB, and as a picture to look at."""
    decibels = found["path_gain_db"]
    gray = (decibels - FLOOR_DB) / SPAN_DB
    with writing.replacing(out / f"{name}.png") as scratch:
        Image.fromarray(np.round(255 * gray).astype(np.uint8)).save(scratch)
    arrays = {n: v.astype(np.float32) for n, v in found.items()} | {"buildings": plan}
    with writing.replacing(out / f"{name}.npz") as scratch:
        np.savez_compressed(scratch, **arrays, transmitters=np.array(transmitters))
    style = {"cmap": "viridis", "vmin": FLOOR_DB, "vmax": TOP_DB}
    picture(out / f"{name}_db.png", decibels, plan, "path gain, dB", transmitters, style, samples)
    if "low_90_db" in found:
        width, label = found["high_90_db"] - found["low_90_db"], "width of the 90 % interval, dB"
        style = {"cmap": "magma", "vmin": 0}
        picture(out / f"{name}_90.png", width, plan, label, transmitters, style, samples)


def network(
    out: Path,
    name: str,
    maps: np.ndarray,
    plan: np.ndarray,
    transmitters: list[tuple[int, int]],
    radio: dict[str, float],
) -> None:
    """Which transmitter is loudest where, and the ratio of it to all others and the noise.

    `radio`: power_dbm of each transmitter, bandwidth_hz, noise_figure_db.
    """
    received = radio["power_dbm"] + maps  # dBm
    noise = -174.0 + 10 * np.log10(radio["bandwidth_hz"]) + radio["noise_figure_db"]
    power = 10 ** (received / 10)
    best = received.argmax(0)
    loudest = power.max(0)
    sinr = 10 * np.log10(loudest / (power.sum(0) - loudest + 10 ** (noise / 10)))
    arrays = {"best_server": best, "sinr_db": sinr.astype(np.float32), "buildings": plan}
    with writing.replacing(out / f"{name}_network.npz") as scratch:
        np.savez_compressed(scratch, **arrays, transmitters=np.array(transmitters))
    colours = ListedColormap([COLOURS[k % len(COLOURS)] for k in range(len(maps))])
    served = {"cmap": colours, "vmin": -0.5, "vmax": len(maps) - 0.5, "interpolation": "nearest"}
    picture(out / f"{name}_best_server.png", best, plan, "transmitter", transmitters, served)
    ratio = {"cmap": "viridis", "vmin": -10, "vmax": 40}
    picture(out / f"{name}_sinr.png", sinr, plan, "SINR, dB", transmitters, ratio)


def picture(file, values, plan, label, transmitters, style, samples=None) -> None:
    figure, (axis,) = new_figure(size=(5.4, 4.6))
    show(figure, axis, values, plan, label, **style)
    for index, (y, x) in enumerate(transmitters):
        axis.plot(x, y, marker="*", ms=11, mfc="white", mec="black", mew=0.7)
        if len(transmitters) > 1:
            axis.annotate(str(index), (x, y), xytext=(5, 4), textcoords="offset points")
    if samples is not None:
        axis.plot(samples[:, 1], samples[:, 0], ".", ms=3, color="white")
    axis.set_title(file.stem)
    with writing.replacing(file) as scratch:
        figure.savefig(scratch)
