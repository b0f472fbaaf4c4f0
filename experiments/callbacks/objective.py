"""Follows the experiment's one objective: its best value, where that was, and its last."""

import math

import lightning.pytorch as pl


class Objective(pl.Callback):
    """Keeps `best`, `best_step`, `best_epoch` and `last` of the metric `name` ("min" or "max")."""

    def __init__(self, name: str, mode: str):
        if mode not in ("min", "max"):
            raise ValueError(f"objective.mode={mode}: expected min or max")
        self.name, self.mode = name, mode
        self.best: float | None = None
        self.last: float | None = None
        self.best_step = self.best_epoch = None
        self.metrics: dict[str, float] = {}  # all, as they were last: of a run resumed at its end

    def on_validation_end(self, trainer, pl_module) -> None:
        value = trainer.callback_metrics.get(self.name)
        if trainer.sanity_checking or value is None:
            return
        self.keep(trainer)
        self.last = float(value)
        sign = 1 if self.mode == "max" else -1
        best = math.nan if self.best is None else self.best
        if math.isnan(best) or sign * self.last > sign * best:
            self.best, self.best_step = self.last, trainer.global_step
            self.best_epoch = trainer.current_epoch

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        self.keep(trainer)

    def keep(self, trainer) -> None:
        self.metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}

    def state_dict(self) -> dict:
        names = ("best", "best_step", "best_epoch", "last", "metrics")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict) -> None:
        vars(self).update(state)
