"""Plans of made-up cities: districts, streets in a hierarchy, lots, buildings, squares.

A plan is a bool array (H, W), True where a building stands, 1 m a pixel. A city has two: the walls
as the propagation meets them, and the plan as it is handed out. In real data they were drawn from
the same outlines by different programs, so they differ on the rims of buildings: much the same in
every city, or nobody could learn it (where the known real plan has buildings, zeroes cap a map at
28 dB, and published networks reach 34).
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.ndimage import binary_dilation, distance_transform_edt, label

BUILT = (0.03, 0.42)  # share of built ground that a plan may have
MARGIN = 53 / 256  # transmitters keep this share of the side from the edge, as in RadioMapSeer
RECTANGLE, RING = 0.0, 1.0
# How a district is built up, how often, and how long its lots are at least (m).
KINDS = {
    "detached": (0.38, (13.0, 24.0)),
    "rows": (0.22, (26.0, 52.0)),  # attached houses round a block
    "slabs": (0.16, (40.0, 80.0)),
    "halls": (0.14, (45.0, 95.0)),  # one very large building a lot
    "crescents": (0.10, (45.0, 80.0)),
}
# Between plan and walls, in m: how far down and right plans lie, by how much a city's differs from
# that along each axis, and what the plan adds.
OFFSET, SHIFT, GROWTH = (0.7, 0.7), 0.1, 0.08


@dataclass(frozen=True)
class Style:
    """How a district is built; lengths in m."""

    kind: str
    angle: float
    lot: float  # lots are not divided below this
    street: float
    built: float  # share of lots with a building
    setback: float
    odd: float  # share of buildings that are no plain rectangles


def draw_style(rng: np.random.Generator, built: float) -> Style:
    kind = rng.choice(list(KINDS), p=[share for share, _ in KINDS.values()])
    return Style(
        kind=kind,
        angle=rng.uniform(-math.pi / 4, math.pi / 4),
        lot=rng.uniform(*KINDS[kind][1]),
        street=rng.uniform(8, 17),
        built=built,
        setback=rng.uniform(0.8, 2.5),
        odd=rng.uniform(0.15, 0.4),
    )


@njit(cache=True)
def paint(plan: np.ndarray, shapes: np.ndarray, shift: np.ndarray, growth: float) -> None:
    """Set `shapes` (N, 8) on `plan`, one after the other: moved by `shift` (y, x), grown (m).

    A row is (RECTANGLE, x, y, half width, half height, angle, -, value), or
    (RING, x, y, radius, half thickness, first angle, angle spanned, value).
    """
    for n in range(len(shapes)):
        kind, x0, y0, a, b, turn, span, value = shapes[n]
        x0, y0 = x0 + shift[1], y0 + shift[0]
        grown = growth if value > 0.5 else -growth
        cos, sin = math.cos(turn), math.sin(turn)
        reach = (math.hypot(a, b) if kind == RECTANGLE else a + b) + 2
        for y in range(max(0, int(y0 - reach)), min(plan.shape[0], int(y0 + reach) + 2)):
            for x in range(max(0, int(x0 - reach)), min(plan.shape[1], int(x0 + reach) + 2)):
                u, v = (x - x0) * cos + (y - y0) * sin, (y - y0) * cos - (x - x0) * sin
                if kind == RECTANGLE:
                    inside = abs(u) <= a + grown and abs(v) <= b + grown
                else:
                    inside = abs(math.hypot(u, v) - a) <= b + grown
                    inside = inside and math.atan2(v, u) % (2 * math.pi) <= span
                if inside:
                    plan[y, x] = value > 0.5


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
    if side > 5 * style.lot or style.kind != "detached":
        narrower = max(style.street, 0.85 * width)
    else:
        narrower = rng.uniform(0.5, 4.0)
    return [*divide(rng, first, style, narrower), *divide(rng, second, style, narrower)]


def build_lot(rng: np.random.Generator, lot: tuple, style: Style) -> list[tuple]:
    """Shapes of what stands on a lot, in its own axes: (kind, u, v, ..., angle, span, value)."""
    u0, v0, u1, v1 = lot
    half_w, half_h = (
        (b - a) / 2 - style.setback * rng.uniform(0.4, 1.6) for a, b in ((u0, u1), (v0, v1))
    )
    if min(half_w, half_h) < 2.5:
        return []
    u, v = (u0 + u1) / 2, (v0 + v1) / 2

    def block(du: float, dv: float, w: float, h: float, value: float = 1.0) -> tuple:
        return (RECTANGLE, u + du, v + dv, w, h, 0.0, 0.0, value)

    depth = rng.uniform(4.5, 7.5)  # half of a house's
    if style.kind == "slabs":
        pitch = 2 * depth + rng.uniform(14, 30)
        count = max(1, int(2 * half_h // pitch))
        length = half_w * rng.uniform(0.7, 1.0)
        return [block(0, (k - (count - 1) / 2) * pitch, length, depth) for k in range(count)]
    if style.kind == "crescents":
        radius = max(depth + 1, min(half_w, half_h) - depth)
        first, span = rng.uniform(0, 2 * math.pi), rng.uniform(0.8, 2 * math.pi)
        return [(RING, u, v, radius, depth, first, span, 1.0)]
    shapes = [block(0, 0, half_w, half_h)]
    if style.kind == "rows":
        if min(half_w, half_h) > 2 * depth + 3:
            shapes.append(block(0, 0, half_w - 2 * depth, half_h - 2 * depth, 0.0))
            if rng.random() < 0.6:  # open to the street at one side
                shapes.append(block(half_w, 0, 2 * depth + 1, rng.uniform(2, half_h), 0.0))
        return shapes
    if rng.random() > style.odd:
        return shapes
    if min(half_w, half_h) > 10 and rng.random() < 0.4:
        shapes.append(block(0, 0, 0.45 * half_w, 0.45 * half_h, 0.0))
    elif min(half_w, half_h) > 4:
        du, dv = rng.choice([-1, 1], 2) * 0.6
        shapes.append(block(du * half_w, dv * half_h, 0.45 * half_w, 0.45 * half_h, 0.0))
    return shapes


def district(rng: np.random.Generator, size: int, built: float) -> np.ndarray:
    """Shapes (N, 8) of a district that covers the whole plan."""
    style, reach = draw_style(rng, built), 0.75 * size
    shapes = [
        shape
        for lot in divide(rng, (-reach, -reach, reach, reach), style, rng.uniform(12, 24))
        if rng.random() < style.built
        for shape in build_lot(rng, lot, style)
    ]
    found = np.array(shapes).reshape(-1, 8)
    cos, sin, (u, v) = math.cos(style.angle), math.sin(style.angle), found[:, 1:3].T.copy()
    found[:, 1], found[:, 2] = size / 2 + u * cos - v * sin, size / 2 + u * sin + v * cos
    found[:, 5] += style.angle
    return found


def draw_city(rng: np.random.Generator, size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Walls and plan of one city (size, size): districts, perhaps a square or an avenue."""
    while True:
        walls, plan = layout(rng, size)
        if BUILT[0] < walls.mean() < BUILT[1] and main_ground(walls)[inner(size)].mean() > 0.2:
            return walls, plan


