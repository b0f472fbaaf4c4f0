"""Shares this machine out to jobs that run side by side: processor threads, and GPUs."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Place:
    """Where one job at a time runs: what its environment says besides."""

    number: int
    variables: dict[str, str] = field(default_factory=dict)


def places(jobs: int, devices: int | None, environment: Mapping[str, str]) -> list[Place]:
    """At most `jobs` places; fewer where there are not GPUs enough, which is said.

    Args:
        jobs: so many at once.
        devices: GPUs that a job takes; None: all there are; 0: none.
        environment: what it says of threads and GPUs holds over what is worked out here.
    """
    found = visible(environment) if devices != 0 else []
    if found:
        each = min(devices or len(found), len(found))
        fit = max(1, len(found) // each)
        if fit < jobs:
            print(f"sweep.jobs={jobs}: {len(found)} GPUs, {each} a job: {fit} at once", flush=True)
        jobs = min(jobs, fit)
    if jobs == 1:
        return [Place(0)]
    threads = str(max(1, cores() // jobs))
    common = {name: threads for name in THREADS if name not in environment}
    if "OMP_WAIT_POLICY" not in environment:
        common["OMP_WAIT_POLICY"] = "PASSIVE"  # threads that spin take time from the other jobs
    own = [
        {"CUDA_VISIBLE_DEVICES": ",".join(found[i * each : (i + 1) * each])} if found else {}
        for i in range(jobs)
    ]
    return [Place(number, {**common, **variables}) for number, variables in enumerate(own)]


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible(environment: Mapping[str, str]) -> list[str]:
    """The GPUs' numbers; asked of the driver, since torch takes seconds to load."""
    if "CUDA_VISIBLE_DEVICES" in environment:
        return [name for name in environment["CUDA_VISIBLE_DEVICES"].split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    return [str(i) for i, _ in enumerate(x for x in said.splitlines() if x.startswith("GPU "))]


def devices_of(trainer: Mapping[str, Any]) -> int | None:
    """How many GPUs a job asks for by its `trainer` settings, as `places` takes it."""
    devices = trainer.get("devices", 1)
    if trainer.get("accelerator") == "cpu":
        return 0
    if not isinstance(devices, str | int):  # a list of their numbers
        return len(devices)
    text = str(devices)
    if text in ("auto", "-1"):
        return None
    return len(text.split(",")) if "," in text else int(text)
