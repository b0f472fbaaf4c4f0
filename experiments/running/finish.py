"""How a run ends: the test of its best checkpoint, and the report."""

import sys
import traceback
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from experiments.callbacks.best import Best
from experiments.callbacks.figures import Figures
from experiments.callbacks.phases import Phases
from experiments.callbacks.study import Study
from experiments.callbacks.text import Text
from experiments.running.summary import callback, scalars
from experiments.shared import checkpoints
from experiments.shared.errors import InputError, first_line

TESTED = (Figures, Phases, ProgressBar, Study, Text)  # what has something to do in a test


def test(trainer: Any, module, datamodule, config: DictConfig) -> dict[str, float]:
    """Test the best checkpoint (else the last weights) on one device; empty on the other ranks.

    DDP pads the last batch with samples it has had already, so the final numbers come from one
    device.
    """
    kept = callback(trainer, Best)
    if trainer.world_size > 1:
        torch.distributed.destroy_process_group()
        if not trainer.is_global_zero:
            return {}
        shown = [c for c in trainer.callbacks if isinstance(c, TESTED)]
        accelerator = config.trainer.accelerator
        trainer = one_device(config, accelerator, logger=trainer.loggers, callbacks=shown)
    if kept is not None and kept.best_model_path:
        # by hand: trainer.test(ckpt_path=...) would put the callbacks back to that step, too
        module.load_state_dict(checkpoints.read(kept.target)["state_dict"])
    trainer.test(module, datamodule=datamodule, verbose=False)
    return scalars(trainer.callback_metrics)


def one_device(config: DictConfig, accelerator: str, **options) -> pl.Trainer:
    """A trainer for tests alone, with the run's precision and limits."""
    try:
        return _one_device(config, accelerator, **options)
    except (ValueError, MisconfigurationException) as error:  # Lightning's own words
        raise InputError(f"trainer: {first_line(error)}: mend trainer.*") from error


def _one_device(config: DictConfig, accelerator: str, **options) -> pl.Trainer:
    return pl.Trainer(
        accelerator=accelerator,
        devices=1,
        plugins=[LightningEnvironment()],
        precision=config.trainer.precision,
        inference_mode=config.trainer.inference_mode,
        limit_val_batches=config.trainer.limit_val_batches,
        limit_test_batches=config.trainer.limit_test_batches,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        **options,
    )


def report(folder: Path) -> None:
    """The report; a fault in it must not make a finished run look failed."""
    try:
        from experiments.report import write_report

        print(f"report: {write_report(folder)}", flush=True)
    except Exception:
        traceback.print_exc()
        print(f"the report failed; the run is whole. Try: python -m experiments.report {folder}")
