"""Tells who started the run how far it is: a sweep's table, a search that may end it early."""

import json
import os
import time
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only

from experiments.callbacks.objective import Objective
from experiments.callbacks.progress import share_done
from experiments.shared.folder import Folder, Pulse, plain

INTERVAL_S = 1.0  # between two writings, but for those after a validation


class PulseFile(pl.Callback):
    """Writes `Folder.pulse` now and then, and with each validation.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: str):
        self.path = Folder(Path(folder)).pulse
        self.history: list[list[float | None]] = []
        self.begun = self.written = 0.0
        self.start = 0.0

    def on_train_start(self, trainer, pl_module) -> None:
        self.begun, self.start = time.monotonic(), share_done(trainer)
        self._write(trainer)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if time.monotonic() - self.written >= INTERVAL_S:
            self._write(trainer)

    def on_validation_end(self, trainer, pl_module) -> None:
        seen = next((c for c in trainer.callbacks if isinstance(c, Objective)), None)
        if trainer.sanity_checking or trainer.state.fn != "fit" or seen is None:
            return
        if seen.last is not None:
            self.history.append([trainer.global_step, seen.last])
        self._write(trainer)

    @rank_zero_only
    def _write(self, trainer) -> None:
        self.written = time.monotonic()
        done, spent = share_done(trainer), self.written - self.begun
        pulse: Pulse = {
            "epoch": trainer.current_epoch + 1,
            "epochs": trainer.max_epochs if (trainer.max_epochs or 0) > 0 else None,
            "step": trainer.global_step,
            "left_s": spent * (1 - done) / (done - self.start) if done > self.start else None,
            "history": self.history,
        }
        scratch = self.path.with_name(f"{self.path.name}.tmp")
        scratch.write_text(json.dumps(plain(pulse)), encoding="utf-8")
        os.replace(scratch, self.path)

    def state_dict(self) -> dict:
        return {"history": self.history}

    def load_state_dict(self, state: dict) -> None:
        self.history = [list(point) for point in state["history"]]
