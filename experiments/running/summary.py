"""What is to be said of a run that has ended: its summary, gathered from all who know a part."""

import platform
import shlex
import subprocess
import sys
import traceback
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import lightning.pytorch as pl
from omegaconf import DictConfig

from experiments.callbacks.figures import Figures
from experiments.callbacks.guard import Diverged
from experiments.callbacks.interrupt import Interrupted
from experiments.callbacks.objective import Objective
from experiments.callbacks.phases import Phases
from experiments.callbacks.speed import Speed
from experiments.running import words
from experiments.shared.folder import Folder, ObjectiveSummary, Summary
from experiments.shared.machine import device_name

PACKAGES = ("torch", "torchaudio", "lightning", "hydra-core", "torchmetrics", "numpy")
C = TypeVar("C", bound=pl.Callback)


def summarise(
    trainer: pl.Trainer,
    module: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    config: DictConfig,
    *,
    metrics: dict[str, float],
    began: datetime,
    earlier: Summary,
    error: BaseException | None,
) -> Summary:
    """The summary of the run; what cannot be had of it is said in `problems`."""
    now, status = datetime.now().astimezone(), status_of(error)
    speed, figures = callback(trainer, Speed), callback(trainer, Figures)
    problems = list(figures.problems) if figures else []
    samples = getattr(datamodule, "batch_size", 1) * trainer.world_size
    return {
        "name": config.name,
        "status": status,
        "error": str(error) if error is not None else None,
        "traceback": Folder(Path()).traceback.name if status == "failed" else None,
        "objective": objective(trainer, config),
        "metrics": metrics,
        "baselines": getattr(module, "baselines", {}),
        "loss_weights": {str(term): weight for term, weight in config.loss.items()},
        "parameters": parameters(module),
        "data": describe(datamodule, problems, whole=error is None),
        "problems": problems,
        "throughput": speed.measured(samples) if speed else {},
        "started": earlier.get("started") or began.isoformat(timespec="seconds"),
        "ended": now.isoformat(timespec="seconds"),
        # A run that failed before it was built wrote none.
        "duration_s": (now - began).total_seconds() + (earlier.get("duration_s") or 0.0),
        "phases": phases.seconds if (phases := callback(trainer, Phases)) else {},
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "seed": config.seed,
        "precision": str(config.trainer.precision),
        **provenance(trainer),
    }


def status_of(error: BaseException | None) -> str:
    if error is None:
        return "completed"
    if isinstance(error, (Interrupted, KeyboardInterrupt)):
        return "interrupted"
    return "diverged" if isinstance(error, Diverged) else "failed"


def objective(trainer: pl.Trainer, config: DictConfig) -> ObjectiveSummary:
    """Name and mode as configured, and what was seen of it."""
    stated: ObjectiveSummary = {"name": config.objective.name, "mode": config.objective.mode}
    seen = callback(trainer, Objective)
    found = seen.state_dict() if seen else {}
    for key in ("best", "best_step", "best_epoch", "last"):
        stated[key] = found.get(key)
    return stated


def callback(trainer: Any, kind: type[C]) -> C | None:
    return next((c for c in trainer.callbacks if isinstance(c, kind)), None)


def parameters(module: pl.LightningModule) -> dict[str, int]:
    """Numbers of parameters: total, trainable, and by named part of the module."""
    counts = {name: sum(p.numel() for p in c.parameters()) for name, c in module.named_children()}
    every = list(module.parameters())
    return {
        "total": sum(p.numel() for p in every),
        "trainable": sum(p.numel() for p in every if p.requires_grad),
        **{name: count for name, count in counts.items() if count},
    }


def describe(datamodule: Any, problems: list[str], whole: bool = True) -> dict:
    """What was trained on; a run that failed may have failed over just that."""
    try:
        return datamodule.describe()
    except Exception as error:
        if not whole:  # the run says why itself
            return {}
        traceback.print_exc()
        problems.append(f"the data could not be described ({type(error).__name__}: {error})")
        return {}


def provenance(trainer: pl.Trainer) -> dict:
    """Where and with what it ran: machine, packages, command line, commit."""
    device = trainer.strategy.root_device
    return {
        "host": platform.node(),
        "device": device_name(device),
        "devices": f"{trainer.world_size} x {device.type}",
        "versions": {name: version(name) for name in PACKAGES} | {"python": sys.version.split()[0]},
        "command": shlex.join(["python", "-m", main_module(), *(words.typed or sys.argv[1:])]),
        "git": commit(),
    }


def main_module() -> str:
    """The module that was started with `python -m`; experiments.run in a notebook or a test."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    name = getattr(spec, "name", "")
    return name if name.startswith("experiments.") else "experiments.run"


def commit() -> str | None:
    """The source's commit, with "+" if the tree has changes; None outside a checkout."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", here, *words], capture_output=True, text=True)
        return done.stdout.strip()

    try:
        head = git("rev-parse", "HEAD")
    except FileNotFoundError:
        return None
    return head + ("+" if git("status", "--porcelain") else "") if head else None


def scalars(metrics: dict) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}
