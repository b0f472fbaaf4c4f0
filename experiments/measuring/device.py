"""Probes of the machine: how fast it multiplies matrices, and how fast it convolves."""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

PROBE_SECONDS = 0.4


def best_rates(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """FLOP/s of square products and of 3 x 3 convolutions: what the device can do here.

    Convolutions are counted as they are written, which fast algorithms (Winograd) outdo: a network
    of convolutions can exceed the rate of products.

    At the present number of threads and with the present TF32 setting. On one CPU thread in
    processor time, so that other programs do not make the device look slower.
    """
    size, side, channels = (8192, 256, 256) if device.type == "cuda" else (1024, 64, 64)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    maps = torch.randn(4, channels, side, side, device=device).to(dtype)
    kernel = torch.randn(channels, channels, 3, 3, device=device).to(dtype)
    products = 2 * 9 * channels**2 * maps[:, 0].numel()
    return {
        "matmul": rate(lambda: a @ b, 2 * size**3, device),
        "convolution": rate(lambda: F.conv2d(maps, kernel, padding=1), products, device),
    }


@torch.inference_mode()
def rate(work: Callable[[], Tensor], flops: int, device: torch.device) -> float:
    """FLOP/s of the fastest of several rounds of `work`."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.thread_time if alone else time.perf_counter
    best, begin = float("inf"), time.perf_counter()
    work()
    while time.perf_counter() - begin < PROBE_SECONDS or best == float("inf"):
        wait(device)
        start = clock()
        work()
        wait(device)
        best = min(best, clock() - start)
    return flops / best


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
