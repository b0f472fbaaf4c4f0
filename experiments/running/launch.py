"""Runs the jobs of a multirun as fresh processes, so that DDP works inside a sweep.

Lightning starts ranks 1..n by repeating the command line; in a multirun that would be the whole
sweep again. A job in a process of its own has a command line of its own, gives back its memory, and
cannot take the other jobs down with it.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from experiments.running.again import own_words, quoted
from experiments.shared.errors import InputError
from experiments.shared.folder import Folder, Summary

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


def run_job(folder: Path, name: str, overrides: list[str]) -> float:
    """Run one job of a sweep of the experiment `name` in `folder`; its objective, NaN without one.

    A job that is completed already (a sweep run again in its old folder) is not run again; one of
    which the sweep now asks something else, more epochs say, goes on.
    """
    overrides = [o for o in overrides if not o.startswith(("+sweep=", "hydra.mode="))]
    words = [*overrides, f"hydra.run.dir={quoted(folder)}"]
    place = Folder(folder)
    done = place.read()
    place.path.mkdir(parents=True, exist_ok=True)
    if done.get("status") == "completed" and asked_before(place, overrides):
        print(f"{folder}: completed before, kept", flush=True)
        place.job.write_text("0")
        return objective(done)
    place.job.write_text("begun")
    command = [sys.executable, "-m", "experiments.run", *words]
    environment = {k: v for k, v in os.environ.items() if k not in RANK_VARIABLES}
    status = wait_for(subprocess.Popen(command, env=environment, start_new_session=True))
    place.job.write_text(str(status))
    for signum in (signal.SIGINT, signal.SIGTERM):
        if status in (128 + signum, -signum):  # by its own leave, or before it could take it
            raise SystemExit(128 + signum)
    if status:
        if not place.overrides.is_file():  # not even begun: for the report
            place.asked.mkdir(exist_ok=True)
            place.overrides.write_text(OmegaConf.to_yaml(OmegaConf.create(overrides)))
        keep_reason(folder, name, f"the job ended with exit status {status}")
        print(f"{folder}: the job failed with exit status {status}; the sweep goes on", flush=True)
    return objective(place.read())


def keep_reason(folder: Path, name: str, reason: str) -> None:
    """Why a sweep's job failed before it could begin, for the sweep's report; others keep it."""
    place = Folder(folder)
    if place.job.is_file() and not place.read():
        place.write({"name": name, "status": "failed", "error": reason})


def asked_before(place: Folder, overrides: list[str]) -> bool:
    """Whether the run in `place` was asked just this."""
    asked = [word for word in overrides if not word.startswith("accept_changes=")]
    return place.overrides.is_file() and sorted(own_words(place)) == sorted(asked)


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

    if getattr(rank_zero_only, "rank", 0):
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


def objective(summary: Summary) -> float:
    best = (summary.get("objective") or {}).get("best")
    return math.nan if best is None else float(best)


class SweepReport(Callback):
    """Hydra callback: a sweep ends with its report, and with status 1 unless all jobs completed.

    All jobs of this sweep, that is: the folder may hold those of earlier ones.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs) -> None:
        folder = Path(config.hydra.sweep.dir)
        for job in folder.iterdir() if folder.is_dir() else ():
            Folder(job).job.unlink(missing_ok=True)

    def on_multirun_end(self, config: DictConfig, **kwargs) -> None:
        folder = Path(config.hydra.sweep.dir)
        try:  # Hydra would make a warning of an error, and a success of the sweep
            from experiments.report import write_report

            print(f"report: {write_report(folder)}", flush=True)
        except Exception:
            traceback.print_exc()
            print(f"the report failed. Try: python -m experiments.report {folder}", flush=True)
        jobs = [Folder(path).job for path in folder.iterdir()]
        status = [job.read_text() for job in jobs if job.exists()]
        print(f"{status.count('0')} of {len(status)} jobs completed", flush=True)
        if set(status) != {"0"}:
            raise SystemExit(1)
