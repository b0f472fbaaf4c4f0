"""Whether trainer and module go together: what would fail in the first step, or be left undone."""

import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.profilers import AdvancedProfiler, SimpleProfiler
from lightning.pytorch.strategies import DDPStrategy

from experiments.shared.errors import InputError


def check(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Stop before the fit where the trainer was asked for what the module cannot do.

    Raises:
        InputError: names the setting, and what to set instead.
    """
    check_devices(trainer)
    check_batches(trainer)
    precisions = getattr(module, "precisions", None)
    if precisions is not None and trainer.precision not in precisions:
        raise InputError(
            f"trainer.precision={trainer.precision}: {type(module).__name__} trains in "
            f"{' or '.join(precisions)}"
        )
    if module.automatic_optimization:
        return
    if trainer.gradient_clip_val is not None:
        own = " Set model.clip instead." if "clip" in module.hparams else ""
        raise InputError(
            f"trainer.gradient_clip_val={trainer.gradient_clip_val}: "
            f"{type(module).__name__} steps its optimizers itself, and clips itself.{own}"
        )
    if trainer.accumulate_grad_batches != 1:
        raise InputError(
            f"trainer.accumulate_grad_batches={trainer.accumulate_grad_batches}: "
            f"{type(module).__name__} steps its optimizers itself, once a batch. Set "
            "data.batch_size instead"
        )
    if isinstance(trainer.strategy, DDPStrategy) and not unused_found(trainer.strategy):
        where = "cpu_ddp2" if trainer.strategy.root_device.type == "cpu" else "ddp4_gan"
        raise InputError(
            f"{type(module).__name__} trains its parts in turn, which leaves parameters of the "
            f"others unused: expected strategy={where} (find_unused_parameters), with "
            "trainer.devices and trainer.num_nodes as you like"
        )


def check_batches(trainer: Any) -> None:
    """Lightning's own overfitting changes the sampler; stopping by a metric needs the metric."""
    if trainer.overfit_batches:
        raise InputError(
            f"trainer.overfit_batches={trainer.overfit_batches}: say +debug=overfit, which trains "
            "on one batch again and again"
        )
    stopping = [c for c in trainer.callbacks if isinstance(c, EarlyStopping)]
    if stopping and trainer.limit_val_batches == 0:
        raise InputError(
            f"trainer.limit_val_batches=0: without validation there is no {stopping[0].monitor}, "
            "at which EarlyStopping looks: leave that out (~callbacks.stopping)"
        )


def keep_profile(trainer: Any, folder: Path) -> None:
    """Write a profiler's table into the run folder: Lightning would log it where none is shown."""
    profiler = trainer.profiler
    if isinstance(profiler, (SimpleProfiler, AdvancedProfiler)) and profiler.dirpath is None:
        profiler.dirpath, profiler.filename = folder, "profile"
        print(f"profile: {folder / 'fit-profile.txt'}", flush=True)


def check_devices(trainer: pl.Trainer) -> None:
    """The cluster's variables decide how many processes there are, whatever was asked for."""
    asked = trainer.num_devices * trainer.num_nodes
    if trainer.world_size != asked:
        tasks = os.environ.get("SLURM_NTASKS")
        why = f"SLURM_NTASKS={tasks} starts" if tasks else "the environment starts"
        raise InputError(
            f"trainer.devices={trainer.num_devices} on trainer.num_nodes={trainer.num_nodes} asks "
            f"for {asked} processes, and {why} {trainer.world_size}: start as many tasks "
            f"(srun --ntasks={asked}), or unset SLURM_NTASKS outside of srun"
        )


def unused_found(strategy: Any) -> bool:
    return bool(strategy._ddp_kwargs.get("find_unused_parameters"))
