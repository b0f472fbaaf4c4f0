"""Latents as a file: quantised, predicted from those around them, and coded by their ranges.

Axes: Z latent channels, h w latent. A grid of every eighth position is coded first, then again and
again the positions half way between those known: in the middle of four corners, then in the middle
of four sides. Each number is a Laplacean about what its neighbours (and the channels before it)
predict; numbers and weights are such that every machine computes the same to the last bit.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import constriction
import numpy as np
from scipy.optimize import nnls

from experiments.shared.errors import InputError

MAGIC = b"RDM1"
HEADER = struct.Struct("<4sHHIf")  # magic, h, w, checksum of the tables, coarseness
COARSEST, STAGES = 8, 7  # a first stage, and two for each halving of the grid
LARGEST = 2047  # of a quantised number
GRAIN = 256  # weights are multiples of 1 / GRAIN: products with integers are then exact
FAMILY = constriction.stream.model.QuantizedLaplace(-LARGEST, LARGEST)


@dataclass(frozen=True)
class Tables:
    """What coder and decoder know beforehand.

    `step` (Z,): of the quantiser. `location`, `scale` (STAGES, Z, Z + 1): weights of each stage and
    channel, the first of the neighbours (their mean, their spread), then of the channels before;
    `floor` (STAGES, Z, 2): constants of location and scale.
    """

    step: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    floor: np.ndarray

    def checksum(self) -> int:
        return zlib.crc32(b"".join(np.ascontiguousarray(a).tobytes() for a in vars(self).values()))


def stages(h: int, w: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Rows and columns (n,) of each stage, and its neighbours (2, 4, n); None for the first."""
    rows, columns = (a.ravel() for a in np.mgrid[0:h:COARSEST, 0:w:COARSEST])
    yield rows, columns, None
    reach = COARSEST // 2
    corners = np.array([[-1, -1, 1, 1], [-1, 1, -1, 1]])
    sides = np.array([[-1, 1, 0, 0], [0, 0, -1, 1]])
    while reach:
        y, x = np.mgrid[0:h:reach, 0:w:reach]
        odd_y, odd_x = (y // reach) % 2 == 1, (x // reach) % 2 == 1
        for taken, around in ((odd_y & odd_x, corners), (odd_y ^ odd_x, sides)):
            rows, columns = y[taken], x[taken]
            yield rows, columns, inside(rows, columns, reach * around, (h, w))
        reach //= 2


def inside(
    rows: np.ndarray, columns: np.ndarray, around: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Neighbours (2, 4, n) at offsets `around` (2, 4); one beyond an edge is mirrored.

    Where an axis has no neighbour at all, those of the other axis stand for them.
    """
    own = np.stack([rows, columns])[:, None]
    sides = np.array(shape)[:, None, None]
    near = own + around[:, :, None]
    near = np.where((near < 0) | (near >= sides), 2 * own - near, near)
    outside = ((near < 0) | (near >= sides)).any(0)  # (4, n)
    return np.where(outside, np.roll(near, 2, axis=1), near)


def context(
    numbers: np.ndarray, channel: int, rows: np.ndarray, columns: np.ndarray, near
) -> tuple[np.ndarray, np.ndarray]:
    """What location and scale of a channel's numbers follow from: two of (channel + 1, n)."""
    if near is None:
        own = np.zeros((1, len(rows)))
        return own, own
    around = numbers[: channel + 1, near[0], near[1]]  # (channel + 1, 4, n)
    mean = around.mean(1)
    before = numbers[:channel, rows, columns] - mean[:channel]  # where they left their own mean
    spread = np.abs(around[channel] - mean[channel]).mean(0)
    return np.stack([mean[channel], *before]), np.stack([spread, *np.abs(before)])


def laplacean(
    tables: Tables, stage: int, channel: int, numbers: np.ndarray, place: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """Location and scale (n,) of the numbers of one stage and channel."""
    where, how = context(numbers, channel, *place)
    constant = tables.floor[stage, channel]
    location = constant[0] + (tables.location[stage, channel, : len(where), None] * where).sum(0)
    scale = constant[1] + (tables.scale[stage, channel, : len(how), None] * how).sum(0)
    return location.clip(-LARGEST, LARGEST), scale.clip(1 / 16, LARGEST)


def quantise(latents: np.ndarray, tables: Tables, coarseness: float) -> np.ndarray:
    """Latents (Z, h, w) -> integers, as float64."""
    steps = (tables.step * np.float32(coarseness))[:, None, None]
    return np.rint(latents / steps).clip(-LARGEST, LARGEST).astype(np.float64)


def fit(latents: np.ndarray, step: np.ndarray) -> Tables:
    """Tables from example latents (N, Z, h, w) and the quantiser's steps (Z,)."""
    channels = latents.shape[1]
    empty = np.zeros((STAGES, channels, channels + 1))
    tables = Tables(step.astype(np.float32), empty, empty.copy(), np.zeros((STAGES, channels, 2)))
    examples = [quantise(x, tables, 1.0) for x in latents]
    for stage, place in enumerate(stages(*latents.shape[2:])):
        for channel in range(channels):
            pairs = [context(x, channel, *place) for x in examples]
            where, how = (np.concatenate(parts, 1).T for parts in zip(*pairs, strict=True))
            values = np.concatenate([x[channel, place[0], place[1]] for x in examples])
            ones = np.ones((len(values), 1))
            weights = np.linalg.lstsq(np.c_[ones, where], values, rcond=None)[0]
            weights = np.rint(weights * GRAIN) / GRAIN
            off = np.abs(values - np.c_[ones, where] @ weights)
            spreads = np.ceil(nnls(np.c_[ones, how], off)[0] * GRAIN) / GRAIN
            count = where.shape[1]
            tables.floor[stage, channel] = weights[0], spreads[0]
            tables.location[stage, channel, :count] = weights[1:]
            tables.scale[stage, channel, :count] = spreads[1:]
    return tables


def encode(latents: np.ndarray, tables: Tables, coarseness: float = 1.0) -> bytes:
    """A file's bytes for latents (Z, h, w); `coarseness` widens the quantiser's steps."""
    numbers = quantise(latents, tables, coarseness)
    coder = constriction.stream.queue.RangeEncoder()
    for stage, place in enumerate(stages(*numbers.shape[1:])):
        for channel in range(len(numbers)):
            values = numbers[channel, place[0], place[1]].astype(np.int32)
            if len(values):
                coder.encode(values, FAMILY, *laplacean(tables, stage, channel, numbers, place))
    head = HEADER.pack(MAGIC, *numbers.shape[1:], tables.checksum(), coarseness)
    return head + coder.get_compressed().astype("<u4").tobytes()


def decode(data: bytes, tables: Tables, name: str = "data") -> np.ndarray:
    """Latents (Z, h, w) float32 from a file's bytes; `name` is for messages.

    Raises:
        InputError: no such file, one cut short, or of another model.
    """
    if len(data) < HEADER.size or (len(data) - HEADER.size) % 4:
        raise InputError(f"{name}: {len(data)} bytes, cut short; encode the map again")
    magic, h, w, checksum, coarseness = HEADER.unpack(data[: HEADER.size])
    if magic != MAGIC:
        raise InputError(f"{name}: expected latents of `encode`, got another kind of file")
    if checksum != tables.checksum():
        raise InputError(f"{name}: encoded by another model; give the checkpoint that wrote it")
    words = np.frombuffer(data, "<u4", offset=HEADER.size).astype(np.uint32)
    coder = constriction.stream.queue.RangeDecoder(words)
    numbers = np.zeros((len(tables.step), h, w))
    try:
        for stage, place in enumerate(stages(h, w)):
            for channel in range(len(numbers)):
                if len(place[0]):
                    found = laplacean(tables, stage, channel, numbers, place)
                    numbers[channel, place[0], place[1]] = coder.decode(FAMILY, *found)
    except AssertionError as error:
        raise InputError(
            f"{name}: its bytes are damaged ({error}); encode the map again"
        ) from error
    steps = tables.step * np.float32(coarseness)
    return (numbers * steps[:, None, None]).astype(np.float32)
