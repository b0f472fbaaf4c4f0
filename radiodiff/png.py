"""Reads and writes gray PNG files, and says what is wrong with a bad one."""

from pathlib import Path

import numpy as np
from PIL import Image

from experiments.shared.errors import InputError


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
    """(height, width) from the header alone.

    Raises:
        InputError: no readable image.
    """
    try:
        with Image.open(file) as image:
            return image.size[::-1]
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"{file}: cannot be read as PNG ({error}); restore or remove it"
        ) from error
