"""The newest checkpoint, from which a run resumes."""

from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint


class Last(ModelCheckpoint):
    """Lightning's checkpoint, which waits for the end of an epoch when due at its last batch.

    A checkpoint between the two makes Lightning take the epoch as over, and its end (validation,
    schedules, the order of the next epoch's data) would be missing from the resumed run.
    """

    waiting = False

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        due = self._every_n_train_steps and not trainer.global_step % self._every_n_train_steps
        if due and trainer.is_last_batch:
            self.waiting = True
        else:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self.waiting:
            self.waiting = False
            trainer.save_checkpoint(Path(self.dirpath) / f"{self.filename}.ckpt")
