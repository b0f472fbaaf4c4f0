"""Reseeds torch before each training batch, so that resumed runs and ranks draw the right noise."""

import lightning.pytorch as pl
import numpy as np
import torch


class StepNoise(pl.Callback):
    """Seeds torch's generators from (seed, epoch, batch, rank).

    A resumed run then draws what the uninterrupted one would have drawn, with no generator state in
    the checkpoint; and ranks, which `seed_everything` makes alike, draw different noise.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        key = (self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
