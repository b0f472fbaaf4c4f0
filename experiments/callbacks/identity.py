"""Writes into each checkpoint whose it is, so that no other model takes it for its own."""

import lightning.pytorch as pl

from experiments.shared.checkpoints import class_name


class Identity(pl.Callback):
    def on_save_checkpoint(self, trainer, pl_module, checkpoint) -> None:
        checkpoint["class"] = class_name(pl_module)
