"""The memory that a process and its workers have in use, at most; of a run and of the bench."""

import contextlib
import ctypes
import sys
from pathlib import Path

import psutil
import torch

from experiments.shared.errors import InputError

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # names of mallopt's parameters (glibc's malloc.h)
LARGEST = 32 << 20  # bytes; more glibc does not take


def hold() -> None:
    """Keep freed memory of this process for its next tensors, where the C library is glibc.

    It gives blocks of 128 KiB and more back at once, and the system clears their pages when they
    come again: for loops over tensors of a few MiB on a CPU that is a quarter to a half of the
    time.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(MMAP_THRESHOLD, LARGEST)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)


def foresee(needed: float, what: str) -> None:
    """Stop before the work on what memory would not hold.

    Args:
        needed: bytes, at least.
        what: of what, and what to do about it.

    Raises:
        InputError: less is free.
    """
    free = psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"would take {needed / 2**30:,.1f} GiB of memory, {free / 2**30:,.1f} GiB are free: "
            f"{what}"
        )


def reset_peak(device: torch.device) -> None:
    """Forget earlier peaks, so that making a corpus does not count as training."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    # Where there is no such file, the peak is that of the moments at which steps ended.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory_now(device: torch.device, before: float) -> tuple[float, float | None]:
    """(peak RSS of this process and its workers, peak GPU memory), both in MiB."""
    here = psutil.Process()
    workers = 0
    for child in here.children(recursive=True):
        try:
            workers += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    rss = max(here.memory_info().rss, high_water()) + workers
    gpu = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None
    return max(before, rss / 2**20), gpu


def high_water() -> int:
    """This process's peak RSS since `reset_peak`, in bytes; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
