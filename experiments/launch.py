"""Runs the jobs of a multirun as fresh processes, so that DDP works inside a sweep.

Lightning starts ranks 1..n by repeating the command line; in a multirun that would be the whole
sweep again. A job in a process of its own has a command line of its own, gives back its memory, and
cannot take the other jobs down with it.
"""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

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

    A job that is completed already (a sweep run again in its old folder) is not run again.
    """
    if (done := read_summary(folder)).get("status") == "completed":
        print(f"{folder}: completed before, kept", flush=True)
        return objective(done)
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    overrides = [o for o in overrides if not o.startswith(("+sweep=", "hydra.mode="))]
    command = [sys.executable, "-m", "experiments.run", *overrides, f"hydra.run.dir='{quoted}'"]
    environment = {k: v for k, v in os.environ.items() if k not in RANK_VARIABLES}
    status = wait_for(subprocess.Popen(command, env=environment, start_new_session=True))
    if status in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        raise SystemExit(status)
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


def read_summary(folder: Path) -> dict:
    try:
        return json.loads((folder / "summary.json").read_text())
    except FileNotFoundError:
        return {}


def objective(summary: dict) -> float:
    best = summary.get("objective", {}).get("best")
    return math.nan if best is None else float(best)


class SweepReport(Callback):
    """Hydra callback: a sweep ends with its report."""

    def on_multirun_end(self, config: DictConfig, **kwargs) -> None:
        from experiments.report import write_report

        print(f"report: {write_report(Path(config.hydra.sweep.dir))}", flush=True)
