"""The embedded corpus: made-up cities and their radio maps, in RadioMapSeer's layout and PNGs."""

import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from experiments.shared import arguments, writing
from experiments.shared.errors import InputError, cli
from experiments.shared.progress import progress
from radiodiff.cities.city import draw_city, place_cars, place_transmitters
from radiodiff.cities.propagation import in_sight, radio_map

FOLDERS = ("gain/DPM", "png/buildings_complete", "png/antennas")
CAR_FOLDERS = ("gain/carsDPM", "png/cars")
LEAST = 512  # bytes of a picture of a map, at least
SMOOTH = 14.0  # m, standard deviation of the window that smooths what is unexplained
RESIDUAL_DB, EXPONENT_STD = 0.95, 0.028


def save(array: np.ndarray, file: Path) -> None:
    """Write gray values in [0, 1] or a mask as an 8-bit PNG."""
    Image.fromarray(np.round(array * 255.0).astype(np.uint8)).save(file, "PNG")


def make_folder(folder: Path) -> None:
    """Raises InputError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made a folder ({error.strerror}); choose another place"
        ) from error


def unexplained(rng: np.random.Generator, walls: np.ndarray, y: int, x: int) -> np.ndarray:
    """(H, W), dB: what distance and bends do not tell of a real map, smooth over some 30 m.

    Over the pixels in sight it has a standard deviation of 0.95 dB about a path-loss exponent that
    is off by 0.028 (one standard deviation): fits to such maps then spread as those to real ones.
    """
    field = gaussian_filter(rng.normal(size=walls.shape), SMOOTH, mode="wrap")
    rows, columns = np.mgrid[: walls.shape[0], : walls.shape[1]]
    decades = np.log10(np.maximum(np.hypot(rows - y, columns - x), 1.0))
    seen = in_sight(walls, y, x)
    slope, level = np.polyfit(decades[seen], field[seen], 1)
    field = field - slope * decades - level
    steeper = 10 * rng.normal(0.0, EXPONENT_STD) * (decades - 1.6)  # about 40 m
    return RESIDUAL_DB / max(field[seen].std(), 1e-9) * field + steeper


def make_city(root: Path, transmitters: int, size: int, cars: int, seed: int, number: int) -> int:
    """Write one city: its plan and its transmitters' maps. Returns how many maps."""
    rng = np.random.default_rng((seed, number))
    walls, plan = draw_city(rng, size)
    places = place_transmitters(rng, walls | plan, transmitters)
    save(plan, root / "png/buildings_complete" / f"{number}.png")
    parked = place_cars(rng, walls, cars) if cars else None
    if cars:
        parked[tuple(places.T)] = False
        save(parked, root / "png/cars" / f"{number}.png")
    for index, (y, x) in enumerate(places):
        name = f"{number}_{index}.png"
        lit = np.zeros_like(plan)
        lit[y, x] = True
        further = unexplained(rng, walls, y, x)
        save(lit, root / "png/antennas" / name)
        save(radio_map(walls, y, x, further), root / "gain/DPM" / name)
        if cars:
            save(radio_map(walls | parked, y, x, further), root / "gain/carsDPM" / name)
    return len(places) * (2 if cars else 1)


def make_corpus(
    root: Path,
    *,
    maps: int,
    transmitters: int,
    size: int = 256,
    cars: int = 0,
    seed: int = 0,
    workers: int = 1,
) -> int:
    """Write a corpus of cities 1..maps below `root`; returns the number of radio maps.

    The same arguments give the same bytes, whatever the number of workers.

    Raises:
        InputError: a number that makes no corpus, or no place to write.
    """
    for name, value, least in (
        ("maps", maps, 1),
        ("transmitters", transmitters, 1),
        ("size", size, 64),
        ("cars", cars, 0),
        ("workers", workers, 1),
    ):
        if value < least:
            raise InputError(f"{name}={value}: expected at least {least}")
    writing.foresee(root, 2 * maps * transmitters * LEAST, f"maps={maps}: give fewer")
    for folder in FOLDERS + (CAR_FOLDERS if cars else ()):
        make_folder(root / folder)
    one = partial(make_city, root, transmitters, size, cars, seed)
    numbers = range(1, maps + 1)
    if workers == 1:
        return sum(progress(map(one, numbers), "cities", "map", total=maps))
    with ProcessPoolExecutor(workers) as pool:
        return sum(progress(pool.map(one, numbers), "cities", "map", total=maps))


def main() -> None:
    parser = arguments.Parser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write; gets gain/ and png/")
    count, side = arguments.whole(1, 100_000), arguments.whole(64, 4096)
    parser.add_argument("--maps", type=count, default=40, help="cities (default %(default)s)")
    parser.add_argument(
        "--transmitters", type=arguments.whole(1, 1000), default=20, help="a city (%(default)s)"
    )
    parser.add_argument("--size", type=side, default=256, help="pixels a side, 1 m each")
    parser.add_argument(
        "--cars", type=arguments.whole(0, 10_000), default=0, help="cars a city; adds carsDPM"
    )
    parser.add_argument("--seed", type=arguments.seed, default=0)
    parser.add_argument("--workers", type=arguments.whole(1, 1024), default=1)
    parser.overwrite()
    options = vars(parser.parse_args())
    out = writing.check_folder(options.pop("out"), overwrite=options.pop("overwrite"))
    begin, busy = time.perf_counter(), time.process_time()
    with writing.new_folder(out) as scratch:
        count = make_corpus(scratch, **options)
    seconds, busy = time.perf_counter() - begin, time.process_time() - busy
    print(f"{count} radio maps in {out}, {seconds:.1f} s, {count / seconds:.1f} maps/s", end="")
    print(f" ({count / busy:.1f} a processor second)" if options["workers"] == 1 else "")


if __name__ == "__main__":
    cli(main)
