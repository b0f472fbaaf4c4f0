"""TensorBoard's curves, all over one x: the optimizer updates done."""

from collections.abc import Mapping

from lightning.pytorch.loggers import TensorBoardLogger


class Curves(TensorBoardLogger):
    """Lightning's logger with the trainer's own step.

    Lightning counts from 0 there, so that the validation after 80 updates, from which the best
    checkpoint is taken, would stand at 79, and the learning rate of the same update at 80.
    """

    trainer = None  # set by `Board`

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics(metrics, step if self.trainer is None else self.trainer.global_step)
