"""What a folder held when it was made: sizes, times and hashes, by which later damage is seen.

A look takes the sizes and times of all files, and the hash of a file whose time alone has changed
(a copy of the folder, a byte written in place). A byte that changed with neither, as on a failing
disk, goes unseen: that would take reading everything at each start.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.shared.errors import InputError
from experiments.shared.reading import read_json
from experiments.shared.writing import write_text

STAMP = "stamp.json"


class Unstamped(ValueError):
    """A folder's stamp is missing, or is no stamp."""


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files_in(folder: Path) -> Iterator[Path]:
    """All files below `folder` but its stamp, as it may just be written, in no order."""
    for place, _, names in os.walk(folder):
        for name in names:
            if Path(place) != Path(folder) or not name.lstrip(".").startswith("stamp."):
                yield Path(place) / name


def stamp(folder: Path, parameters: dict) -> None:
    """Write down what `folder` holds, and of which parameters it was made.

    Raises:
        InputError: the stamp cannot be written.
    """
    held = {file.relative_to(folder).as_posix(): facts(file) for file in files_in(folder)}
    _write(folder, {"parameters": parameters, "files": dict(sorted(held.items()))})


def facts(file: Path) -> list[Any]:
    """Size in bytes, time of the last change in nanoseconds, SHA-256."""
    seen = file.stat()
    return [seen.st_size, seen.st_mtime_ns, file_hash(file)]


def _write(folder: Path, content: dict) -> None:
    own = {"sha256": _digest(content)}
    write_text(folder / STAMP, json.dumps(content | own, indent=0, sort_keys=True) + "\n")


def _digest(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read(folder: Path) -> dict[str, Any]:
    """What `stamp` wrote: `parameters`, and `files` with size, time and hash by name.

    Raises:
        Unstamped: there is none, or it is damaged.
    """
    try:
        content = read_json(Path(folder) / STAMP, "a folder's stamp")
        if content.pop("sha256") != _digest(content) or not content["files"]:
            raise Unstamped("it is not as it was written")
    except (InputError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise Unstamped(str(error)) from error
    return content


def damage(folder: Path) -> list[str]:
    """A line on every file of `folder` that is gone or has changed; empty: it is as it was made.

    Where times alone differ, they are written into the stamp, if it can be written.

    Raises:
        Unstamped: its stamp is missing or damaged.
    """
    content, moved, found = read(folder), False, []
    for name, known in content["files"].items():
        file = Path(folder) / name
        try:
            seen = file.stat()
            if seen.st_size != known[0]:
                found.append(f"{name} has {seen.st_size:,} bytes, not {known[0]:,}")
            elif seen.st_mtime_ns != known[1]:
                if file_hash(file) != known[2]:
                    found.append(f"{name} has changed")
                else:
                    known[1], moved = seen.st_mtime_ns, True
        except OSError as error:
            found.append(f"{name}: {error.strerror}")
    if moved and not found:
        with contextlib.suppress(InputError):  # a folder of others, which one may only read
            _write(folder, content)
    return found


def strange(folder: Path) -> list[str]:
    """Names of files that have come into `folder` since, those of the system left out."""
    known = read(folder)["files"]
    kinds = {Path(name).suffix for name in known}
    names = (file.relative_to(folder).as_posix() for file in files_in(folder))
    return sorted(
        name
        for name in names
        if name not in known and Path(name).suffix in kinds and not Path(name).name.startswith(".")
    )
