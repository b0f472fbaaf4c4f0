"""A resumed run reads its epoch in that epoch's order, also with loading processes."""

import lightning.pytorch as pl


class Order(pl.Callback):
    """Names the epoch to the training sampler before anything is drawn from it.

    Lightning makes the first iterator before it calls `set_epoch`. Loading processes draw at once,
    and would read the order of epoch 0 again.
    """

    def setup(self, trainer, pl_module, stage: str) -> None:
        data = trainer.datamodule
        if stage != "fit" or data is None:
            return
        make = data.train_dataloader

        def named():
            loader = make()
            sampler = getattr(loader, "sampler", None)
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(trainer.fit_loop.epoch_progress.current.processed)
            return loader

        data.train_dataloader = named

    def teardown(self, trainer, pl_module, stage: str) -> None:
        if trainer.datamodule is not None:
            vars(trainer.datamodule).pop("train_dataloader", None)
