"""Reads and writes gray PNG files, and says what is wrong with a bad one."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.shared.errors import InputError
from experiments.shared.reading import regular

LARGEST_SIDE = 16_384  # pixels; a few bytes of a file can claim more than memory holds
MOST_BYTES = 1 << 29
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_gray(file: Path, *, bilevel: bool = True) -> np.ndarray:
    """An 8-bit gray image (H, W) uint8; RGB is taken where red, green and blue are equal.

    Args:
        file: to read.
        bilevel: a 1-bit image is taken as 0 and 255; else refused, for it holds no levels.

    Raises:
        InputError: no readable image, another depth, or colours.
    """
    regular(file, "a gray PNG", MOST_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                check_sides(file, *image.size)
                image.load()
                mode, pixels = image.mode, np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{file}: cannot be read as PNG ({error}); restore or remove it"
        ) from error
    if mode == "L":
        return pixels
    if mode == "1" and bilevel:
        return pixels.astype(np.uint8) * 255
    if mode in ("RGB", "RGBA"):
        if (pixels[..., :3] == pixels[..., :1]).all():
            return np.ascontiguousarray(pixels[..., 0])
        raise InputError(f"{file}: expected gray, got a colour image; convert it to 8-bit gray")
    kind = "1 bit a pixel" if mode == "1" else f"mode {mode}"
    raise InputError(f"{file}: expected 8-bit gray, got {kind}; convert it to 8-bit gray")


def check_sides(file: Path, width: int, height: int) -> None:
    """Raises InputError at an image that claims more pixels than any map has."""
    if not 1 <= min(width, height) <= max(width, height) <= LARGEST_SIDE:
        raise InputError(
            f"{file}: {height} x {width} pixels: expected sides from 1 to {LARGEST_SIDE:,}; crop it"
        )


def chunks(file: Path) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of a PNG's chunks, each checked against its checksum.

    Raises:
        InputError: no PNG, a truncated one, or one with a wrong byte.
    """
    try:
        data = memoryview(regular(file, "a gray PNG", MOST_BYTES).read_bytes())
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read ({error.strerror}); restore or remove it"
        ) from error
    place, name = len(SIGNATURE), b""
    while data[: len(SIGNATURE)] == SIGNATURE and place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        end = place + 8 + length
        name, content = bytes(data[place + 4 : place + 8]), data[place + 8 : end]
        if len(data) < end + 4 or zlib.crc32(data[place + 4 : end]) != int.from_bytes(
            data[end : end + 4], "big"
        ):
            break
        yield name, bytes(content)
        if name == b"IEND":
            return
        place = end + 4
    raise InputError(
        f"{file}: cannot be read as PNG (cut short, or a wrong byte near {place}); restore or "
        "remove it"
    )


def image_size(file: Path) -> tuple[int, int]:
    """(height, width), without decoding: every byte is checked against its checksum.

    Raises:
        InputError: no whole PNG.
    """
    (name, header), *_ = chunks(file)
    if name != b"IHDR" or len(header) < 13:
        raise InputError(f"{file}: cannot be read as PNG (no header); restore or remove it")
    width, height = struct.unpack(">II", header[:8])
    check_sides(file, width, height)
    return height, width


def is_black(file: Path) -> bool:
    """Whether no pixel of a PNG is lit; unpacked, but not decoded: zeros have zero differences.

    Raises:
        InputError: no whole PNG.
    """
    height, width = image_size(file)
    try:
        packed = b"".join(content for name, content in chunks(file) if name == b"IDAT")
        most = height * (8 * width + 1)  # of the deepest pixels that there are
        rows = np.frombuffer(zlib.decompressobj().decompress(packed, most), np.uint8)
        rows = rows.reshape(height, -1)
    except (zlib.error, ValueError) as error:
        raise InputError(
            f"{file}: cannot be read as PNG ({error}); restore or remove it"
        ) from error
    return not rows[:, 1:].any()  # the first byte of a row is its filter
