"""Reads and writes gray PNG files, and says what is wrong with a bad one."""

import os
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.shared.errors import InputError

END = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk of every PNG: no data, a name, a checksum


def read_gray(file: Path) -> np.ndarray:
    """An 8-bit gray image (H, W) uint8; RGB is taken where red, green and blue are equal.

    Raises:
        InputError: no readable image, another depth, or colours.
    """
    try:
        with Image.open(file) as image:
            image.load()
            mode, pixels = image.mode, np.asarray(image)
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"{file}: cannot be read as PNG ({error}); restore or remove it"
        ) from error
    if mode in ("L", "P") and pixels.ndim == 2 and mode == "L":
        return pixels
    if mode == "1":
        return pixels.astype(np.uint8) * 255
    if mode in ("RGB", "RGBA"):
        if (pixels[..., :3] == pixels[..., :1]).all():
            return np.ascontiguousarray(pixels[..., 0])
        raise InputError(f"{file}: expected gray, got a colour image; convert it to 8-bit gray")
    raise InputError(f"{file}: expected 8-bit gray, got mode {mode}; convert it to 8-bit gray")


def image_size(file: Path) -> tuple[int, int]:
    """(height, width), without decoding a file that begins and ends as a PNG does.

    A truncated file is noticed; bytes that are wrong in the middle only by `read_gray`.

    Raises:
        InputError: no readable image.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(24)  # the signature, then the first chunk: IHDR, width, height
            if len(head) == 24 and head[:8] + head[12:16] == b"\x89PNG\r\n\x1a\nIHDR":
                stream.seek(-len(END), os.SEEK_END)
                if stream.read() == END:
                    width, height = struct.unpack(">II", head[16:])
                    return height, width
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read ({error.strerror}); restore or remove it"
        ) from error
    return read_gray(file).shape
