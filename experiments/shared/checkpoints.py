"""Finds and reads checkpoints: weights only, strictly, and only of the class that is asked for."""

from pathlib import Path
from typing import Any, TypeVar

import torch

from experiments.shared.errors import InputError
from experiments.shared.folder import Folder

M = TypeVar("M", bound=torch.nn.Module)


def class_name(module: torch.nn.Module | type) -> str:
    """The name under which a checkpoint says whose it is."""
    cls = module if isinstance(module, type) else type(module)
    return f"{cls.__module__}.{cls.__qualname__}"


def resolve(run_or_file: str | Path) -> Path:
    """A checkpoint file, or a run folder's best (else last) checkpoint.

    Raises:
        InputError: nothing is there.
    """
    path = Path(run_or_file)
    for candidate in (path, Folder(path).best, Folder(path).last):
        if candidate.is_file():
            return candidate
    raise InputError(f"no checkpoint at {path}: expected a .ckpt file, or a run folder with one")


def read(path: Path) -> dict:
    """The checkpoint as a dictionary on the CPU.

    Raises:
        InputError: the file is truncated, or is no checkpoint.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a broken archive
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as a checkpoint ({reason})") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise InputError(f"{path} is no training checkpoint: it has no state_dict")
    return checkpoint


def check_class(checkpoint: dict, cls: type, path: Path) -> None:
    """Stop unless the checkpoint was written by a module of class `cls`."""
    owner = checkpoint.get("class")
    if owner != class_name(cls):
        raise InputError(f"{path} is a checkpoint of {owner}, expected {class_name(cls)}")


def load(cls: type[M], run_or_file: str | Path, **changes) -> M:
    """The module of class `cls` with the weights of a run or checkpoint file, in eval mode.

    `changes` are hyper-parameters to set otherwise than they were in training.

    Raises:
        InputError: no such file, a truncated one, another experiment's, or other weights.
    """
    path = resolve(run_or_file)
    checkpoint = read(path)
    check_class(checkpoint, cls, path)
    module: Any = cls(**checkpoint["hyper_parameters"] | changes)
    try:
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(checkpoint["state_dict"], strict=True)
    except (RuntimeError, KeyError) as error:
        raise InputError(f"{path} does not fit its model: {error}") from error
    return module.eval()
