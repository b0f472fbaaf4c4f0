"""Embedded corpora: made once, keyed by their parameters, whole or not at all; mended."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from experiments.shared import stamps
from experiments.shared.errors import InputError
from experiments.shared.reading import regular

FORMER = "parameters.json"  # what a corpus had for a stamp before there were stamps


def build_once(root: Path, name: str, parameters: dict, make: Callable[[Path], None]) -> Path:
    """Return `root/name-<key of parameters>`; call `make(folder)` first if it is not there.

    The corpus is written into a temporary folder and renamed, so that a killed run leaves no half
    corpus; of two processes that make the same one, the slower takes the faster one's. One that
    was damaged since (see `stamps`) is made again; what else lies in its folder stays there.

    Raises:
        InputError: the folder cannot be written, or files of its kind were put into it.
    """
    key = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:12]
    folder = Path(root) / f"{name}-{key}"
    if folder.is_dir():
        if (harm := _harm(folder, parameters)) is None:
            print(f"{name}: using the embedded corpus at {folder}", flush=True)
            return folder
        print(f"{name}: the embedded corpus at {folder} is damaged ({harm}); making it again",
              flush=True)  # fmt: skip
    else:
        print(f"{name}: no data given; making the embedded corpus at {folder}", flush=True)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise InputError(f"cannot write to {folder.parent} ({error}): set paths.data") from error
    try:
        make(scratch)
        stamps.stamp(scratch, parameters)
        scratch.chmod(0o755)
        _exchange(scratch, folder)
    except OSError as error:
        raise InputError(
            f"could not write the corpus to {folder} ({error}): free space or set paths.data"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _harm(folder: Path, parameters: dict) -> str | None:
    """What is wrong with a corpus that is there; None: nothing.

    Raises:
        InputError: it holds files that are not its own and would be read as if they were.
    """
    if not (folder / stamps.STAMP).exists() and _made_before(folder, parameters):
        with contextlib.suppress(InputError):  # a folder of others, which one may only read
            stamps.stamp(folder, parameters)
        return None
    try:
        damage = stamps.damage(folder)
        strangers = stamps.strange(folder)
    except stamps.Unstamped as error:
        return f"no whole {stamps.STAMP}: {error}"
    if strangers:
        raise InputError(
            f"{folder / strangers[0]}: not of the embedded corpus, in whose folder it lies"
            f"{f' with {len(strangers) - 1} more' if strangers[1:] else ''}: move it away, and "
            "give data of your own by data.root"
        )
    more = f"; and {len(damage) - 3} more" if damage[3:] else ""
    return "; ".join(damage[:3]) + more if damage else None


def _made_before(folder: Path, parameters: dict) -> bool:
    """Whether a corpus was made before there were stamps: as it is now, it is believed."""
    try:
        return json.loads((folder / FORMER).read_text()) == json.loads(json.dumps(parameters))
    except (OSError, ValueError):
        return False


def _exchange(scratch: Path, folder: Path) -> None:
    """Put a corpus that was just made into its place, where a damaged one may be.

    Raises:
        OSError: it cannot be moved.
    """
    aside = scratch.with_name(f"{scratch.name}-before")
    if folder.is_dir():
        if _whole(folder):  # another process was faster
            return
        os.rename(folder, aside)
    try:
        os.rename(scratch, folder)
    except OSError:
        if not folder.is_dir():
            raise
    if aside.is_dir():
        made = stamps.read(folder)["files"]
        for file in list(stamps.files_in(aside)):
            name = file.relative_to(aside).as_posix()
            if name not in made and name != FORMER:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, folder / name)
        shutil.rmtree(aside, ignore_errors=True)


def _whole(folder: Path) -> bool:
    try:
        return not stamps.damage(folder)
    except stamps.Unstamped:
        return False


def content_hash(files: Iterable[Path]) -> str:
    """SHA-256 over names, sizes and bytes of `files`; of a large file, only its two ends."""
    digest, edge = hashlib.sha256(), 1 << 20
    for file in sorted(Path(f) for f in files):
        size = regular(file).stat().st_size
        digest.update(f"{file.name}:{size};".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(edge))
            if size > 2 * edge:
                stream.seek(-edge, os.SEEK_END)
            digest.update(stream.read(edge))
    return digest.hexdigest()[:16]
