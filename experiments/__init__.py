"""Trains, watches, reports and measures: the entry points of the suite."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.pytorch import LightningDataModule, LightningModule

__all__ = ["load"]


def load(run: "str | Path", **data) -> "tuple[LightningModule, LightningDataModule]":
    """The trained module of a run, in eval mode, and its datamodule; for notebooks and scripts.

    The weights are those of the best checkpoint (else the last), read weights-only and strictly.
    The datamodule reads nothing before its `prepare_data()` and `setup()`.

    Args:
        run: a run's folder.
        **data: values of the datamodule to set otherwise than in the run, `root="DIR"` say.

    Raises:
        InputError: the folder holds no run, no checkpoint, or one that does not fit.
    """
    from experiments.running.restore import restore  # torch and lightning: seconds

    return restore(run, {f"data.{key}": value for key, value in data.items()})
