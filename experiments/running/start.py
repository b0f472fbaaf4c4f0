"""Warm start: a run that begins with the weights of another, at step 0."""

from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
from omegaconf import DictConfig

from experiments.shared import checkpoints
from experiments.shared.errors import InputError


@dataclass(frozen=True)
class Source:
    """A checkpoint and the parts of the module to take from it; None: all of it."""

    path: Path
    step: int
    weights: dict
    owner: str | None  # the class that wrote it
    parts: list[str] | None

    def described(self) -> dict:
        """For summary.json."""
        return {"checkpoint": str(self.path), "step": self.step, "parts": self.parts}


def source(config: DictConfig) -> Source | None:
    """What `init_from` names; None where it names nothing.

    Raises:
        InputError: there is no checkpoint, or `init_parts` stands alone.
    """
    if config.init_from is None:
        if config.init_parts is not None:
            raise InputError(f"init_parts={config.init_parts}: expected init_from=RUN beside it")
        return None
    path = checkpoints.resolve(Path(str(config.init_from)).expanduser())
    checkpoint = checkpoints.read(path)
    parts = None if config.init_parts is None else [str(part) for part in config.init_parts]
    return Source(
        path.absolute(),
        checkpoint.get("global_step", 0),
        checkpoint["state_dict"],
        checkpoint.get("class"),
        parts,
    )


def take(module: pl.LightningModule, origin: Source) -> None:
    """Put the weights of `origin` into `module`: all of them strictly, or its named parts.

    Raises:
        InputError: a part is not there, or has other parameters.
    """
    owner = checkpoints.class_name(module)
    if origin.parts is None and origin.owner != owner:
        raise InputError(
            f"init_from={origin.path} is a checkpoint of {origin.owner}, expected {owner}; name "
            "the parts that both have with init_parts=[NAME]"
        )
    for part in origin.parts if origin.parts is not None else [""]:
        prefix = f"{part}." if part else ""
        weights = {k.removeprefix(prefix): v for k, v in origin.weights.items() if
                   k.startswith(prefix)}  # fmt: skip
        if part and not weights:
            there = sorted({key.split(".")[0] for key in origin.weights})
            raise InputError(f"init_parts: {origin.path} has no {part}; it has: {there}")
        try:
            module.get_submodule(part).load_state_dict(weights, strict=True)
        except AttributeError as error:
            names = [name for name, _ in module.named_children()]
            raise InputError(f"init_parts: the model has no {part}; it has: {names}") from error
        except RuntimeError as error:
            raise InputError(f"init_from={origin.path} does not fit: {error}") from error


def refused(error: Exception) -> bool:
    """Whether torch says that a checkpoint's weights or optimizers are of another model."""
    signs = ("Error(s) in loading state_dict", "loaded state dict")
    return any(sign in str(error) for sign in signs)


class WarmStart(pl.Callback):
    """Puts the weights in after the module has set itself up from the data, before it trains."""

    def __init__(self, origin: Source):
        self.origin = origin

    def on_fit_start(self, trainer, pl_module) -> None:
        take(pl_module, self.origin)
        if trainer.is_global_zero:
            what = ", ".join(self.origin.parts) if self.origin.parts else "all weights"
            print(f"begins with {what} of {self.origin.path}", flush=True)
