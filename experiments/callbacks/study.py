"""The run's row on TensorBoard's HParams page: what was asked, and what came of it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import yaml
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from experiments.callbacks.loggers import Csv, TensorBoard, tensorboard
from experiments.callbacks.objective import Objective
from experiments.shared.folder import Folder

QUIET = (
    "hydra",
    "paths",
    "logger",
    "resume",
    "accept_changes",
    "sweep",
)  # change nothing that is trained


class Study(pl.Callback):
    """Columns: every override, the objective at its best, the main test metrics.

    Two ways of TensorBoard make it a folder of its own, `tb/hparams`, without a summary of the
    whole "experiment": of such summaries it reads one for all runs, so that the columns of another
    experiment in the same folder would vanish; and without one, each scalar beside the row becomes
    a column. Other loggers get the whole configuration.

    Args:
        folder: the run's.
        values: what has a column in any case; nested dicts allowed.
        overrides: the words of the command line.
        objective, watch, targets: the experiment's, which name the main test metrics.
    """

    def __init__(
        self,
        folder: str,
        values: dict,
        overrides: list[str],
        objective: str,
        watch: dict[str, str],
        targets: dict[str, str | None] | None,
    ):
        self.place, self.values, self.overrides = Folder(Path(folder)), values, list(overrides)
        self.metrics = main_metrics(objective, watch, targets)
        self.writer: SummaryWriter | None = None

    @rank_zero_only
    def on_train_start(self, trainer, pl_module) -> None:
        config = yaml.safe_load(self.place.config.read_text(encoding="utf-8"))
        for logger in trainer.loggers:
            if isinstance(logger, Csv) and trainer.global_step:
                logger.go_on(trainer.global_step)
            if not isinstance(logger, TensorBoard):
                logger.log_hyperparams(config)
        if tensorboard(trainer) is None:
            return
        shutil.rmtree(self.place.study, ignore_errors=True)  # of before the run was resumed
        self.writer = SummaryWriter(str(self.place.study))
        asked = flatten(self.values) | swept(self.overrides, config)
        _, start, self.end = hparams(asked, {})
        self._write(start)
        self._best(trainer)

    def _write(self, summary) -> None:
        assert self.writer is not None
        assert self.writer.file_writer is not None
        self.writer.file_writer.add_summary(summary)
        self.writer.flush()

    def _best(self, trainer) -> None:
        seen = next((c for c in trainer.callbacks if isinstance(c, Objective)), None)
        if self.writer and seen and seen.best is not None:
            self.writer.add_scalar(seen.name, seen.best, seen.best_step)
            self.writer.flush()

    def on_validation_end(self, trainer, pl_module) -> None:
        if not trainer.sanity_checking:
            self._best(trainer)

    def on_fit_end(self, trainer, pl_module) -> None:
        if self.writer:
            self._write(self.end)

    def on_test_end(self, trainer, pl_module) -> None:
        found = trainer.callback_metrics
        for tag in self.metrics:
            if self.writer and tag in found:
                self.writer.add_scalar(tag, float(found[tag]), trainer.global_step)
        if self.writer:
            self.writer.flush()


def main_metrics(objective: str, watch: Mapping[str, str], targets: Mapping | None) -> list[str]:
    """Test metrics that an experiment cares for: its objective's, what it watches, its targets."""
    watched = [tag for tag in (objective, *watch.values()) if tag.startswith("val/")]
    tested = [tag.replace("val/", "test/", 1) for tag in watched]
    return list(dict.fromkeys([*tested, *(targets or {})]))


def swept(overrides: list[str], config: Mapping[str, Any]) -> dict[str, int | float | str | bool]:
    """Each override's key with its value in `config`; a group's with the name that was chosen."""
    found = {}
    for word in overrides:
        key, sign, text = word.lstrip("+").partition("=")
        if not sign or word.startswith("~") or key.split(".")[0] in QUIET:
            continue
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        found |= flatten({key: text if value is None or isinstance(value, Mapping) else value})
    return found


def flatten(values: Mapping, prefix: str = "") -> dict[str, int | float | str | bool]:
    """{"loss": {"kl": 1}} -> {"loss.kl": 1}; what is neither a number nor text is its text."""
    flat: dict[str, int | float | str | bool] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, int | float) else str(value)
    return flat
