"""Reads files from strangers: only regular ones, of bounded size, depth and claims.

A pipe would wait for ever, a device never end, a small archive unpack to more than memory holds.
"""

import io
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml

from experiments.shared.errors import InputError, first_line

MOST_TEXT = 256 << 20  # bytes of a text that is read whole
DEEPEST = 100  # levels of a JSON or YAML
BRACKET = re.compile(r"[\[\]{}]")
RATIO, LITTLE = 1000, 1 << 30  # an archive may unpack to RATIO times its size, or to LITTLE bytes


def regular(path: str | Path, what: str = "a file", most: int | None = None) -> Path:
    """`path`, if it is a regular file of at most `most` bytes, through whatever links.

    Raises:
        InputError: it is missing, a folder, a pipe, a device, too large or not to be read.
    """
    path = Path(path)
    try:
        facts = path.stat()
    except FileNotFoundError:
        raise InputError(
            f"{path}: cannot be read (no such file): expected {what}; check it"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}): expected {what}") from None
    if not stat.S_ISREG(facts.st_mode):
        raise InputError(f"{path}: is {kind_of(facts.st_mode)}: expected {what}, a regular file")
    if most is not None and facts.st_size > most:
        raise InputError(
            f"{path}: {facts.st_size / 2**20:,.0f} MiB: expected {what}, at most "
            f"{most / 2**20:,.0f} MiB"
        )
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: no permission to read it: change its rights, or copy it")
    return path


def kind_of(mode: int) -> str:
    """What a file that is not regular is, in words."""
    known = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
    return f"a {next((name for test, name in known if test(mode)), 'device')}"


def read_text(path: str | Path, what: str = "a text file", most: int = MOST_TEXT) -> str:
    """The whole text of a file in UTF-8.

    Raises:
        InputError: as `regular`, or it is no UTF-8.
    """
    path = regular(path, what, most)
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"{path}: cannot be read as text ({error}): expected {what} in UTF-8"
        ) from error


def read_json(path: str | Path, what: str = "a JSON file") -> Any:
    """What a JSON file holds.

    Raises:
        InputError: as `read_text`, or it is no JSON, or nested too deep.
    """
    text = read_text(path, what)
    check_depth(text, path, what)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: cannot be read as JSON ({first_line(error)}): expected {what}"
        ) from error


def check_depth(text: str, source: object, what: str = "a text") -> None:
    """Stop on brackets that are nested too deep, before a parser follows them; text in quotes too.

    Raises:
        InputError: they are.
    """
    depth = deepest = 0
    for bracket in BRACKET.findall(text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise InputError(
            f"{source}: nested {deepest:,} deep: expected {what}, at most {DEEPEST} deep"
        )


def check_yaml(text: str, source: object) -> None:
    """Stop on YAML that is nested too deep, or repeats itself by aliases without bound.

    Raises:
        InputError: it does, or is no YAML at all.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if isinstance(event, yaml.AliasEvent):
                raise InputError(
                    f"{source}: expected no aliases (*{event.anchor}), with which a few lines can "
                    "stand for more than memory holds: write the value out"
                )
            if depth > DEEPEST:
                raise InputError(f"{source}: nested more than {DEEPEST} deep: expected less")
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        said = " ".join(str(error).split())
        raise InputError(f"{source}: cannot be read as YAML ({said}): expected YAML") from error


def read_yaml(path: str | Path, what: str = "a YAML file") -> Any:
    """What a YAML file holds.

    Raises:
        InputError: as `read_text`, or as `check_yaml`.
    """
    text = read_text(path, what, 16 << 20)
    check_yaml(text, path)
    return yaml.safe_load(text)


def read_npz(
    path: str | Path, names: Iterable[str] | None = None, what: str = "an .npz file"
) -> dict[str, np.ndarray]:
    """Arrays of an .npz (`names`, else all), after a look at how much they claim to hold.

    Raises:
        InputError: as `regular`; no archive, damaged, a missing name, pickled objects, or more
            than its own bytes or this machine's memory can hold.
    """
    path = regular(path, what)
    try:
        with zipfile.ZipFile(path) as archive:
            check_claims(archive, path)
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names or arrays.files}
    except InputError:
        raise
    except Exception as error:  # numpy and zipfile raise a dozen kinds for a broken archive
        raise InputError(
            f"{path}: cannot be read ({first_line(error)}): expected {what}; make it again"
        ) from error


def check_claims(archive: zipfile.ZipFile, path: Path) -> None:
    """Stop unless every array of an .npz is as large as its own header says, and all fit."""
    total, packed = 0, 1
    for entry in archive.infolist():
        total, packed = total + entry.file_size, packed + entry.compress_size
        with archive.open(entry) as stream:
            claimed = npy_bytes(io.BytesIO(stream.read(1 << 16)))
        if claimed > entry.file_size:
            raise InputError(
                f"{path}: {entry.filename} claims {claimed / 2**30:,.1f} GiB, its archive holds "
                f"{entry.file_size / 2**30:,.1f}: cut short or made up; make it again"
            )
    free = psutil.virtual_memory().available
    if total > free or total > max(LITTLE, RATIO * packed):
        raise InputError(
            f"{path}: unpacks to {total / 2**30:,.1f} GiB, with {free / 2**30:,.1f} GiB of memory "
            "free: expected less; split it"
        )


def npy_bytes(stream: io.BytesIO) -> int:
    """How many bytes of numbers the header of an .npy says that there are."""
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        reader = np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(stream)
    count = 1
    for size in shape:  # in Python's integers, which do not overflow
        count *= int(size)
    return count * dtype.itemsize
