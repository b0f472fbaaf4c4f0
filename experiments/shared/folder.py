"""A run's folder: the name of every file in it, once, and its summary, typed and versioned.

It stands in `shared`, because all who touch a run folder read it: callbacks, reports, and the
models' own `infer`. Nothing in a folder names where the folder lies, so that it can be moved.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from experiments.shared.errors import InputError
from experiments.shared.reading import read_json

VERSION = 2  # of summary.json; 1 had no host, no times and no traceback
SEARCH = "search.db"  # in a search's folder: Optuna's study
EPOCH_TAG = "throughput/epoch"  # of the epoch's curve in the event files; once "epoch"


class ObjectiveSummary(TypedDict, total=False):
    """The weight-free metric by which a run is judged; its best value and where that was."""

    name: str
    mode: str  # "min" or "max"
    best: float | None
    best_step: int | None
    best_epoch: int | None
    last: float | None


class Summary(TypedDict, total=False):
    """What summary.json holds; what a run did not come to is missing or None."""

    version: int
    name: str
    status: str  # completed, interrupted, diverged, failed, unfinished, evaluated
    error: str | None
    traceback: str | None  # file in the folder
    problems: list[str]  # what went wrong without ending the run
    objective: ObjectiveSummary
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    loss_weights: dict[str, float]
    parameters: dict[str, int]  # total, trainable, and by part of the module
    data: dict[str, Any]  # the datamodule's describe()
    throughput: dict[str, float | None]
    started: str  # ISO 8601 with the offset from UTC; of the first session
    ended: str
    duration_s: float  # of all sessions together
    phases: dict[str, float]  # seconds of the last session, by phase
    steps: int
    epochs: int
    seed: int
    host: str
    device: str  # model of the processor that trained
    devices: str
    precision: str
    versions: dict[str, str]
    command: str
    git: str | None
    init_from: dict[str, Any] | None  # whose weights it began with
    accepted_changes: list[dict[str, Any]]  # key, was, now: by accept_changes=true
    checkpoint: str  # of an evaluation: what was tested


class Pulse(TypedDict, total=False):
    """How far a run is, while it is at work."""

    epoch: int
    epochs: int | None
    step: int
    left_s: float | None
    history: list[list[float | None]]  # (step, objective) of each validation so far


@dataclass(frozen=True)
class Folder:
    """Where everything lies in the run folder `path`."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    @property
    def asked(self) -> Path:
        """The folder with what was asked: `config`, `overrides`, `hydra`."""
        return self.path / ".hydra"

    @property
    def config(self) -> Path:
        return self.asked / "config.yaml"

    @property
    def overrides(self) -> Path:
        """The words of the command line."""
        return self.asked / "overrides.yaml"

    @property
    def hydra(self) -> Path:
        """Hydra's own settings, the search path among them."""
        return self.asked / "hydra.yaml"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        return self.checkpoints / "last.ckpt"

    @property
    def best(self) -> Path:
        return self.checkpoints / "best.ckpt"

    @property
    def board(self) -> Path:
        return self.path / "tb"

    @property
    def study(self) -> Path:
        """The run's row on TensorBoard's HParams page."""
        return self.board / "hparams"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def audio(self) -> Path:
        return self.path / "audio"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def log(self) -> Path:
        """What the run printed."""
        return self.path / "run.log"

    @property
    def traceback(self) -> Path:
        """Where the last failure came from."""
        return self.path / "traceback.txt"

    @property
    def job(self) -> Path:
        """The exit status of the job that a sweep ran here; `begun` while it is at work."""
        return self.path / ".job"

    @property
    def job_log(self) -> Path:
        """What a job that ran beside others printed, its start included."""
        return self.path / "job.log"

    @property
    def pulse(self) -> Path:
        """How far the run is."""
        return self.path / ".pulse"

    def read_pulse(self) -> Pulse:
        """How far the run is; empty where that is not known."""
        try:
            return Pulse(**json.loads(self.pulse.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return {}

    def is_run(self) -> bool:
        """Whether this looks like one run (and not like a sweep or something else)."""
        return any(mark.exists() for mark in (self.config, self.summary, self.board))

    def read(self, problems: list[str] | None = None) -> Summary:
        """The summary; empty where there is none yet, or where it is damaged.

        Args:
            problems: a list that is told what is wrong with the file.
        """
        if not self.summary.is_file():
            return {}
        problems = [] if problems is None else problems
        try:
            summary = read_json(self.summary)
        except InputError as error:
            said = str(error.__cause__ or error).splitlines()[0]
            problems.append(f"{self.summary.name} is not valid JSON ({said})")
            return {}
        if not isinstance(summary, dict):
            problems.append(f"{self.summary.name} holds no summary: expected a JSON object")
            return {}
        if isinstance(summary.get("version"), int) and summary["version"] > VERSION:
            problems.append(f"{self.summary.name} was written by a later version of the suite")
        return Summary(**summary)

    def write(self, summary: Summary) -> None:
        """Write the summary atomically; what is not finite becomes null."""
        text = json.dumps(plain({"version": VERSION, **summary}), indent=1, default=float) + "\n"
        self.path.mkdir(parents=True, exist_ok=True)
        scratch = self.summary.with_suffix(".tmp")
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, self.summary)


def plain(value: Any) -> Any:
    """`value` with null for every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
