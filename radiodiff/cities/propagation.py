"""Dominant-path propagation: the cheapest bent path round the buildings to every pixel.

Axes: H W map, 1 m a pixel. A path costs 10.9 ln(length in m) + 9.35 a radian of turning (dB); the
loss of the cheapest one follows the fits to RadioMapSeer's dominant-path maps (5.9 GHz). Numbers of
the fits: path-loss exponent 2.51; 4.4 dB for leaving the line of sight, 1.6 dB a bend up to four,
and a loss by total turning that grows ever slower.
"""

import math

import numpy as np
from numba import njit
from scipy.ndimage import distance_transform_edt

FLOOR_DB, TOP_DB = -147.0, -47.84  # gray 0 and gray 1
SPAN_DB = TOP_DB - FLOOR_DB  # 99.16
ONE_METRE_DB, EXPONENT = 47.86, 2.51
LEAVING_DB, BEND_DB, MOST_BENDS = 4.4, 1.6, 4
TURNING = np.array([0.0, 0.1, 1.2, 1.75, 2.5, 3.5, 6.0])  # radians
TURNING_DB = np.array([0.0, 2.5, 12.4, 15.0, 19.0, 25.0, 36.0])
LENGTH_COST, TURN_COST = 10.9, 9.35
STEP_DB, STEPS = 0.1, 4096  # width and number of the queue's buckets
FAR = 1e30
AROUND = np.array([(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)])


@njit(cache=True)
def sees(blocked: np.ndarray, y0: int, x0: int, y1: int, x1: int) -> bool:
    """Whether the straight line between two pixels' centres crosses no blocked pixel."""
    steps = max(abs(y1 - y0), abs(x1 - x0))
    for k in range(1, steps):
        # Halves round up whichever end it starts from: so sight is mutual.
        y = y0 + ((y1 - y0) * 2 * k + steps) // (2 * steps)
        x = x0 + ((x1 - x0) * 2 * k + steps) // (2 * steps)
        if blocked[y, x]:
            return False
    return True


@njit(cache=True)
def walls_between(blocked: np.ndarray, ty: int, tx: int) -> np.ndarray:
    """(H, W) int32: blocked pixels on the straight line from the transmitter, ends not counted.

    The same lines as those of `sees`, walked without a division.
    """
    count = np.zeros(blocked.shape, np.int32)
    for y in range(blocked.shape[0]):
        for x in range(blocked.shape[1]):
            dy, dx = y - ty, x - tx
            steps = max(abs(dy), abs(dx))
            v, u, rest_v, rest_u, found = ty, tx, steps, steps, 0
            for _ in range(1, steps):
                rest_v += 2 * dy
                rest_u += 2 * dx
                if rest_v >= 2 * steps:
                    rest_v, v = rest_v - 2 * steps, v + 1
                elif rest_v < 0:
                    rest_v, v = rest_v + 2 * steps, v - 1
                if rest_u >= 2 * steps:
                    rest_u, u = rest_u - 2 * steps, u + 1
                elif rest_u < 0:
                    rest_u, u = rest_u + 2 * steps, u - 1
                found += blocked[v, u]
            count[y, x] = found
    return count


def in_sight(blocked: np.ndarray, ty: int, tx: int) -> np.ndarray:
    """(H, W) bool: the free pixels that the transmitter sees."""
    return ~blocked & (walls_between(blocked, ty, tx) == 0)


@njit(cache=True)
def way_round(blocked: np.ndarray, ty: int, tx: int) -> np.ndarray:
    """(H, W): length (m) of the shortest way round the buildings; negative where none leads.

    Fast marching (Sethian 1996), first order, in buckets of half a metre: too long by up to a
    tenth within 10 m of the transmitter and 1 to 2 % far from it.
    """
    rows, columns = blocked.shape
    length, settled = np.full(blocked.shape, FAR), np.zeros(blocked.shape, np.bool_)
    # Buckets are linked lists in two arrays, as in `spread`.
    first = np.full(STEPS, -1, np.int64)
    room = 4 * rows * columns + 1
    following, content = np.full(room, -1, np.int64), np.empty(room, np.int64)
    length[ty, tx], first[0], content[0], used, now = 0.0, 0, ty * columns + tx, 1, 0
    while now < STEPS:
        entry = first[now]
        if entry < 0:
            now += 1
            continue
        first[now] = following[entry]
        y, x = content[entry] // columns, content[entry] % columns
        if settled[y, x]:
            continue
        settled[y, x] = True
        for dy, dx in AROUND[:4]:
            v, u = y + dy, x + dx
            if not (0 <= v < rows and 0 <= u < columns) or blocked[v, u] or settled[v, u]:
                continue
            up = min(length[v - 1, u] if v else FAR, length[v + 1, u] if v + 1 < rows else FAR)
            side = min(length[v, u - 1] if u else FAR, length[v, u + 1] if u + 1 < columns else FAR)
            if abs(up - side) >= 1:
                reached = min(up, side) + 1
            else:
                reached = 0.5 * (up + side + math.sqrt(2 - (up - side) ** 2))
            if reached < length[v, u]:
                length[v, u] = reached
                later = min(STEPS - 1, max(now, int(2 * reached)))
                content[used], following[used], first[later] = v * columns + u, first[later], used
                used += 1
    return np.where(length < FAR, length, -1.0)


@njit(cache=True)
def angle(ay: float, ax: float, by: float, bx: float) -> float:
    """Between two directions, radians; 0 where one has no length."""
    return abs(math.atan2(ay * bx - ax * by, ay * by + ax * bx))


