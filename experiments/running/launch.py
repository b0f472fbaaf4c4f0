"""A job of a sweep or a search: a process of its own.

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
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from experiments.running.again import own_words, quoted
from experiments.running.places import Place
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
FOLLOW = "SUITE_JOB_OF"  # set for a job: the process that started it
OF_THE_SWEEP = ("+sweep=", "sweep.", "+hpo=", "hpo.", "hydra.mode=", "hydra.run.dir=")


@dataclass(eq=False)
class Job:
    """A run of the experiment `name` in `folder`, asked for by `words`.

    `devices`: GPUs, as `places` takes them; `mode`: of the objective, min or max.
    """

    folder: Path
    name: str
    words: list[str]
    devices: int | None = 0
    mode: str = "min"
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.words = [word for word in self.words if not word.startswith(OF_THE_SWEEP)]
        self.place = Folder(self.folder)

    def done_before(self) -> bool:
        """Whether it is completed already, and was asked just this."""
        asked = [word for word in self.words if not word.startswith("accept_changes=")]
        return (
            self.place.read().get("status") == "completed"
            and self.place.overrides.is_file()
            and sorted(own_words(self.place)) == sorted(asked)
        )

    def keep(self) -> None:
        """Count a job that was done before among this sweep's."""
        print(f"{self.folder}: completed before, kept", flush=True)
        self.place.job.write_text("0")

    def start(self, place: Place, log: bool) -> subprocess.Popen:
        """Begin, or go on where the folder holds a run; with `log`, what it prints goes there.

        The job has a session of its own: otherwise a Ctrl-C would reach it twice, and the second
        time means "at once".
        """
        self.place.path.mkdir(parents=True, exist_ok=True)
        self.place.pulse.unlink(missing_ok=True)
        self.place.job.write_text("begun")
        self.begun = time.monotonic()
        words = [*self.words, f"hydra.run.dir={quoted(self.folder)}"]
        command = [sys.executable, "-m", "experiments.run", *words]
        environment = {k: v for k, v in os.environ.items() if k not in RANK_VARIABLES}
        environment |= {**place.variables, FOLLOW: str(os.getpid())}
        with self.place.job_log.open("ab") if log else contextlib.nullcontext() as out:
            return subprocess.Popen(
                command,
                env=environment,
                start_new_session=True,
                stdout=out,
                stderr=subprocess.STDOUT if log else None,
            )

    def end(self, status: int) -> str:
        """Keep how it ended; says it in a word."""
        self.place.job.write_text(str(status))
        if status and not was_stopped(status):
            if not self.place.overrides.is_file():  # not even begun: for the report
                self.place.asked.mkdir(exist_ok=True)
                self.place.overrides.write_text(OmegaConf.to_yaml(OmegaConf.create(self.words)))
            reason = f"the job ended with exit status {status}"
            if self.place.job_log.is_file():
                lines = self.place.job_log.read_text(errors="replace").splitlines()
                told = [line for line in lines if line.startswith("error: ")]
                reason = told[-1].removeprefix("error: ") if told else reason
            keep_reason(self.folder, self.name, reason)
        how = str(self.place.read().get("status") or "failed")
        return "failed" if how == "completed" and status else how


def was_stopped(status: int) -> bool:
    """Whether a signal ended it: by its own leave, or before it could take it."""
    return any(status in (128 + s, -s) for s in (signal.SIGINT, signal.SIGTERM))


def keep_reason(folder: Path, name: str, reason: str) -> None:
    """Why a sweep's job failed before it could begin, for the sweep's report; others keep it."""
    place = Folder(folder)
    if place.job.is_file() and not place.read():
        place.write({"name": name, "status": "failed", "error": reason})


def follow() -> None:
    """Leave as for SIGTERM, the state saved, when the sweep that started this job is gone.

    Otherwise a job of a killed sweep would go on unseen, and hold its folder against the next.
    """
    parent = os.environ.get(FOLLOW)
    if parent is None or os.name == "nt" or "LOCAL_RANK" in os.environ:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Lock a run's folder: two runs in it would overwrite each other's checkpoints.

    The first rank locks for all. The lock ends with the process, however that ends. A sweep's job
    waits for one of a killed sweep, which is about to leave.

    Raises:
        InputError: another run has it.
    """
    from lightning.pytorch.utilities import rank_zero_only

    if getattr(rank_zero_only, "rank", 0):
        yield
        return
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=60 if FOLLOW in os.environ else 0)
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
