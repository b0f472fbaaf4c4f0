"""Where a run's numbers go: Lightning's loggers, all over one x, the optimizer updates done.

A callback that has something to show asks each logger for what it needs (`tensorboard`,
`log_image`) and goes without where there is none.
"""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import (
    CSVLogger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter

from experiments.shared.errors import InputError
from experiments.shared.folder import EPOCH_TAG


class Updates:
    """Gives a logger the trainer's own step.

    Lightning counts from 0 there, so that the validation after 80 updates, from which the best
    checkpoint is taken, would stand at 79, and the learning rate of the same update at 80.
    """

    trainer: Any = None  # set by `Board`

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        step = step if self.trainer is None else self.trainer.global_step
        super().log_metrics(metrics, step)  # type: ignore[misc]


class TensorBoard(Updates, TensorBoardLogger):
    """Event files, of curves alone: the test's numbers stand in a table (`text`, `study`).

    The epoch, which the report counts by, would come before all groups of curves.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        shown = {tag: value for tag, value in metrics.items() if not tag.startswith("test/")}
        epoch = shown.pop("epoch", None)
        if shown:
            more = {} if epoch is None else {EPOCH_TAG: epoch}
            super().log_metrics({**shown, **more}, step)


class Csv(Updates, CSVLogger):  # type: ignore[misc]
    """metrics.csv, a row for whatever was logged together; a resumed run goes on in it."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            os.makedirs(self.root_dir, exist_ok=True)
            self._experiment = Rows(self.log_dir)
        return self._experiment

    @rank_zero_only
    def go_on(self, step: int) -> None:
        """Drop the rows behind `step`: what was written beyond the checkpoint has been undone."""
        path = Path(self.experiment.metrics_file_path)
        if not path.is_file():
            return
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        scratch = path.with_suffix(".tmp")
        with scratch.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.experiment.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(scratch, path)


class Rows(ExperimentWriter):
    """Lightning's writer, which would delete what there is when a run is resumed."""

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="") as file:
                self.metrics_keys = list(csv.DictReader(file).fieldnames or [])


class Wandb(Updates, WandbLogger):
    """Weights & Biases; a resumed run goes on in its own record, which its folder names.

    Args:
        save_dir: the run's folder, in which W&B makes a folder `wandb`.
        name: the record's; None: the run folder's.
        options: of `WandbLogger` and `wandb.init`.

    Raises:
        InputError: W&B is not logged in, or not reached.
    """

    def __init__(self, save_dir: str, name: str | None = None, **options):
        begun = sorted(Path(save_dir).glob("wandb/*run-*-*"))
        own = begun[0].name.rsplit("-", 1)[1] if begun else None
        super().__init__(save_dir=save_dir, name=name or Path(save_dir).name, id=own, **options)

    @property
    @rank_zero_experiment
    def experiment(self):
        import wandb

        try:
            return super().experiment
        except wandb.Error as error:
            raise InputError(
                f"logger.wandb: {error}. Log in with `wandb login`, or keep the record in the "
                "run's folder with logger.wandb.offline=true (`wandb sync` sends it later)"
            ) from error


class Mlflow(Updates, MLFlowLogger):  # type: ignore[misc]
    """MLflow: curves and configuration; a resumed run goes on in its own record.

    Its store is a database: the one of plain files is no longer begun anew (MLflow 3).

    Args:
        folder: the run's, which names the record and keeps its id.
        options: of `MLFlowLogger`.
    """

    def __init__(self, folder: str, **options):
        self.kept = Path(folder) / "mlflow_run"
        own = self.kept.read_text().strip() if self.kept.is_file() else None
        self.resumed = own is not None
        super().__init__(run_name=Path(folder).name, run_id=own, **options)

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        if not self.resumed:  # MLflow refuses other values for what it has already
            super().log_hyperparams(params)
            self.kept.write_text(str(self.run_id))


def tensorboard(trainer: pl.Trainer) -> SummaryWriter | None:
    """What writes TensorBoard's pages, if the run has them."""
    found = [lg.experiment for lg in trainer.loggers if isinstance(lg, TensorBoardLogger)]
    return found[0] if found else None


def log(trainer: pl.Trainer, metrics: Mapping[str, float]) -> None:
    """Give `metrics` to all loggers, at the present step."""
    for logger in trainer.loggers:
        logger.log_metrics(dict(metrics), trainer.global_step)