@njit(cache=True)
def spread(blocked: np.ndarray, ty: int, tx: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Length (m; negative where no path leads), turning (rad) and bends of the cheapest paths.

    A Dijkstra flood with any-angle parents. A pixel's parent is the last bend before it. The parent
    is proposed by a neighbour and looked at only when the pixel's turn comes: if it is not in sight
    after all, the path bends at a settled neighbour.
    """
    rows, columns = blocked.shape
    pixels = rows * columns
    wall = blocked.ravel()
    length, turning = np.full(pixels, -1.0), np.zeros(pixels)
    bends, parent = np.zeros(pixels, np.int32), np.full(pixels, -1, np.int32)
    settled, cost = np.zeros(pixels, np.bool_), np.full(pixels, FAR)
    # Buckets are linked lists in two arrays.
    first = np.full(STEPS, -1, np.int64)
    room = 8 * pixels + 8
    following, content = np.empty(room, np.int64), np.empty(room, np.int32)
    used = 1
    source = ty * columns + tx
    parent[source], cost[source], length[source] = source, 0.0, 0.0
    first[0], following[0], content[0] = 0, -1, source
    now = 0
    while now < STEPS:
        entry = first[now]
        if entry < 0:
            now += 1
            continue
        first[now] = following[entry]
        here = content[entry]
        if settled[here]:
            continue
        y, x = here // columns, here % columns
        bend = parent[here]
        if here != source and not sees(blocked, bend // columns, bend % columns, y, x):
            bend, best = -1, FAR
            for dy, dx in AROUND:
                v, u = y + dy, x + dx
                if not (0 <= v < rows and 0 <= u < columns) or not settled[v * columns + u]:
                    continue
                other = v * columns + u
                before = parent[other]
                turn = angle(v - before // columns, u - before % columns, -dy, -dx)
                total = LENGTH_COST * math.log(max(1.0, length[other] + math.hypot(dy, dx)))
                total += TURN_COST * (turning[other] + turn)
                if total < best:
                    best, bend = total, other
            cost[here] = best
            if bend < 0:
                continue  # a neighbour that settles later may propose again
            parent[here] = bend
            later = int(best / STEP_DB)
            if later > now:
                if later < STEPS and used < room:
                    content[used], following[used], first[later] = here, first[later], used
                    used += 1
                continue
        settled[here] = True
        by, bx = bend // columns, bend % columns
        if here != source:
            length[here] = length[bend] + math.hypot(y - by, x - bx)
            turning[here], bends[here] = turning[bend], bends[bend]
            if bend != source:
                before = parent[bend]
                turning[here] += angle(
                    by - before // columns, bx - before % columns, y - by, x - bx
                )
                bends[here] += 1
        for dy, dx in AROUND:
            v, u = y + dy, x + dx
            if not (0 <= v < rows and 0 <= u < columns):
                continue
            other = v * columns + u
            if wall[other] or settled[other]:
                continue
            turned = turning[bend]
            if bend != source:
                before = parent[bend]
                turned += angle(by - before // columns, bx - before % columns, v - by, u - bx)
            total = LENGTH_COST * math.log(max(1.0, length[bend] + math.hypot(v - by, u - bx)))
            total += TURN_COST * turned
            if total < cost[other] - 1e-9 and used < room:
                cost[other], parent[other] = total, bend
                later = min(STEPS - 1, max(now, int(total / STEP_DB)))
                content[used], following[used], first[later] = other, first[later], used
                used += 1
    shape = (rows, columns)
    return length.reshape(shape), turning.reshape(shape), bends.reshape(shape)


def path_loss(length: np.ndarray, turning: np.ndarray, bends: np.ndarray) -> np.ndarray:
    """Path loss in dB (positive) of paths with that length (m), turning (rad) and bends."""
    shadow = LEAVING_DB + BEND_DB * np.minimum(bends, MOST_BENDS)
    shadow = shadow + np.interp(turning, TURNING, TURNING_DB)
    free = ONE_METRE_DB + 10 * EXPONENT * np.log10(np.maximum(length, 0.5))  # half a pixel
    return free + np.where(bends > 0, shadow, 0.0)


def gray(loss: np.ndarray) -> np.ndarray:
    """Path loss in dB (positive) -> gray in [0, 1], as RadioMapSeer scales it."""
    return np.clip((-loss - FLOOR_DB) / SPAN_DB, 0.0, 1.0)


def radio_map(
    blocked: np.ndarray, ty: int, tx: int, further: np.ndarray | float = 0.0
) -> np.ndarray:
    """Gray (H, W) in [0, 1] of a transmitter at row ty, column tx; 0 in buildings.

    Args:
        blocked: (H, W) bool, where buildings stand.
        ty: row of the transmitter.
        tx: its column.
        further: loss (dB) on top of the paths', (H, W) or one number.

    Raises:
        ValueError: the transmitter stands in a building.
    """
    if blocked[ty, tx]:
        raise ValueError(f"transmitter at {ty}, {tx}: expected a free pixel, got a building")
    blocked = np.ascontiguousarray(blocked, np.bool_)
    length, turning, bends = spread(blocked, ty, tx)
    values = gray(path_loss(length, turning, bends) + further)
    reached = length >= 0
    values[~reached] = 0.0
    # Single pixels that the flood left out between settled ones take their neighbour's value;
    # closed courtyards stay dark.
    missed = ~blocked & ~reached
    if missed.any():
        apart, nearest = distance_transform_edt(~reached, return_indices=True)
        slivers = missed & (apart < 1.5)
        values[slivers] = values[tuple(index[slivers] for index in nearest)]
    return values
