"""The newest checkpoint, from which a run resumes."""

from lightning.pytorch.callbacks import ModelCheckpoint


def awaits_more(trainer, batch_idx: int) -> bool:
    """Whether the end of an epoch or a validation follows this batch: no time for a checkpoint."""
    count = batch_idx if trainer.check_val_every_n_epoch else trainer.fit_loop.total_batch_idx
    return trainer.is_last_batch or not (count + 1) % trainer.val_check_batch


class Last(ModelCheckpoint):
    """Lightning's checkpoint, which waits when due at an epoch's last batch or before a validation.

    A checkpoint between the two makes Lightning take the epoch, or the validation, as over: its end
    (schedules, the order of the next epoch's data) or its score, by which the best model is chosen,
    would be missing from the resumed run. It is written after the epoch, or after the next batch.
    It remembers nothing: there is one file, and the run's folder may have moved.
    """

    waiting = False

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        due = self._every_n_train_steps and not trainer.global_step % self._every_n_train_steps
        if (due or self.waiting) and awaits_more(trainer, batch_idx):
            self.waiting = True
        elif self.waiting:
            self._save_now(trainer)
        else:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self.waiting:
            self._save_now(trainer)

    def state_dict(self) -> dict:
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Nothing was kept."""

    def _save_now(self, trainer) -> None:
        self.waiting = False
        trainer.save_checkpoint(f"{self.dirpath}/{self.filename}.ckpt")
