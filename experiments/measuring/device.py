"""Probes of the machine: its matrix multiplication rate, and the memory in use."""

import contextlib
import time
from pathlib import Path

import psutil
import torch

PROBE_SECONDS = 0.4


@torch.inference_mode()
def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the best of several square products (of 2 n^3 FLOPs): what the device can do here.

    At the present number of threads and with the present TF32 setting. On one CPU thread in
    processor time, so that other programs do not make the device look slower.
    """
    size = 8192 if device.type == "cuda" else 1024
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.thread_time if alone else time.perf_counter
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best, begin = float("inf"), time.perf_counter()
    a @ b
    while time.perf_counter() - begin < PROBE_SECONDS or best == float("inf"):
        wait(device)
        start = clock()
        a @ b
        wait(device)
        best = min(best, clock() - start)
    return 2 * size**3 / best


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
