"""Measures where a run's time goes: data, training, validation, test."""

import time

import lightning.pytorch as pl


class Phases(pl.Callback):
    """Seconds of each phase of this session.

    What is neither training nor validation nor test stands before them: the data are made or read,
    the model is built, what is constant is cached.
    """

    def __init__(self):
        self.begun = self.mark = time.monotonic()
        self.seconds: dict[str, float] = {}

    def _add(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self.mark
        self.mark = now

    def on_train_start(self, trainer, pl_module) -> None:
        self._add("preparation")

    def on_validation_start(self, trainer, pl_module) -> None:
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._add("training")

    def on_validation_end(self, trainer, pl_module) -> None:
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._add("validation")

    def on_train_end(self, trainer, pl_module) -> None:
        self._add("training")

    def on_test_end(self, trainer, pl_module) -> None:
        self._add("test")
