"""Arranges TensorBoard: the custom-scalars page, learning rates."""

import re

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only

from experiments.callbacks.loggers import Updates, log, tensorboard
from experiments.callbacks.steps import Interval


class Board(pl.Callback):
    """Writes the layout once; learning rates at each interval.

    Args:
        terms: names of the loss terms; their curves and shares get charts of their own.
    """

    def __init__(self, terms: list[str]):
        self.terms, self.interval = list(terms), Interval()

    def setup(self, trainer, pl_module, stage: str) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, Updates):
                logger.trainer = trainer

    def on_train_start(self, trainer, pl_module) -> None:
        self.interval = Interval(trainer.global_step)
        if trainer.global_step == 0:
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
