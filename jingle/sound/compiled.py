"""librosa, imported by one process at a time, and what of it this package uses.

At its import numba compiles some of its functions and keeps them on disk. Two processes that do so
at once can leave files that do not belong together, and every later process that opens them ends in
a segmentation fault (numba's issue 10128).
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Waits until no other process of this user is in here; not where no lock can be had."""
    folder = Path(tempfile.gettempdir()) / f"librosa-{getattr(os, 'getuid', int)()}"
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            stack.enter_context(FileLock(folder / "compiling.lock"))
        yield


with alone():
    import librosa
    import librosa.beat
    import librosa.feature
    import librosa.filters
    import librosa.onset
    import librosa.util.utils

__all__ = ["librosa"]
