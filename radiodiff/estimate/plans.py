"""Reads what a user has: plans as PNG or GeoJSON, transmitters as JSON, samples as CSV."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import shapely

from experiments.shared.errors import InputError
from experiments.shared.reading import check_depth, read_json, read_text
from radiodiff.png import read_gray

PLANS = (".png", ".geojson")
MOST_BUILT = 0.7  # above this share a plan is taken to be inverted
METRES_PER_DEGREE = 111_195.0  # on a sphere of 6,371 km


def read_plan(file: Path, scale: str | None = None, invert: bool = False) -> np.ndarray:
    """(H, W) bool, 1 m a pixel, True where a building stands.

    Args:
        file: PNG (buildings white, as RadioMapSeer's), or GeoJSON with building polygons.
        scale: of GeoJSON: metres that a unit of its coordinates is, or "degrees" for longitude and
            latitude.
        invert: buildings are black.

    Raises:
        InputError: unreadable, no building or no free ground in it, or no scale given.
    """
    if file.suffix.lower() == ".geojson":
        plan = rasterized(read_polygons(file), file, scale)
    else:
        plan = read_gray(file) > 127
    plan = plan ^ invert
    if plan.mean() > MOST_BUILT:
        raise InputError(
            f"{file}: {100 * plan.mean():.0f} % of the plan are buildings; expected buildings "
            "white and free ground black: give --invert if yours is the other way round"
        )
    return plan


def read_polygons(file: Path) -> list[shapely.Geometry]:
    try:
        text = read_text(file, "GeoJSON")
        check_depth(text, file)  # GEOS follows brackets until the stack ends
        found = shapely.from_geojson(text)
    except shapely.errors.GEOSException as error:
        raise InputError(
            f"{file}: cannot be read as GeoJSON ({error}): expected outlines of buildings"
        ) from error
    parts = [g for g in shapely.get_parts(found).ravel() if g.geom_type.endswith("Polygon")]
    if not parts:
        raise InputError(f"{file}: no polygon in it, expected the outlines of buildings")
    return parts


def rasterized(polygons: list[shapely.Geometry], file: Path, scale: str | None) -> np.ndarray:
    """The polygons as pixels whose centres they cover, in their bounding box; north is up."""
    if scale is None:
        raise InputError(
            f"{file}: say how long a unit of its coordinates is: --scale 1 for metres, or --scale "
            "degrees for longitude and latitude"
        )
    whole = shapely.union_all(shapely.make_valid(np.array(polygons)))
    left, bottom, right, top = whole.bounds
    if scale == "degrees":
        across = METRES_PER_DEGREE * math.cos(math.radians((bottom + top) / 2))
        factors = np.array([across, METRES_PER_DEGREE])
    else:
        factors = np.full(2, number(scale, "--scale"))
    moved = shapely.transform(whole, lambda points: (points - [left, top]) * factors * [1, -1])
    columns, rows = np.ceil(np.array([right - left, top - bottom]) * factors).astype(int)
    if not 32 <= min(rows, columns) <= max(rows, columns) <= 4096:
        raise InputError(
            f"{file}: {rows} x {columns} m at --scale {scale}; expected sides from 32 to 4,096 m"
        )
    y, x = np.mgrid[:rows, :columns] + 0.5
    shapely.prepare(moved)
    return shapely.contains_xy(moved, x, y)


def number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} {text}: expected a number > 0")
    return value


def read_transmitters(file: Path) -> list[tuple[int, int]]:
    """Rows and columns from RadioMapSeer's antenna JSON, a list of [column, row] in metres.

    Raises:
        InputError: unreadable, or something else.
    """
    pairs = read_json(file, "a JSON list of [column, row] pairs")
    try:
        return [(int(y), int(x)) for x, y in pairs]
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"{file}: expected a JSON list of [column, row] pairs ({error})"
        ) from error


def check_place(plan: np.ndarray, y: int, x: int, what: str) -> None:
    """Raises InputError unless row y, column x is free ground of the plan."""
    rows, columns = plan.shape
    if not (0 <= y < rows and 0 <= x < columns):
        raise InputError(
            f"{what} at row {y}, column {x}: the plan has {rows} rows and {columns} columns; "
            "choose a place within it"
        )
    if plan[y, x]:
        near = np.argwhere(~plan)
        best = near[np.square(near - [y, x]).sum(1).argmin()]
        raise InputError(
            f"{what} at row {y}, column {x} stands in a building; the nearest free pixel is "
            f"{best[0]} {best[1]}"
        )


def read_samples(file: Path, plan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (N, 2), and path gain (N,) in dB, from CSV with row, column, db.

    Raises:
        InputError: unreadable, another header, or a sample that cannot be; it names the line.
    """
    places, levels = [], []
    try:
        with io.StringIO(read_text(file, "a CSV of samples"), newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            if not {"row", "column", "db"} <= set(reader.fieldnames or ()):
                raise InputError(f"{file}: expected the columns row,column,db in its first line")
            for line, entry in enumerate(reader, 2):
                y, x, level = (float(entry[name]) for name in ("row", "column", "db"))
                if not -200 <= level <= 0:
                    raise InputError(
                        f"{file}, line {line}: {level} dB, expected a path gain from -200 to 0"
                    )
                check_place(plan, round(y), round(x), f"{file}, line {line}: sample")
                places.append((round(y), round(x)))
                levels.append(level)
    except (ValueError, TypeError, OverflowError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: cannot be read as CSV of numbers ({error})") from error
    if not places:
        raise InputError(f"{file}: no sample in it")
    return np.array(places), np.array(levels)
