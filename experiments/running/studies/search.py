"""A search (`+hpo=NAME`): Optuna proposes values, each trial is a job, side by side.

Optuna's ask and tell, in this process: Hydra's own sweeper for it is of 2020 and takes Optuna 2.10,
whose storage does not work with the current SQLAlchemy. A trial's process knows nothing of Optuna:
what it has reached so far is read from its pulse, and one that is pruned gets a SIGTERM. Everything
known stands in search.db, so that several such commands work on one search, and a killed one goes
on: a trial whose worker is gone is taken up where its checkpoint is.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState

from experiments.running.again import file_name, key_of
from experiments.running.launch import Job, was_stopped
from experiments.running.places import places
from experiments.running.studies.space import Range, RoundedTPE
from experiments.running.studies.sweep import job_of, report
from experiments.running.studies.together import work_off
from experiments.shared.errors import InputError
from experiments.shared.folder import SEARCH

STUDY = "search"


@dataclass
class Plan:
    """What is asked: `hpo` of the configuration, with the experiment's objective where it is null.

    `objectives`: tag -> min or max; `fixed`: words of every trial.
    """

    trials: int
    objectives: dict[str, str]
    prune: bool
    digits: int
    fixed: list[str]
    space: dict[str, optuna.distributions.BaseDistribution]
    own: dict[str, Any]  # the configuration's values, which are tried first


def plan_of(config: DictConfig, typed: list[str]) -> Plan:
    """Read the plan; a key that the command line sets is not searched.

    Raises:
        InputError: a key is not there, or nothing is left to search.
    """
    asked = config.hpo
    space, own = {}, {}
    for key, node in asked.space.items():
        value = OmegaConf.select(config, str(key), default=None)
        if value is None:
            raise InputError(f"hpo.space.{key}: there is no {key} in this experiment")
        if str(key) in {key_of(word) for word in typed}:
            print(f"{key} is set on the command line: not searched", flush=True)
            continue
        space[str(key)] = Range(**OmegaConf.to_container(node)).distribution(str(key))  # type: ignore
        own[str(key)] = value
    if not space:
        raise InputError("hpo.space: nothing is left to search")
    objectives = dict(asked.objectives or {config.objective.name: config.objective.mode})
    fixed = [word for word in asked.fixed if key_of(word) not in set(map(key_of, typed))]
    return Plan(asked.trials, objectives, asked.prune, asked.digits, fixed, space, own)


class Search:
    """The trials of a study as jobs; see `together.Work`."""

    def __init__(self, study: optuna.Study, plan: Plan, folder: Path, config: DictConfig):
        self.study, self.plan, self.folder, self.config = study, plan, folder, config
        self.trials: dict[Job, Trial] = {}
        self.locks: dict[Job, FileLock] = {}
        self.reported: dict[Job, int] = {}
        self.pruned: set[Job] = set()
        self.total = max(0, plan.trials - sum(t.state.is_finished() for t in study.trials))

    def take(self) -> Job | None:
        """A trial whose worker is gone, else a new one, as long as there are not enough."""
        with FileLock(self.folder / ".take.lock"):  # one worker at a time
            return self._take()

    def _take(self) -> Job | None:
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            trial = Trial(self.study, frozen._trial_id)
            if (lock := self._lock(trial.number)) is not None:
                print(f"trial {trial.number}: its worker is gone; it goes on", flush=True)
                return self._job(trial, lock)
        counted = [t for t in self.study.trials if t.state != TrialState.WAITING]
        if len(counted) >= self.plan.trials:
            return None
        trial = self.study.ask(self.plan.space)
        lock = self._lock(trial.number)
        assert lock is not None
        return self._job(trial, lock)

    def _lock(self, number: int) -> FileLock | None:
        """Held while a worker is at the trial; ends with the worker, however that ends."""
        lock = FileLock(self.folder / f".trial-{number}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def _job(self, trial: Trial, lock: FileLock) -> Job:
        words = [f"{key}={value}" for key, value in trial.params.items()]
        told = "_".join(f"{key.split('.')[-1]}-{value}" for key, value in trial.params.items())
        folder = self.folder / file_name(f"{trial.number:03d}_{told}")
        hydra = HydraConfig.get().overrides
        words = [*hydra.task, *self.plan.fixed, *words]
        job = job_of(self.config, folder, self.config.name, words, hydra.hydra)
        trial.set_user_attr("folder", folder.name)
        self.trials[job], self.reported[job], self.locks[job] = trial, 0, lock
        return job

    def look(self, job: Job) -> bool:
        """Tell the study of new validations; whether it takes the trial for a poor one."""
        if not self.plan.prune or len(self.plan.objectives) > 1 or job in self.pruned:
            return False
        history, trial = job.place.read_pulse().get("history") or [], self.trials[job]
        for number, (_, value) in enumerate(history[self.reported[job] :], self.reported[job] + 1):
            if value is not None:
                trial.report(value, number)
            self.reported[job] = number
            if trial.should_prune():
                self.pruned.add(job)
                return True
        return False

    def ended(self, job: Job, status: int) -> str:
        """A trial that failed or diverged is a failed trial; one that was stopped stays open."""
        how = job.end(status)
        trial, summary = self.trials.pop(job), job.place.read()
        values = reached(summary, self.plan.objectives)
        if job in self.pruned and how != "completed":
            self.study.tell(trial, state=TrialState.PRUNED)
            how = "pruned"
        elif how == "completed" and values is not None and not status:
            self.study.tell(trial, values)
        elif not was_stopped(status):
            trial.set_user_attr("why", str(summary.get("error") or how))
            self.study.tell(trial, state=TrialState.FAIL)
        self.locks.pop(job).release()
        return how


def reached(summary: Any, objectives: dict[str, str]) -> list[float] | None:
    """The objectives' values: the experiment's own at its best, others at the end."""
    objective, found = summary.get("objective") or {}, []
    for tag in objectives:
        own = tag == objective.get("name") and len(objectives) == 1
        value = objective.get("best") if own else (summary.get("metrics") or {}).get(tag)
        if value is None or not math.isfinite(value):
            return None
        found.append(float(value))
    return found


def search(config: DictConfig, folder: Path) -> None:
    """Run trials until there are `hpo.trials`, those of earlier commands counted; then report."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plan = plan_of(config, list(HydraConfig.get().overrides.task))
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(folder, plan, config.seed)
    work = Search(study, plan, folder, config)
    if not study.trials:
        study.enqueue_trial(plan.own)
    print(f"search over {len(plan.space)} settings in {folder}: {work.total} to go", flush=True)
    job = job_of(config, folder, config.name, [], [])
    shared = places(min(config.sweep.jobs, max(1, work.total)), job.devices, os.environ)
    try:
        work_off(work, shared, config.sweep.fail_fast, alone=False)
    finally:
        report(folder)
    states = [trial.state.name.lower() for trial in study.trials]
    print(", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states)), flush=True)


def open_study(folder: Path, plan: Plan, seed: int) -> optuna.Study:
    """The study in the folder's database, or a new one.

    Raises:
        InputError: it was begun with other objectives or choices.
    """
    url = f"sqlite:///{folder.absolute() / SEARCH}"
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
    ways = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
    directions = [ways[mode] for mode in plan.objectives.values()]
    study = optuna.create_study(
        storage=storage, study_name=STUDY, directions=directions, load_if_exists=True
    )
    tags = study.user_attrs.get("objectives")
    if tags not in (None, plan.objectives):
        raise InputError(f"{folder} was begun with the objectives {tags}: take another folder")
    study.set_user_attr("objectives", plan.objectives)
    known = {k: d for trial in study.trials for k, d in trial.distributions.items()}
    for key, distribution in plan.space.items():
        try:
            if key in known:
                optuna.distributions.check_distribution_compatibility(known[key], distribution)
        except ValueError as error:
            raise InputError(f"hpo.space.{key}: {folder} was begun otherwise: {error}") from error
    startup = min(10, max(4, plan.trials // 4))
    # A search that goes on does not draw the same values again.
    seed += len(study.trials)
    study.sampler = RoundedTPE(plan.digits, seed=seed, n_startup_trials=startup)
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=1)
    return study
