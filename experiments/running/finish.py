"""How a run ends: the test of its best checkpoint, summary.json, the report."""

import json
import math
import os
import shlex
import subprocess
import sys
import traceback
from importlib.metadata import version
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.plugins.environments import LightningEnvironment
from omegaconf import DictConfig, OmegaConf

from experiments.callbacks.figures import Figures
from experiments.callbacks.guard import Diverged
from experiments.callbacks.interrupt import Interrupted
from experiments.callbacks.objective import Objective
from experiments.callbacks.speed import Speed
from experiments.running.launch import read_summary
from experiments.shared import checkpoints

PACKAGES = ("torch", "torchaudio", "lightning", "hydra-core", "torchmetrics", "numpy")


def parameters(module: pl.LightningModule) -> dict:
    """Numbers of parameters: total, trainable, and by named part of the module."""
    counts = {name: sum(p.numel() for p in c.parameters()) for name, c in module.named_children()}
    every = list(module.parameters())
    return {
        "total": sum(p.numel() for p in every),
        "trainable": sum(p.numel() for p in every if p.requires_grad),
        **{name: count for name, count in counts.items() if count},
    }


def test(trainer: pl.Trainer, module, datamodule, config: DictConfig) -> dict[str, float]:
    """Test the best checkpoint (else the last weights) on one device; empty on the other ranks.

    DDP pads the last batch with samples it has had already, so the final numbers come from one
    device.
    """
    kept = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
    best = next((c.best_model_path for c in kept if c.monitor), "")
    if trainer.world_size > 1:
        torch.distributed.destroy_process_group()
        if not trainer.is_global_zero:
            return {}
        trainer = pl.Trainer(
            accelerator=config.trainer.accelerator,
            devices=1,
            plugins=[LightningEnvironment()],
            precision=config.trainer.precision,
            inference_mode=config.trainer.inference_mode,
            limit_test_batches=config.trainer.limit_test_batches,
            logger=trainer.logger,
            callbacks=[c for c in trainer.callbacks if isinstance(c, (Figures, ProgressBar))],
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            default_root_dir=config.trainer.default_root_dir,
        )
    if best:  # by hand: trainer.test(ckpt_path=...) would put the callbacks back to that step, too
        module.load_state_dict(checkpoints.read(Path(best))["state_dict"])
    trainer.test(module, datamodule=datamodule, verbose=False)
    return scalars(trainer.callback_metrics)


def status_of(error: BaseException | None) -> str:
    if error is None:
        return "completed"
    if isinstance(error, (Interrupted, KeyboardInterrupt)):
        return "interrupted"
    return "diverged" if isinstance(error, Diverged) else "failed"


def summarise(
    trainer: pl.Trainer,
    module: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    config: DictConfig,
    folder: Path,
    *,
    metrics: dict[str, float],
    seconds: float,
    error: BaseException | None,
) -> float | None:
    """Write summary.json and the report; return the best value of the objective."""
    objective = callback(trainer, Objective)
    summary = {
        "name": config.name,
        "status": status_of(error),
        "error": str(error) if error is not None else None,
        "objective": {
            "name": config.objective.name,
            "mode": config.objective.mode,
            "best": objective.best,
            "best_step": objective.best_step,
            "best_epoch": objective.best_epoch,
            "last": objective.last,
        },
        "metrics": metrics,
        "baselines": getattr(module, "baselines", {}),
        "loss_weights": OmegaConf.to_container(config.loss),
        "parameters": parameters(module),
        "data": describe(datamodule, error),
        "throughput": callback(trainer, Speed).measured(datamodule.batch_size * trainer.world_size),
        # A run that failed before it was built wrote none.
        "duration_s": seconds + (read_summary(folder).get("duration_s") or 0.0),
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "seed": config.seed,
        "devices": f"{trainer.world_size} x {trainer.strategy.root_device.type}",
        "precision": str(config.trainer.precision),
        "versions": {name: version(name) for name in PACKAGES} | {"python": sys.version.split()[0]},
        "command": shlex.join(["python", "-m", "experiments.run", *sys.argv[1:]]),
        "git": commit(),
    }
    write(folder / "summary.json", summary)
    report(folder)
    return objective.best


def callback(trainer: pl.Trainer, kind: type) -> pl.Callback:
    return next(c for c in trainer.callbacks if isinstance(c, kind))


def describe(datamodule: pl.LightningDataModule, error: BaseException | None) -> dict:
    """What was trained on; a run that failed may have failed over just that."""
    try:
        return datamodule.describe()
    except Exception:
        if error is None:
            raise
        return {}


def scalars(metrics: dict) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def write(path: Path, summary: dict) -> None:
    """Write JSON atomically; what is not finite becomes null."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(v) for key, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(plain(summary), indent=1, default=float) + "\n")
    os.replace(scratch, path)


def report(folder: Path) -> None:
    """The report; a fault in it must not make a finished run look failed."""
    try:
        from experiments.report import write_report

        print(f"report: {write_report(folder)}", flush=True)
    except Exception:
        traceback.print_exc()
        print(f"the report failed; the run is whole. Try: python -m experiments.report {folder}")


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
