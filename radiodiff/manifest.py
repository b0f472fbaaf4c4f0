"""Which city belongs to which split: drawn once, written down, checked."""

import hashlib
import json
from pathlib import Path

import numpy as np

from experiments.shared.errors import InputError
from experiments.shared.reading import read_json
from experiments.shared.writing import write_text

SPLITS = ("train", "val", "test")


def draw(cities: list[int], shares: tuple[float, float], seed: int) -> dict[str, list[int]]:
    """Cities of each split; at least one each in validation and test.

    Raises:
        InputError: too few cities, or shares that leave none for training.
    """
    order = np.random.default_rng(seed).permutation(sorted(cities)).tolist()
    val, test = (max(1, round(share * len(order))) for share in shares)
    if min(shares) < 0 or val + test >= len(order):
        raise InputError(
            f"{len(order)} cities, shares {tuple(shares)}: no city is left for training; "
            "give at least 3 cities or smaller data.shares"
        )
    parts = order[val + test :], order[:val], order[val : val + test]
    return {name: sorted(part) for name, part in zip(SPLITS, parts, strict=True)}


def check(manifest: dict, cities: list[int], source: str) -> dict[str, list[int]]:
    """The manifest, if it names disjoint splits of cities that are there.

    Raises:
        InputError: it does not.
    """
    if not isinstance(manifest, dict) or set(manifest) != set(SPLITS):
        raise InputError(f"{source}: expected an object with train, val and test")
    if not all(isinstance(cities_, list) and all(type(c) is int for c in cities_)
               for cities_ in manifest.values()):  # fmt: skip
        raise InputError(f"{source}: expected lists of cities' numbers below train, val and test")
    had: dict[int, str] = {}
    for split in SPLITS:
        for city in manifest[split]:
            if city in had:
                raise InputError(f"{source}: city {city} is in {had[city]} and in {split}")
            had[city] = split
    unknown = sorted(set(had) - set(cities))
    if unknown:
        raise InputError(
            f"{source}: cities {unknown[:5]} are not in the data; restore their maps, or take them "
            "out of a copy of the manifest and give that"
        )
    return manifest


def choose(
    cities: list[int],
    shares: tuple[float, float],
    seed: int,
    given: str | None,
    cache: Path,
    folder: Path,
) -> tuple[dict[str, list[int]], Path]:
    """The given manifest, or the drawn one, and the file that it stands in.

    A drawn one's file is named by what it was drawn from, so a changed corpus gets another.
    """
    if given:
        manifest = read_json(given, "data.manifest, a JSON with train, val and test")
        return check(manifest, cities, given), Path(given)
    drawn = check(draw(cities, shares, seed), cities, "drawn splits")
    return drawn, keep(drawn, cache, folder)


def keep(manifest: dict[str, list[int]], cache: Path, folder: Path) -> Path:
    """The manifest's file in the cache, named by its content; written unless it is there whole."""
    key = hashlib.sha256(json.dumps([str(folder.name), manifest]).encode()).hexdigest()[:12]
    file = cache / f"radio-maps-splits-{key}.json"
    text = json.dumps(manifest) + "\n"
    if not file.is_file() or file.read_text(errors="replace") != text:
        write_text(file, text)
    return file


def refuse_moved(
    before: dict[str, list[int]], now: dict[str, list[int]], cache: Path, folder: Path
) -> None:
    """Stop a run that goes on with a city in another split than it began with.

    One more city in the folder draws all splits anew, and what was trained on would be the test.

    Raises:
        InputError: a city moved; the splits as they were are kept in a file that it names.
    """
    had, has = ({c: split for split in SPLITS for c in part[split]} for part in (before, now))
    moved = sorted(city for city in had if has.get(city, had[city]) != had[city])
    if moved:
        one, file = moved[0], keep(before, cache, folder)
        raise InputError(
            f"{folder}: {len(moved)} cities are in another split than when this run began (city "
            f"{one}: {had[one]}, now {has[one]}), for the cities, data.shares or data.seed "
            f"changed; go on with the run's own splits by data.manifest={file} (new cities are "
            "left out), or start a new run"
        )
