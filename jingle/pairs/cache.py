"""Latents on disk: each computed once, kept as float16, memory-mapped, checked by its hash."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from experiments.shared.errors import InputError
from experiments.shared.stamps import file_hash


def key_of(*parts: object) -> str:
    """The name under which the latents of `parts` (strings, numbers, lists, dicts) are kept."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


class LatentStore:
    """Arrays (T, 128) float16 by key, one file each, and a manifest with the hash of each.

    Frames come first, so that a crop is one contiguous read. An array is written aside, renamed,
    and only then entered in the manifest (one JSON line each): what a killed run leaves behind is
    either whole or not there, and the next run goes on from it. Many processes may share a store.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.manifest = self.folder / "manifest.jsonl"
        self.entries: dict[str, dict] = {}
        self.reload()

    def reload(self) -> None:
        """Read the manifest again; lines cut off by a kill, or damaged, count as not there."""
        self.entries = {}
        if not self.manifest.is_file():
            return
        for line in self.manifest.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
                if all(isinstance(entry[part], str) for part in ("key", "sha256", "of")):
                    self.entries[entry["key"]] = entry
            except (ValueError, KeyError, TypeError, RecursionError):
                continue

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npy"

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def get(self, key: str) -> np.ndarray:
        """The array of `key`, (T, 128) float16, memory-mapped.

        Raises:
            InputError: it vanished or was cut short since it was checked.
        """
        try:
            array = np.load(self.path(key), mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"latent cache {self.path(key)} cannot be read ({error}); "
                "start the run again, it is then rebuilt"
            ) from error
        return array

    def put(self, key: str, latents: np.ndarray, of: str) -> None:
        """Keep `latents` (T, 128) under `key`; `of` says in the manifest what they are.

        Raises:
            InputError: they are not finite as float16, or cannot be written (a full disk).
        """
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(latents, dtype=np.float16)
        if not np.isfinite(array).all():
            raise InputError(f"the codec gave latents of {of} that are not finite; remove the file")
        path = self.path(key)
        scratch = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, scratch = tempfile.mkstemp(prefix=".", suffix=".npy", dir=path.parent)
            with os.fdopen(handle, "wb") as stream:
                np.save(stream, array)
            entry = {"key": key, "sha256": file_hash(Path(scratch)), "of": of}
            entry["shape"] = list(array.shape)
            os.chmod(scratch, 0o644)
            os.replace(scratch, path)
            with self.manifest.open("a") as stream:
                # the newline first: it also ends a line that a kill has cut off
                stream.write("\n" + json.dumps(entry))
        except OSError as error:
            if scratch is not None:
                Path(scratch).unlink(missing_ok=True)
            room = shutil.disk_usage(self.folder).free / 1e6 if self.folder.is_dir() else 0.0
            raise InputError(
                f"latent cache {self.folder}: cannot write ({error}; {room:.1f} MB free on that "
                "disk); free space, or set paths.data to a larger one; what is cached is kept"
            ) from error
        self.entries[key] = entry

    def verify(self, keys: Iterable[str]) -> list[str]:
        """Those of `keys` whose file is gone or differs from its hash; they are forgotten."""
        bad = []
        for key in keys:
            if key not in self.entries:
                continue
            path = self.path(key)
            if not path.is_file() or file_hash(path) != self.entries[key]["sha256"]:
                del self.entries[key]
                bad.append(key)
        return bad

    def check_space(self, frames: int, channels: int = 128) -> None:
        """Stop before the work if `frames` more cannot fit; sweep up what killed runs have left.

        Raises:
            InputError: the folder cannot be made, or less is free than will be written.
        """
        needed = frames * channels * 2
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob("*/.*.npy"):  # by a kill; another run's are younger
                if time.time() - left.stat().st_mtime > 3600:
                    left.unlink(missing_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise InputError(
                f"latent cache {self.folder}: cannot be made ({error}); set paths.data"
            ) from error
        if free < needed:
            raise InputError(
                f"latent cache {self.folder}: expected {needed / 1e6:,.1f} MB free, got "
                f"{free / 1e6:,.1f} MB; free space or set paths.data to a larger disk"
            )
