"""What stands on a command line: numbers within their range, files that are files; one message.

Python's own parser says what is wrong below several lines of usage; ours says that alone.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from experiments.shared.errors import InputError
from experiments.shared.reading import regular

SEED = 2**32 - 1


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose complaints are an InputError."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")

    def overwrite(self) -> None:
        """Add the option --overwrite."""
        self.add_argument("--overwrite", action="store_true", help="replace what is there already")


def whole(least: int, most: int = 1_000_000) -> Callable[[str], int]:
    """Reads a whole number from `least` to `most`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise wrong(text, f"a whole number from {least:,} to {most:,}")
        return value

    return read


seed = whole(0, SEED)


def real(least: float, most: float = 1e9, *, above: bool = False) -> Callable[[str], float]:
    """Reads a number from `least` (or `above` it) to `most`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most or (above and value == least):
            start = f"more than {least:g}, up to" if above else f"from {least:g} to"
            raise wrong(text, f"a number {start} {most:g}")
        return value

    return read


def wrong(text: str, wanted: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}" if not text else
                                      f"expected {wanted}, got {text}")  # fmt: skip


def file(what: str, most: int | None = None) -> Callable[[str], Path]:
    """Reads the path of a regular file that is there; of at most `most` bytes."""

    def read(text: str) -> Path:
        try:
            return regular(text, what, most)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def source(what: str) -> Callable[[str], Path]:
    """Reads the path of a regular file, or of a folder."""

    def read(text: str) -> Path:
        path = Path(text)
        return path if text and path.is_dir() else file(what)(text)

    return read


def folder(what: str) -> Callable[[str], Path]:
    """Reads the path of a folder that is there."""

    def read(text: str) -> Path:
        if not text or not Path(text).is_dir():
            raise argparse.ArgumentTypeError(f"{text or repr(text)}: expected {what}, a folder")
        return Path(text)

    return read


def device(text: str) -> str:
    """Reads the name of a device that torch can use here."""
    import torch  # not needed to refuse a typing error

    try:
        if torch.zeros(1, device=text).is_meta:
            raise RuntimeError("it holds no numbers")
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise argparse.ArgumentTypeError(
            f"{text or repr(text)} cannot be used ({reason}): take cpu, or cuda where there is one"
        ) from error
    return text