def layout(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:size, :size]
    shift, growth = np.array(OFFSET) + rng.uniform(-SHIFT, SHIFT, 2), GROWTH
    still = np.zeros(2)
    built = rng.choice([0.3, 0.55, 0.75, 0.92], p=[0.16, 0.26, 0.33, 0.25])

    def painted() -> np.ndarray:
        both, shapes = np.zeros((2, size, size), np.bool_), district(rng, size, built)
        paint(both[0], shapes, still, 0.0)
        paint(both[1], shapes, shift, growth)
        return both

    both = painted()
    for _ in range(rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15])):
        angle, (y, x) = rng.uniform(0, 2 * math.pi), rng.uniform(0.25 * size, 0.75 * size, 2)
        beyond = (columns - x) * math.cos(angle) + (rows - y) * math.sin(angle) > 0
        both = np.where(beyond, painted(), both)
    kind, (y, x) = rng.random(), rng.uniform(0.15 * size, 0.85 * size, 2)
    if kind < 0.25:
        both &= (columns - x) ** 2 + (rows - y) ** 2 > rng.uniform(0.06, 0.22) ** 2 * size**2
    elif kind < 0.5:
        angle = rng.uniform(0, math.pi)
        across = (columns - x) * math.sin(angle) - (rows - y) * math.cos(angle)
        both &= np.abs(across) > rng.uniform(4, 9)
    return both[0], both[1]


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
    if len(free):
        shapes = np.zeros((count, 8))
        shapes[:, 2], shapes[:, 1] = free[rng.integers(len(free), size=count)].T
        shapes[:, 3:5], shapes[:, 7] = (2.5, 1.0), 1.0
        shapes[:, 5] = rng.choice([0.0, math.pi / 2], count)
        paint(cars, shapes, np.zeros(2), 0.0)
    return cars & ~plan
