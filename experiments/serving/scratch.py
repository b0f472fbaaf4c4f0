"""Where requests lie while they are answered: small ones in memory, for a disk makes them wait."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

MEMORY = Path("/dev/shm")  # Linux's file system in memory
LITTLE = 1 << 20  # bytes of a request that is small
SPARE = 256 << 20  # bytes that stay free in memory, so that answers have room as well


@dataclass(frozen=True)
class Scratch:
    """Two folders of a server, which are its own."""

    disk: Path
    memory: Path | None

    def place(self, size: int) -> Path:
        """A new folder for a request of `size` bytes."""
        memory = self.memory
        roomy = memory and size <= LITTLE and shutil.disk_usage(memory).free > SPARE
        return Path(tempfile.mkdtemp(dir=memory if roomy else self.disk, prefix="request-"))

    def remove(self) -> None:
        for folder in filter(None, (self.disk, self.memory)):
            shutil.rmtree(folder, ignore_errors=True)


def new() -> Scratch:
    """New folders; on disk alone where TMPDIR says a place."""
    wanted = "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK | os.X_OK)
    memory = None if wanted else Path(tempfile.mkdtemp(dir=MEMORY, prefix="serve-"))
    return Scratch(Path(tempfile.mkdtemp(prefix="serve-")), memory)
