"""What this machine is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

AMPERE = 8  # major compute capability, the first of NVIDIA's GPUs to multiply in bfloat16
BFLOAT16 = ("avx512_bf16", "amx_bf16")  # what processors that do are known by


def fast_precision(accelerator: str = "auto") -> str:
    """What trains fastest: bf16-mixed where this machine multiplies in bfloat16, else 32-true.

    Everywhere else bfloat16 is emulated, which on processors costs a multiple of single precision.
    """
    import torch

    if accelerator != "cpu" and torch.cuda.is_available():
        able = torch.cuda.get_device_capability()[0] >= AMPERE
    else:
        known = torch.cpu.get_capabilities()
        able = any(known.get(name) for name in BFLOAT16)
    return "bf16-mixed" if able else "32-true"


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ", 1)[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "CPU"
