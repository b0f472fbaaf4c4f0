"""Plans of made-up cities: districts, streets in a hierarchy, lots, buildings, squares.

A plan is a bool array (H, W), True where a building stands, 1 m a pixel.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.ndimage import binary_dilation, distance_transform_edt, label

BUILT = (0.06, 0.45)  # share of built ground that a plan may have
MARGIN = 53 / 256  # transmitters keep this share of the side from the edge, as in RadioMapSeer


@dataclass(frozen=True)
class Style:
    """How a district is built; lengths in m."""

    angle: float
    lot: float  # lots are not divided below this
    street: float
    built: float  # share of lots with a building
    setback: float
    odd: float  # share of buildings that are no plain rectangles


def draw_style(rng: np.random.Generator) -> Style:
    return Style(
        angle=rng.uniform(-math.pi / 4, math.pi / 4),
        lot=rng.choice([14.0, 19.0, 27.0, 42.0], p=[0.15, 0.35, 0.35, 0.15]),
        street=rng.uniform(8, 17),
        built=rng.choice([0.35, 0.6, 0.8, 0.92], p=[0.15, 0.25, 0.35, 0.25]),
        setback=rng.uniform(0.8, 2.5),
        odd=rng.uniform(0.15, 0.4),
    )


@njit(cache=True)
def paint(plan, cx, cy, half_w, half_h, angle, value):
    """Set a rotated rectangle with its centre at (cx, cy) to `value`."""
    cos, sin = math.cos(angle), math.sin(angle)
    reach = math.hypot(half_w, half_h) + 1
    for y in range(max(0, int(cy - reach)), min(plan.shape[0], int(cy + reach) + 2)):
        for x in range(max(0, int(cx - reach)), min(plan.shape[1], int(cx + reach) + 2)):
            u, v = (x - cx) * cos + (y - cy) * sin, (y - cy) * cos - (x - cx) * sin
            if abs(u) <= half_w and abs(v) <= half_h:
                plan[y, x] = value


def divide(rng: np.random.Generator, box: tuple, style: Style, width: float) -> list[tuple]:
    """Lots (u0, v0, u1, v1) of a box: split in two across its longer side, again and again.

    The gap of a split is a street of `width`; with each level it narrows, down to alleys and walls
    between neighbours.
    """
    u0, v0, u1, v1 = box
    along_u = (u1 - u0) > (v1 - v0)
    side = max(u1 - u0, v1 - v0)
    if side < 1.9 * style.lot:
        return [box]
    gap = 0.5 * width * rng.uniform(0.8, 1.25)
    cut = (u0 if along_u else v0) + side * rng.uniform(0.36, 0.64)
    first = (u0, v0, cut - gap, v1) if along_u else (u0, v0, u1, cut - gap)
    second = (cut + gap, v0, u1, v1) if along_u else (u0, cut + gap, u1, v1)
    if side > 5 * style.lot:
        narrower = max(style.street, 0.85 * width)
    else:
        narrower = rng.uniform(0.5, 4.0)
    return [*divide(rng, first, style, narrower), *divide(rng, second, style, narrower)]


def build_lot(rng: np.random.Generator, plan: np.ndarray, lot: tuple, style: Style) -> None:
    """Put a building on a lot: a rectangle, sometimes with a notch or a courtyard."""
    u0, v0, u1, v1 = lot
    half_w, half_h = (
        (b - a) / 2 - style.setback * rng.uniform(0.4, 1.6) for a, b in ((u0, u1), (v0, v1))
    )
    if min(half_w, half_h) < 2.5:
        return
    cos, sin = math.cos(style.angle), math.sin(style.angle)
    middle_u, middle_v = (u0 + u1) / 2, (v0 + v1) / 2

    def place(du: float, dv: float, w: float, h: float, value: bool) -> None:
        u, v = middle_u + du, middle_v + dv
        x, y = plan.shape[1] / 2 + u * cos - v * sin, plan.shape[0] / 2 + u * sin + v * cos
        paint(plan, x, y, w, h, style.angle, value)

    place(0, 0, half_w, half_h, True)
    if rng.random() > style.odd:
        return
    if min(half_w, half_h) > 10 and rng.random() < 0.4:
        place(0, 0, 0.45 * half_w, 0.45 * half_h, False)
    elif min(half_w, half_h) > 4:
        du, dv = rng.choice([-1, 1], 2) * 0.6
        place(du * half_w, dv * half_h, 0.45 * half_w, 0.45 * half_h, False)


def district(rng: np.random.Generator, size: int) -> np.ndarray:
    style, plan, reach = draw_style(rng), np.zeros((size, size), np.bool_), 0.75 * size
    for lot in divide(rng, (-reach, -reach, reach, reach), style, rng.uniform(12, 24)):
        if rng.random() < style.built:
            build_lot(rng, plan, lot, style)
    return plan


def draw_plan(rng: np.random.Generator, size: int = 256) -> np.ndarray:
    """One city plan (size, size): one to three districts, perhaps a square or an avenue."""
    rows, columns = np.mgrid[:size, :size]
    while True:
        plan = district(rng, size)
        for _ in range(rng.choice([0, 1, 2], p=[0.4, 0.4, 0.2])):
            angle, (y, x) = rng.uniform(0, 2 * math.pi), rng.uniform(0.25 * size, 0.75 * size, 2)
            beyond = (columns - x) * math.cos(angle) + (rows - y) * math.sin(angle) > 0
            plan = np.where(beyond, district(rng, size), plan)
        kind, (y, x) = rng.random(), rng.uniform(0.15 * size, 0.85 * size, 2)
        if kind < 0.25:
            plan &= (columns - x) ** 2 + (rows - y) ** 2 > rng.uniform(0.06, 0.22, 1) ** 2 * size**2
        elif kind < 0.5:
            angle = rng.uniform(0, math.pi)
            across = (columns - x) * math.sin(angle) - (rows - y) * math.cos(angle)
            plan &= np.abs(across) > rng.uniform(4, 9)
        if BUILT[0] < plan.mean() < BUILT[1] and main_ground(plan)[inner(size)].mean() > 0.2:
            return plan


def inner(size: int) -> tuple[slice, slice]:
    edge = round(MARGIN * size)
    return slice(edge, size - edge), slice(edge, size - edge)


def main_ground(plan: np.ndarray) -> np.ndarray:
    """(H, W) bool: the largest connected piece of free ground; courtyards are not in it."""
    pieces, _ = label(~plan)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return pieces == sizes.argmax()


def place_transmitters(rng: np.random.Generator, plan: np.ndarray, count: int) -> np.ndarray:
    """(count, 2) rows and columns on free ground in the middle, mostly near walls.

    Raises:
        ValueError: there are fewer free pixels than transmitters.
    """
    window = inner(len(plan))
    ground = main_ground(plan)
    free = np.argwhere(ground[window]) + window[0].start
    if len(free) < count:
        raise ValueError(f"{count} transmitters, but {len(free)} free pixels in the middle")
    apart = distance_transform_edt(~plan)[tuple(free.T)]
    odds = np.where(apart < 15, 1.0, 0.25)
    return free[rng.choice(len(free), count, replace=False, p=odds / odds.sum())]


def place_cars(rng: np.random.Generator, plan: np.ndarray, count: int) -> np.ndarray:
    """(H, W) bool: `count` cars of 2 x 5 m on free ground, clear of walls."""
    cars = np.zeros_like(plan)
    free = np.argwhere(~binary_dilation(plan, iterations=3))
    for y, x in free[rng.integers(len(free), size=count)] if len(free) else ():
        paint(cars, float(x), float(y), 2.5, 1.0, rng.choice([0.0, math.pi / 2]), True)
    return cars & ~plan
