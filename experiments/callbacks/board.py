"""Arranges TensorBoard: the custom-scalars page, the hparams table, learning rates, epochs."""

import math
import re

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only

from experiments.callbacks.loggers import Csv, TensorBoard, Updates, log, tensorboard
from experiments.callbacks.steps import Interval


class Board(pl.Callback):
    """Writes the layout and the hyperparameters once; learning rate and epoch at each interval.

    Args:
        terms: names of the loss terms; their curves and shares get charts of their own.
        hparams: plain values, nested dicts allowed, shown in the hparams table.
    """

    def __init__(self, terms: list[str], hparams: dict):
        self.terms, self.hparams, self.interval = list(terms), hparams, Interval()

    def setup(self, trainer, pl_module, stage: str) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, Updates):
                logger.trainer = trainer

    def on_train_start(self, trainer, pl_module) -> None:
        self.interval = Interval(trainer.global_step)
        if trainer.global_step > 0:
            for logger in trainer.loggers:
                if isinstance(logger, Csv):
                    logger.go_on(trainer.global_step)
            return
        for logger in trainer.loggers:
            row = [{"hparams/best_objective": math.nan}] if isinstance(logger, TensorBoard) else []
            logger.log_hyperparams(flatten(self.hparams), *row)
        self._arrange(trainer)

    @rank_zero_only
    def _arrange(self, trainer) -> None:
        board = tensorboard(trainer)
        if board:
            board.add_custom_scalars(layout(self.terms))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if self.interval.passed(trainer) and self.interval.due(trainer):
            rates = {f"lr/{i}": o.param_groups[0]["lr"] for i, o in enumerate(trainer.optimizers)}
            log(trainer, rates)


def layout(terms: list[str]) -> dict:
    """The custom-scalars page. Its tags are regular expressions, hence escaped and anchored."""

    def exactly(prefix: str, names: list[str]) -> list:
        return ["Multiline", [f"^{re.escape(f'{prefix}/{name}')}$" for name in names]]

    return {
        "Loss": {
            "total": exactly("train", ["total"]),
            "terms, raw": exactly("train", terms),
            "terms, share of the total": exactly("share", terms),
        },
        "Validation": {"all metrics": ["Multiline", ["^val/"]]},
        "Training": {
            "learning rate": ["Multiline", ["^lr/"]],
            "gradient norm": exactly("grad", ["norm_median", "norm_max"]),
            "samples a second": exactly("throughput", ["samples_per_s"]),
        },
    }


def flatten(values: dict, prefix: str = "") -> dict:
    """{"loss": {"kl": 1}} -> {"loss.kl": 1}; what is no plain value is left out."""
    flat: dict[str, int | float | str | bool] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float, str, bool)):
            flat[prefix + name] = value
    return flat
