"""How the suite's tests run an experiment: in this process, or as the command a user types."""

import subprocess
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from experiments.running.again import quoted
from experiments.running.job import attend

REPOSITORY = Path(__file__).resolve().parent.parent
CONF = REPOSITORY / "conf"
EXAMPLE = REPOSITORY / "tests" / "example"  # an experiment from outside the repository's packages
# One for each model; further files of conf/exp are presets of these.
SHIPPED = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
EXPERIMENTS = [*SHIPPED, "waves"]


def configuration(*overrides: str, folder: Path) -> DictConfig:
    """What `python -m experiments.run OVERRIDES` composes, for a run in `folder`."""
    GlobalHydra.instance().clear()
    overrides = (
        *overrides,
        *(f"hydra.{key}={quoted(folder)}" for key in ("run.dir", "runtime.output_dir")),
    )
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("run", overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return config


def run(folder: Path, *overrides: str) -> float | None:
    """Run an experiment in this process; returns its objective."""
    folder.mkdir(parents=True, exist_ok=True)
    return attend(configuration(*overrides, folder=folder), folder)


def command(*words: str, module: str = "experiments.run") -> subprocess.CompletedProcess:
    """Run what a user types, with its output; it must end within five minutes."""
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )
