"""Embedded corpora: made once, keyed by their parameters, whole or not at all."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from experiments.shared.errors import InputError
from experiments.shared.reading import regular


def build_once(root: Path, name: str, parameters: dict, make: Callable[[Path], None]) -> Path:
    """Return `root/name-<key of parameters>`; call `make(folder)` first if it is not there.

    The corpus is written into a temporary folder and renamed, so that a killed run leaves no half
    corpus; of two processes that make the same one, the slower takes the faster one's.

    Raises:
        InputError: the folder cannot be written.
    """
    key = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:12]
    folder = Path(root) / f"{name}-{key}"
    if folder.is_dir():
        print(f"{name}: using the embedded corpus at {folder}", flush=True)
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise InputError(f"cannot write to {folder.parent} ({error}): set paths.data") from error
    print(f"{name}: no data given; making the embedded corpus at {folder}", flush=True)
    try:
        make(scratch)
        (scratch / "parameters.json").write_text(json.dumps(parameters, indent=1, sort_keys=True))
        scratch.chmod(0o755)
        try:
            os.rename(scratch, folder)
        except OSError:
            if not folder.is_dir():
                raise
    except OSError as error:
        raise InputError(
            f"could not write the corpus to {folder} ({error}): free space or set paths.data"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


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
