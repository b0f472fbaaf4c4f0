"""A small VAE, a short fit of it, and a watch on what each update did."""

from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from experiments.shared.schedules import warmup_cosine
from radiodiff.data import RadioMaps
from radiodiff.module import RadioDiffVAE

WEIGHTS = {"l1": 1.0, "l2": 1.0, "perceptual": 0.0, "kl": 1e-3, "adversarial": 0.5}


def module(disc_start: int | None, weights: dict = WEIGHTS, **options) -> RadioDiffVAE:
    torch.manual_seed(0)
    optimizer = partial(torch.optim.AdamW, lr=1e-3)
    sizes = {"network": {"width": 4, "blocks": 1}, "discriminator": {"width": 4}}
    schedule = partial(warmup_cosine, warmup=2, total=8)
    return RadioDiffVAE(
        weights,
        disc_start=disc_start,
        optimizer=optimizer,
        disc_optimizer=optimizer,
        **{**sizes, "schedule": schedule, **options},
    )


class Watch(pl.Callback):
    """Notes after each update what it logged, both parts' weights, the discriminator's calls."""

    def __init__(self):
        self.logged, self.weights, self.steps, self.judged = [], [], [], []

    def on_train_start(self, trainer, pl_module):
        self.weights.append(snapshot(pl_module))
        self.calls = 0
        pl_module.discriminator.register_forward_hook(self._count)

    def _count(self, *_):
        self.calls += 1

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.manual_seed(trainer.global_step)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        metrics = trainer.logged_metrics
        self.logged.append({k: float(v) for k, v in metrics.items() if k.split("/")[0] != "val"})
        self.weights.append(snapshot(pl_module))
        self.steps.append(trainer.global_step)
        self.judged.append(self.calls)


def snapshot(found: RadioDiffVAE) -> dict[str, torch.Tensor]:
    return {
        name: torch.cat([p.detach().flatten().clone() for p in getattr(found, name).parameters()])
        for name in ("autoencoder", "discriminator")
    }


def fit(root, folder, found, *, updates: int, resume: Path | None = None) -> Watch:
    watch = Watch()
    saved = ModelCheckpoint(
        folder / "saved", "last", every_n_train_steps=1, enable_version_counter=False
    )
    data = RadioMaps(str(root), str(folder), size=64, batch_size=2, num_workers=0, crop=32)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=updates,
        callbacks=[watch, saved],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        log_every_n_steps=1,
        default_root_dir=folder,
    )
    trainer.fit(found, datamodule=data, ckpt_path=resume, weights_only=True)
    return watch


def moved(watch: Watch, part: str) -> list[bool]:
    return [
        not torch.equal(a[part], b[part])
        for a, b in zip(watch.weights, watch.weights[1:], strict=False)
    ]
