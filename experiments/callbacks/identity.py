"""Writes into each checkpoint whose it is, so that no other model takes it for its own."""

import lightning.pytorch as pl

from experiments.shared.checkpoints import class_name, files_of


class Identity(pl.Callback):
    known: dict[str, str] | None = None

    def on_save_checkpoint(self, trainer, pl_module, checkpoint) -> None:
        checkpoint["class"] = class_name(pl_module)
        checkpoint["files"] = self.files(pl_module)

    def files(self, pl_module) -> dict[str, str]:
        """Hashes of the files that the module was built from; read once."""
        if self.known is None:
            self.known = files_of(dict(pl_module.hparams))
        return self.known
