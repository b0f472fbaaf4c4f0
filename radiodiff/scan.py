"""Finds the samples of a folder in RadioMapSeer's layout, and looks at what belongs together."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.shared.errors import InputError
from radiodiff.png import image_size, is_black, read_gray

SIMULATIONS = ("DPM", "IRT2", "IRT4", "carsDPM", "carsIRT2", "carsIRT4")
NAME = re.compile(r"(\d+)_(\d+)\.png")


@dataclass(frozen=True)
class Sample:
    """One radio map and what belongs to it."""

    city: int
    transmitter: int
    gain: Path
    buildings: Path
    antenna: Path


def scan(root: Path, simulation: str, size: int) -> tuple[list[Sample], list[str]]:
    """Samples in order of (city, transmitter), without map 0; and a line for each skipped file.

    A map that cannot be read (truncated, a wrong byte, no image), or whose antenna cannot or shows
    no transmitter, is skipped: it is one of many. What is wrong with all of a kind stops.

    Raises:
        InputError: a missing folder or file, an unreadable plan, a wrong size, a plan that does not
            belong to its maps, maps without levels, nothing there.
    """
    gains, plans, antennas = (
        by_name(root / part)
        for part in (f"gain/{simulation}", "png/buildings_complete", "png/antennas")
    )
    samples, skipped, cities = [], [], set()
    for name, file in gains.items():
        match = NAME.fullmatch(name)
        if not match or match[1] == "0":
            continue
        city, transmitter = int(match[1]), int(match[2])
        plan, antenna = plans.get(f"{city}.png"), antennas.get(name)
        for found, wanted in (
            (plan, f"buildings_complete/{city}.png"),
            (antenna, f"antennas/{name}"),
        ):
            if found is None:
                kind, place = wanted.split("/")[0], root / "png" / wanted
                raise InputError(f"{file}: its {kind} file {place} is missing; restore it")
        try:
            sizes = {each: image_size(each) for each in (file, antenna)}
            if is_black(antenna):
                raise InputError(f"{antenna}: no pixel is lit, expected one at the transmitter")
        except InputError as error:
            skipped.append(f"skipped {error}")
            continue
        if city not in cities:
            sizes[plan] = image_size(plan)
        for checked, found in sizes.items():
            if found != (size, size):
                raise InputError(
                    f"{checked}: expected {size} x {size} pixels, got {found}; set data.size"
                )
        if city not in cities:
            check_pair(file, plan)
            cities.add(city)
        samples.append(Sample(city, transmitter, file, plan, antenna))
    if not samples:
        raise InputError(
            f"{root / 'gain' / simulation}: no readable map named CITY_TRANSMITTER.png (from city "
            "1 on)"
        )
    return sorted(samples, key=lambda s: (s.city, s.transmitter)), sorted(skipped)


def by_name(folder: Path) -> dict[str, Path]:
    """Files of a folder by their names in small letters: 1_0.PNG is as good as 1_0.png.

    Raises:
        InputError: no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: missing; expected RadioMapSeer's layout below data.root")
    return {file.name.lower(): file for file in sorted(folder.iterdir())}


def check_pair(gain: Path, plan: Path) -> None:
    """Look at one map of a city and its plan: signal stands outside of the buildings.

    Raises:
        InputError: the plan is inverted, or another city's; or the map has 1 bit a pixel.
    """
    lit = read_gray(gain, bilevel=False) > 0
    built = read_gray(plan) > 127
    if built.any() and (~built).any():
        inside, outside = lit[built].mean(), lit[~built].mean()
        if inside > outside:
            raise InputError(
                f"{plan}: {gain.name} has signal on {100 * inside:.0f} % of its buildings and "
                f"{100 * outside:.0f} % of its free ground, so the plan is inverted (expected "
                "buildings 255, free ground 0) or of another city"
            )


def read_transmitter(file: Path, shape: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the lit pixel of an antenna image.

    Raises:
        InputError: unreadable, of another shape than its map, or no pixel is lit.
    """
    antenna = read_gray(file)
    if antenna.shape != shape:
        raise InputError(f"{file}: expected {shape} pixels as its map has, got {antenna.shape}")
    if not antenna.any():
        raise InputError(f"{file}: no pixel is lit, expected one at the transmitter; restore it")
    y, x = np.unravel_index(antenna.argmax(), shape)
    return int(y), int(x)


def first_of_each(samples: list[Sample], limit: int) -> list[Sample]:
    """At most `limit` samples of each city, in order."""
    had: dict[int, int] = {}
    kept = []
    for sample in samples:
        had[sample.city] = had.get(sample.city, 0) + 1
        if had[sample.city] <= limit:
            kept.append(sample)
    return kept
