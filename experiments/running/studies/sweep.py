"""A multirun: Hydra composes its jobs, which are gathered first, then run, then reported on.

Hydra's own launcher would run each as soon as it is composed. Another launcher (SLURM) or sweeper
gets each job's objective at once, in the process that it has chosen.
"""

import os
import traceback
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from experiments.running.launch import Job, keep_reason, objective
from experiments.running.places import Place, devices_of, places
from experiments.running.settings import check
from experiments.running.studies.together import Listed, work_off
from experiments.shared.errors import InputError
from experiments.shared.folder import Folder

gathered: list[Job] = []


def take(config: DictConfig, folder: Path, name: str) -> float | None:
    """Gather the job, or run it now; then its objective, NaN without one."""
    hydra = HydraConfig.get()
    job = job_of(config, folder, name, hydra.overrides.task, hydra.overrides.hydra)
    try:
        check(config, hydra.runtime.choices)
    except InputError as error:
        job.place.path.mkdir(parents=True, exist_ok=True)
        job.place.job.write_text("begun")
        keep_reason(folder, name, str(error))
        job.end(2)
        print(f"{folder}: error: {error}", flush=True)
        return None
    own = (hydra.launcher._target_, hydra.sweeper._target_)
    if all("hydra._internal.core_plugins.basic" in target for target in own):
        gathered.append(job)
        return None
    work_off(Listed([job]), [Place(0)], fail_fast=False, alone=True)
    return objective(job.place.read())


def job_of(config: DictConfig, folder: Path, name: str, task, hydra) -> Job:
    searched = [word for word in hydra if "hydra.searchpath=" in word]
    trainer = OmegaConf.to_container(config.trainer, resolve=False)
    assert isinstance(trainer, dict)
    mode = OmegaConf.select(config, "objective.mode", throw_on_missing=False)
    plain = {str(key): value for key, value in trainer.items()}
    return Job(folder, name, [*task, *searched], devices_of(plain), mode or "min")


class Sweep(Callback):
    """Hydra callback: runs the gathered jobs, and ends with the report.

    The status is 1 unless all jobs of this sweep completed; the folder may hold those of earlier
    ones.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs) -> None:
        gathered.clear()
        folder = Path(config.hydra.sweep.dir)
        for job in folder.iterdir() if folder.is_dir() else ():
            Folder(job).job.unlink(missing_ok=True)

    def on_multirun_end(self, config: DictConfig, **kwargs) -> None:
        folder, count = Path(config.hydra.sweep.dir), len(gathered)
        try:  # Hydra would make a warning of an error, and a success of the sweep
            run_gathered(config)
            report(folder)
        except Exception:
            traceback.print_exc()
            raise SystemExit(1) from None
        jobs = [Folder(path).job for path in folder.iterdir()]
        status = [job.read_text() for job in jobs if job.exists()]
        missing = max(0, count - len(status))
        rest = f", {missing} not begun" if missing else ""
        print(f"{status.count('0')} of {len(status) + missing} jobs completed{rest}", flush=True)
        if set(status) != {"0"} or missing:
            raise SystemExit(1)


def run_gathered(config: DictConfig) -> None:
    if not gathered:
        return
    asked = config.sweep
    needs = [job.devices for job in gathered]
    most = None if None in needs else max(need or 0 for need in needs)
    shared = places(min(asked.jobs, len(gathered)), most, os.environ)
    work_off(Listed(gathered), shared, asked.fail_fast, alone=asked.jobs == 1)


def report(folder: Path) -> None:
    try:
        from experiments.report import write_report

        print(f"report: {write_report(folder)}", flush=True)
    except Exception:
        traceback.print_exc()
        print(f"the report failed. Try: python -m experiments.report {folder}", flush=True)
