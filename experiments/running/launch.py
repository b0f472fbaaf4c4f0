"""Runs the jobs of a multirun as fresh processes, so that DDP works inside a sweep.

Lightning starts ranks 1..n by repeating the command line; in a multirun that would be the whole
sweep again. A job in a process of its own has a command line of its own, gives back its memory, and
cannot take the other jobs down with it.
"""

import contextlib
import json
import math
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from experiments.shared.errors import InputError

RANK_VARIABLES = (
    "LOCAL_RANK",
    "RANK",
    "NODE_RANK",
    "GROUP_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "PL_GLOBAL_SEED",
    "PL_SEED_WORKERS",
)


def run_job(folder: Path, overrides: list[str]) -> float:
    """Run one job of a sweep in `folder` and return its objective; NaN where it gave none.

    A job that is completed already (a sweep run again in its old folder) is not run again; one of
    which the sweep now asks something else, more epochs say, goes on.
    """
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    overrides = [o for o in overrides if not o.startswith(("+sweep=", "hydra.mode="))]
    command = [sys.executable, "-m", "experiments.run", *overrides, f"hydra.run.dir='{quoted}'"]
    done = read_summary(folder)
    if done.get("status") == "completed" and asked(done) == command[3:-1]:
        print(f"{folder}: completed before, kept", flush=True)
        return objective(done)
    environment = {k: v for k, v in os.environ.items() if k not in RANK_VARIABLES}
    status = wait_for(subprocess.Popen(command, env=environment, start_new_session=True))
    for signum in (signal.SIGINT, signal.SIGTERM):
        if status in (128 + signum, -signum):  # by its own leave, or before it could take it
            raise SystemExit(128 + signum)
    if status:
        print(f"{folder}: the job failed with exit status {status}; the sweep goes on", flush=True)
    return objective(read_summary(folder))


def wait_for(job: subprocess.Popen) -> int:
    """The job's exit status; SIGINT and SIGTERM are handed on to it, so that it can save its state.

    The job has a session of its own: otherwise a Ctrl-C would reach it twice, and the second time
    means "at once".
    """

    def hand_on(signum, frame):
        job.send_signal(signum)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {s: signal.signal(s, hand_on) for s in signals}
    try:
        return job.wait()
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


@contextlib.contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Lock a run's folder: two runs in it would overwrite each other's checkpoints.

    The first rank locks for all. The lock ends with the process, however that ends.

    Raises:
        InputError: another run has it.
    """
    from lightning.pytorch.utilities import rank_zero_only

    if rank_zero_only.rank:
        yield
        return
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"another run is at work in {folder}: wait until it has ended, or give this one a "
            "folder of its own with hydra.run.dir"
        ) from None
    except (OSError, NotImplementedError):
        print(f"{folder}: this file system has no locks; start one run in it at a time")
    try:
        yield
    finally:
        lock.release()


def read_summary(folder: Path) -> dict:
    """What a run wrote at its end; empty where it has not come so far."""
    try:
        return json.loads((folder / "summary.json").read_text())
    except FileNotFoundError:
        return {}


def objective(summary: dict) -> float:
    best = summary.get("objective", {}).get("best")
    return math.nan if best is None else float(best)


def asked(summary: dict) -> list[str]:
    """The overrides of the run that wrote the summary, less its folder."""
    words = shlex.split(summary.get("command", ""))[3:]
    return [word for word in words if not word.startswith("hydra.run.dir=")]


class SweepReport(Callback):
    """Hydra callback: a sweep ends with its report, and with status 1 unless all jobs completed."""

    def on_multirun_end(self, config: DictConfig, **kwargs) -> None:
        from experiments.report import write_report
        from experiments.reporting.events import find_runs

        folder = Path(config.hydra.sweep.dir)
        print(f"report: {write_report(folder)}", flush=True)
        status = [read_summary(run).get("status") for run in find_runs(folder)]
        if set(status) != {"completed"}:
            print(f"{status.count('completed')} of {len(status)} jobs completed", flush=True)
            raise SystemExit(1)
