"""One run: fit, or go on where its folder holds a checkpoint; test; summary and report."""

import os
import sys
import traceback
from datetime import datetime
from pathlib import Path

import lightning.pytorch as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from experiments.callbacks.objective import Objective
from experiments.running import agree, finish, summary
from experiments.running.build import build
from experiments.running.compare import Change
from experiments.running.start import WarmStart, refused, source
from experiments.shared import checkpoints, contract
from experiments.shared.errors import InputError
from experiments.shared.folder import Folder, Summary


def train(config: DictConfig, folder: Path, accepted: list[Change]) -> float | None:
    """Fit, or resume where `folder` holds a checkpoint; test; write summary.json and the report.

    Args:
        config: the whole configuration.
        folder: the run's.
        accepted: differences from the run's own configuration that the user has accepted.
    """
    began, place = datetime.now().astimezone(), Folder(folder)
    resume = place.last if place.last.is_file() else None
    earlier = place.read()
    warm = None if resume else source(config)
    module, datamodule = build(config)
    contract.check(module, datamodule)
    trainer = make_trainer(config, [WarmStart(warm)] if warm else [])
    agree.check(trainer, module)
    agree.keep_profile(trainer, folder)
    if trainer.is_global_zero:
        announce(summary.parameters(module), config.name, folder, resume)
    if resume:
        checkpoints.check_class(checkpoints.read(resume), type(module), resume)
    if trainer.is_global_zero and earlier:
        place.write({**earlier, "status": "unfinished"})

    error, metrics = None, {}
    try:
        fit(trainer, module, datamodule, resume)
        # A run resumed at its end validates nothing again.
        metrics = summary.scalars(trainer.callback_metrics) or known(trainer, earlier)
        if config.test:
            metrics |= finish.test(trainer, module, datamodule, config)
    except BaseException as caught:
        error = caught
        metrics = metrics or summary.scalars(trainer.callback_metrics)
    if not trainer.is_global_zero:
        leave(error, place)
    said = summary.summarise(
        trainer, module, datamodule, config,
        metrics=metrics, began=began, earlier=earlier, error=error,
    )  # fmt: skip
    said["init_from"] = warm.described() if warm else earlier.get("init_from")
    changes = [vars(change) for change in accepted]
    said["accepted_changes"] = [*earlier.get("accepted_changes", []), *changes]
    place.write(said)
    finish.report(folder)
    if error is not None:
        raise error
    return said["objective"]["best"]


def known(trainer: pl.Trainer, earlier: Summary) -> dict[str, float]:
    """The metrics as a checkpoint at the run's end kept them, and of the summary those beside."""
    seen = summary.callback(trainer, Objective)
    return {**(earlier.get("metrics") or {}), **(seen.metrics if seen else {})}


def make_trainer(config: DictConfig, more: list[pl.Callback]) -> pl.Trainer:
    """The trainer with the configured callbacks and loggers, and `more` callbacks before them."""
    for name, node in (config.callbacks or {}).items():
        if node is not None and not OmegaConf.is_config(node):
            raise InputError(f"callbacks.{name}={node}: expected an object (with _target_)")
    callbacks = [instantiate(c, _convert_="all") for c in config.callbacks.values()]
    objects = {
        "callbacks": [*more, *callbacks],
        "logger": make_loggers(config),  # none: Lightning would take null for its own choice
        "enable_progress_bar": sys.stderr.isatty(),  # the progress callback decides by this, too
    }
    try:
        return instantiate(config.trainer, **objects, _convert_="all")
    except InstantiationException as error:  # Lightning's own words for what cannot be here
        if isinstance(error.__cause__, (MisconfigurationException, ValueError)):
            raise InputError(f"trainer: {error.__cause__}") from error
        raise


def make_loggers(config: DictConfig) -> list[Logger]:
    """The configured loggers; `logger` may be missing or null.

    Raises:
        InputError: one needs a package that is not installed.
    """
    loggers = []
    for name, node in (config.get("logger") or {}).items():
        try:
            loggers.append(instantiate(node, _convert_="all"))
        except InstantiationException as error:
            if not isinstance(error.__cause__, ModuleNotFoundError):
                raise
            raise InputError(
                f"logger.{name}: its package is not installed: pip install {name}, or leave it out"
            ) from error
    return loggers


def fit(trainer: pl.Trainer, module, datamodule, resume: Path | None) -> None:
    """Fit; a checkpoint that does not fit the model is the user's to mend, and says so.

    Raises:
        InputError: the checkpoint is of another size, or of other optimizers.
    """
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True)
    except (RuntimeError, ValueError) as error:
        if resume is None or not refused(error):
            raise
        raise InputError(
            f"{resume} does not fit the model as it is configured now: give model.* the run's own "
            f"values, or start a new run ({str(error).strip().splitlines()[-1].strip()})"
        ) from error


def leave(error: BaseException | None, place: Folder) -> None:
    """End a process that is not the first, keeping why.

    Lightning kills rank 0 if another rank ends with an error, before it could write its summary.
    """
    failed = summary.status_of(error) == "failed"
    if failed:
        traceback.print_exception(error)
        sys.stderr.flush()
        text = "".join(traceback.format_exception(error))
        place.traceback.write_text(text, encoding="utf-8")
    os._exit(1 if failed else 0)


def announce(counts: dict, name: str, folder: Path, resume: Path | None) -> None:
    total, parts = counts["total"], list(counts.items())[2:]
    print(f"{name}: {total:,} parameters ({', '.join(f'{part} {n:,}' for part, n in parts)})")
    print(
        f"{'resuming from ' + str(resume) if resume else 'run folder: ' + str(folder)}", flush=True
    )
