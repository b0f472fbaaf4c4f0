"""One run: fit, or go on where its folder holds a checkpoint; test; summary and report."""

import os
import sys
import time
import traceback
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments.running import finish
from experiments.running.build import build
from experiments.running.launch import read_summary
from experiments.shared import checkpoints, contract


def train(config: DictConfig, folder: Path) -> float | None:
    """Fit, or resume where `folder` holds a checkpoint; test; write summary.json and the report."""
    start = time.monotonic()
    module, datamodule = build(config)
    contract.check(module, datamodule)
    callbacks = [instantiate(c, _convert_="all") for c in config.callbacks.values()]
    logger = instantiate(config.logger, _convert_="all")
    trainer = instantiate(
        config.trainer,
        callbacks=callbacks,
        logger=logger,
        enable_progress_bar=sys.stderr.isatty(),  # the progress callback decides by the same test
        _convert_="all",
    )

    last = folder / "checkpoints" / "last.ckpt"
    resume = last if last.is_file() else None
    earlier = read_summary(folder)
    if trainer.is_global_zero:
        announce(finish.parameters(module), config.name, folder, resume)
    if resume:
        checkpoints.check_class(checkpoints.read(last), type(module), last)
    if trainer.is_global_zero and earlier:
        finish.write(folder / "summary.json", {**earlier, "status": "unfinished"})

    error, metrics = None, {}
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True)
        # A run resumed at its end validates nothing again.
        metrics = finish.scalars(trainer.callback_metrics) or earlier.get("metrics") or {}
        if config.test:
            metrics |= finish.test(trainer, module, datamodule, config)
    except BaseException as caught:
        error = caught
        metrics = metrics or finish.scalars(trainer.callback_metrics)
    if not trainer.is_global_zero:
        # Lightning kills rank 0 if another rank ends with an error, before it could write all this.
        failed = finish.status_of(error) == "failed"
        if failed:
            traceback.print_exception(error)
            sys.stderr.flush()
        os._exit(1 if failed else 0)
    seconds = time.monotonic() - start
    objective = finish.summarise(
        trainer, module, datamodule, config, folder, metrics=metrics, seconds=seconds, error=error
    )
    if error is not None:
        raise error
    return objective


def announce(counts: dict, name: str, folder: Path, resume: Path | None) -> None:
    total, parts = counts["total"], list(counts.items())[2:]
    print(f"{name}: {total:,} parameters ({', '.join(f'{part} {n:,}' for part, n in parts)})")
    print(
        f"{'resuming from ' + str(resume) if resume else 'run folder: ' + str(folder)}", flush=True
    )
