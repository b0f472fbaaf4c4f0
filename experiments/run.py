"""python -m experiments.run +exp=NAME: compose, seed, instantiate, fit, test, report."""

import json
import logging
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.explain import explain, usage
from experiments.launch import occupied, read_summary, run_job

CONF = Path(__file__).resolve().parent.parent / "conf"
# Said of every run here, and nothing that a user could mend.
SILENCED = (
    ".*LeafSpec.*",
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*callbacks used to create the checkpoint.*",
    ".*sync_dist=True.*",  # torchmetrics has reduced what is logged
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*no pre-optimization state was saved.*",  # checkpoints by steps: of after the step, as meant
)

# A job's folder is named by its overrides, which may hold paths.
OmegaConf.register_new_resolver(
    "file_name", lambda text: text.replace("/", "-")[:150], replace=True
)
# Two runs started in the same second have folders of their own.
OmegaConf.register_new_resolver("pid", os.getpid, replace=True)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="run")
def main(config: DictConfig) -> float | None:
    """One run; in a multirun one job, which gets a process of its own. Returns the objective."""
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    if job.mode == RunMode.MULTIRUN:
        places = [o for o in job.overrides.hydra if "hydra.searchpath=" in o]
        return run_job(folder, [*job.overrides.task, *places])
    from experiments.callbacks.interrupt import leave_on_signals

    leave_on_signals()
    with occupied(folder):
        try:
            return train(settle(config, folder), folder)
        except Exception as error:
            leave_word(folder, config, error)
            raise


def settle(config: DictConfig, folder: Path) -> DictConfig:
    """The configuration with +debug=smoke's sizes laid over it, and recorded so."""
    if config.merge_smoke:
        config.merge_with(config.smoke)
        from lightning.pytorch.utilities import rank_zero_only

        recorded = folder / ".hydra" / "config.yaml"
        if recorded.is_file() and rank_zero_only.rank == 0:
            OmegaConf.save(config, recorded)
    return config


def build(config: DictConfig) -> tuple:
    """The module and the datamodule that a configuration asks for; both get plain values only."""
    import lightning.pytorch as pl
    import torch

    if config.threads:
        torch.set_num_threads(config.threads)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in SILENCED:
        warnings.filterwarnings("ignore", message)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    datamodule = instantiate(config.data, _convert_="all")
    return instantiate(config.model, _convert_="all"), datamodule


def train(config: DictConfig, folder: Path) -> float | None:
    """Fit, or resume where `folder` holds a checkpoint; test; write summary.json and the report."""
    from experiments import finish
    from experiments.shared import checkpoints

    start = time.monotonic()
    module, datamodule = build(config)
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


def leave_word(folder: Path, config: DictConfig, error: Exception) -> None:
    """A run that failed before it could train says so, for the report of its sweep."""
    summary = folder / "summary.json"
    if not summary.exists():
        word = {
            "name": config.name,
            "status": "failed",
            "error": explain(error, CONF) or repr(error),
        }
        summary.write_text(json.dumps(word, indent=1))


def announce(counts: dict, name: str, folder: Path, resume: Path | None) -> None:
    total, parts = counts["total"], list(counts.items())[2:]
    print(f"{name}: {total:,} parameters ({', '.join(f'{part} {n:,}' for part, n in parts)})")
    print(
        f"{'resuming from ' + str(resume) if resume else 'run folder: ' + str(folder)}", flush=True
    )


def entry() -> None:
    """The command: what a user can mend ends with a message and status 2, without a stack trace."""
    words = sys.argv[1:]
    if words in (["--help"], ["-h"]):
        print(usage(CONF))
        return
    if not any(word.startswith(("+exp=", "exp=", "model=", "--")) for word in words):
        print(f"error: say which experiment\n\n{usage(CONF)}", file=sys.stderr)
        raise SystemExit(2)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on instead of printing them
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        message = explain(error, CONF)
        if message is None:
            traceback.print_exc()
            raise SystemExit(1) from None
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    entry()
