"""What is known of a place before anything is measured there, as channels of an image.

Axes: K channels, H W map, 1 m a pixel.
"""

import hashlib
import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from experiments.shared.errors import InputError
from experiments.shared.writing import replacing
from radiodiff.cities.propagation import (
    EXPONENT,
    SPAN_DB,
    gray,
    path_loss,
    walls_between,
    way_round,
)
from radiodiff.estimate.registration import UNKNOWN
from radiodiff.png import chunks, read_gray

CHANNELS = (
    *("plan", "cars", "free_space", "sight", "walls", "way_round", "down", "right"),
    *("plan_down", "plan_right"),
    *("sample", "sampled"),
)
PLAN, FREE_SPACE, WAY_ROUND, PLAN_DOWN, PLAN_RIGHT, SAMPLE, SAMPLED = (
    CHANNELS.index(name)
    for name in (
        *("plan", "free_space", "way_round", "plan_down", "plan_right", "sample", "sampled"),
    )
)
MOST = 255  # of what is kept as 8-bit PNG


@lru_cache(maxsize=2)
def offsets(rows: int, columns: int) -> np.ndarray:
    """(3, 2 rows - 1, 2 columns - 1): free space and direction, by offset to a transmitter.

    Free space is gray as of `propagation.path_loss` without a bend; the direction has length 1.
    """
    down, right = np.mgrid[1 - rows : rows, 1 - columns : columns].astype(np.float32)
    distance = np.hypot(down, right)
    free = gray(path_loss(distance, np.zeros_like(distance), np.zeros_like(distance)))
    far = np.maximum(distance, 1.0)
    return np.stack([free, down / far, right / far]).astype(np.float32)


def seen_from(shape: tuple[int, int], y: int, x: int) -> np.ndarray:
    """`offsets` (3, H, W) as a transmitter at row y, column x has them."""
    rows, columns = shape
    top, left = rows - 1 - y, columns - 1 - x
    return offsets(rows, columns)[:, top : top + rows, left : left + columns]


def look(plan: np.ndarray, y: int, x: int) -> np.ndarray:
    """(2, H, W) uint8: what a transmitter's place in a plan comes to.

    First the pixels of building on the straight line to it, at most 255. Then by how much the
    shortest way round the buildings is longer than that line, as 100 ln(way / line), at most 255,
    which is also for where no way leads; 0 in sight.
    """
    plan = np.ascontiguousarray(plan)
    walls = np.minimum(walls_between(plan, y, x), MOST)
    way = way_round(plan, y, x)
    rows, columns = np.mgrid[: plan.shape[0], : plan.shape[1]]
    line = np.maximum(np.hypot(rows - y, columns - x), 1.0)
    longer = 100 * np.log(np.maximum(way / line, 1.0))
    longer = np.where(way < 0, MOST, np.minimum(longer, MOST).round())
    longer[~plan & (walls == 0)] = 0
    return np.stack([walls, longer]).astype(np.uint8)


def cached_look(plan: np.ndarray, y: int, x: int, file: Path) -> np.ndarray:
    """`look`, read from `file` where it was written before; written else, atomically.

    A file of another plan or place, cut short or with a wrong byte, is made again: its stamp says
    of what it was made, and what it holds.

    Raises:
        InputError: it cannot be written.
    """
    try:
        found = read_gray(file)
        if (b"tEXt", b"stamp\0" + stamp(plan, y, x, found)) in chunks(file):
            return found.reshape(2, *plan.shape)
    except InputError:
        pass
    found = look(plan, y, x)
    rows, text = found.reshape(-1, plan.shape[1]), PngInfo()
    text.add_text("stamp", stamp(plan, y, x, rows))
    with replacing(file) as scratch:
        Image.fromarray(rows).save(scratch, "PNG", compress_level=1, pnginfo=text)
    return found


def stamp(plan: np.ndarray, y: int, x: int, rows: np.ndarray) -> bytes:
    """A hash of a plan, a place in it, and what is known of it."""
    digest = hashlib.sha256(f"{plan.shape} {y} {x} {rows.shape};".encode())
    digest.update(np.packbits(plan).tobytes() + rows.tobytes())
    return digest.hexdigest().encode()


def known(
    plan: np.ndarray,
    looks: np.ndarray,
    y: int,
    x: int,
    cars: np.ndarray | None = None,
    shift: tuple[float, float] | np.ndarray = UNKNOWN,
) -> np.ndarray:
    """Channels (K, H, W) float32 of a plan and a transmitter, without samples.

    Args:
        plan: (H, W) bool, where buildings stand.
        looks: (2, H, W), of `look`.
        y: row of the transmitter.
        x: its column.
        cars: (H, W) bool; None: none are known.
        shift: pixels by which such plans lie below and right of the maps (`registration`).
    """
    walls, longer = looks.astype(np.float32)
    free, down, right = seen_from(plan.shape, y, x)
    found = {
        "plan": plan,
        "cars": 0 if cars is None else cars,
        "free_space": free,
        "sight": ~plan & (walls == 0),
        "walls": np.log1p(walls) / np.log1p(MOST),
        "way_round": longer / 100,
        "down": down,
        "right": right,
        "plan_down": shift[0],
        "plan_right": shift[1],
        "sample": 0,
        "sampled": 0,
    }
    channels = np.empty((len(CHANNELS), *plan.shape), np.float32)
    for channel, name in zip(channels, CHANNELS, strict=True):
        channel[:] = found[name]
    return channels


def along_way_round(inputs: Tensor) -> Tensor:
    """Gray (B, 1, H, W): free space along the shortest way round the buildings."""
    decades = inputs[:, WAY_ROUND : WAY_ROUND + 1] / math.log(10)
    free = inputs[:, FREE_SPACE : FREE_SPACE + 1] - 10 * EXPONENT * decades / SPAN_DB
    return free.clamp_min(0.0)


def unregistered(inputs: Tensor) -> Tensor:
    """Inputs (B, K, H, W) that do not say how the plan lies against the map."""
    found = inputs.clone()
    found[:, [PLAN_DOWN, PLAN_RIGHT]] = 0.0
    return found


def with_samples(inputs: Tensor, maps: Tensor, places: Tensor, counts: Tensor) -> Tensor:
    """Inputs (B, K, H, W) in which the first `counts` (B,) of `places` (B, N, 2) are measured.

    `maps` (B, 1, H, W) are gray; a sample's channel holds them there and 0 elsewhere.
    """
    given = torch.arange(places.shape[1], device=counts.device) < counts[:, None]
    batch, number = given.nonzero(as_tuple=True)
    found = inputs.clone()
    rows, columns = places[batch, number].T
    found[batch, SAMPLE, rows, columns] = maps[batch, 0, rows, columns].to(found)
    found[batch, SAMPLED, rows, columns] = 1.0
    return found
