"""One batch again and again, for +debug=overfit."""

import lightning.pytorch as pl


class Overfit(pl.Callback):
    """Keeps the training sampler at its first epoch, so that every epoch draws the same samples.

    Lightning's `overfit_batches` would put a sampler of its own in its place, which does not name
    draws (see `shared.sampling`).
    """

    def on_train_start(self, trainer, pl_module) -> None:
        trainer.train_dataloader.sampler.set_epoch = lambda epoch: None
