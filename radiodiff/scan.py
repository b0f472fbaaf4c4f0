"""Finds the samples of a folder in RadioMapSeer's layout."""

import re
from dataclasses import dataclass
from pathlib import Path

from experiments.shared.errors import InputError
from radiodiff.png import image_size

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

    A map that cannot be read (truncated, no image), or whose antenna cannot, is skipped: it is one
    of many. What is wrong with all of a kind stops.

    Raises:
        InputError: a missing folder or file, an unreadable plan, a wrong size, nothing there.
    """
    gains, plans, antennas = (
        root / part for part in (f"gain/{simulation}", "png/buildings_complete", "png/antennas")
    )
    for folder in (gains, plans, antennas):
        if not folder.is_dir():
            raise InputError(f"{folder}: missing; expected RadioMapSeer's layout below data.root")
    samples, skipped, plans_seen = [], [], set()
    for file in gains.iterdir():
        match = NAME.fullmatch(file.name)
        if not match or match[1] == "0":
            continue
        city, transmitter = int(match[1]), int(match[2])
        sample = Sample(city, transmitter, file, plans / f"{city}.png", antennas / file.name)
        for needed in (sample.buildings, sample.antenna):
            if not needed.is_file():
                raise InputError(
                    f"{file}: its {needed.parent.name} file {needed} is missing; restore it"
                )
        try:
            sizes = {each: image_size(each) for each in (file, sample.antenna)}
        except InputError as error:
            skipped.append(f"skipped {error}")
            continue
        if city not in plans_seen:
            sizes[sample.buildings] = image_size(sample.buildings)
            plans_seen.add(city)
        for checked, found in sizes.items():
            if found != (size, size):
                raise InputError(
                    f"{checked}: expected {size} x {size} pixels, got {found}; set data.size"
                )
        samples.append(sample)
    if not samples:
        raise InputError(f"{gains}: no readable map named CITY_TRANSMITTER.png (from city 1 on)")
    return sorted(samples, key=lambda s: (s.city, s.transmitter)), sorted(skipped)
