"""Every configuration composes, every target resolves, every weight has its term."""

from itertools import takewhile
from pathlib import Path

import pytest
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from experiments.running import schema, settings
from experiments.running.build import build
from experiments.shared.errors import InputError
from tests.suite import CONF, command, configuration

CHOICES = sorted(
    str(path.relative_to(CONF / "exp").with_suffix("")) for path in (CONF / "exp").rglob("*.yaml")
)
SWEEPS = sorted(path.stem for path in (CONF / "sweep").glob("*.yaml"))
STRATEGIES = sorted(path.stem for path in (CONF / "strategy").glob("*.yaml"))


def targets(config: DictConfig) -> set[str]:
    """Every `_target_` below `config`."""
    found = set()
    for node in config.values():
        if isinstance(node, DictConfig):
            found |= targets(node)
    return found | ({config._target_} if "_target_" in config else set())


@pytest.mark.parametrize("choice", CHOICES)
def test_experiment_composes_and_its_targets_exist(choice: str, tmp_path: Path):
    config = configuration(f"+exp={choice}", folder=tmp_path)
    for part in (config.model, config.data, config.trainer, config.callbacks, config.logger):
        for target in targets(part):
            assert callable(get_object(target)), target
    settings.check(config)
    schema.check(config)
    assert config.objective.mode in ("min", "max")
    assert config.objective.name.startswith("val/")
    assert config.watch, "an experiment names what its progress shows"


@pytest.mark.parametrize("choice", CHOICES)
def test_weights_and_terms_have_the_same_names(choice: str, tmp_path: Path):
    config = configuration(f"+exp={choice}", folder=tmp_path)
    build(config)
    OmegaConf.set_struct(config, False)
    config.loss.no_such_term = 1.0
    with pytest.raises(InputError, match="no_such_term"):
        build(config)


@pytest.mark.parametrize("sweep", SWEEPS)
def test_sweep_names_what_there_is(sweep: str, tmp_path: Path):
    def shared(name: str) -> int:
        """Letters at the start that an experiment's and the sweep's name have in common."""
        return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(name, sweep, strict=False))))

    experiment = max(CHOICES, key=shared)
    config = configuration(f"+exp={experiment}", f"+sweep={sweep}", folder=tmp_path)
    assert config.hydra.mode.name == "MULTIRUN"
    for key, values in config.hydra.sweeper.params.items():
        parent, _, name = key.rpartition(".")
        assert name in OmegaConf.select(config, parent), key
        assert len(str(values).split(",")) > 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategy_composes(strategy: str, tmp_path: Path):
    experiment = next(name for name in CHOICES if "/" not in name)
    trainer = configuration(f"+exp={experiment}", f"strategy={strategy}", folder=tmp_path).trainer
    assert trainer.devices == (4 if "4" in strategy else 2 if "2" in strategy else 1)
    if strategy == "ddp4_gan":
        assert trainer.strategy.find_unused_parameters
        assert trainer.accelerator == "gpu"


def test_help_lists_experiments():
    done = command("--help")
    assert done.returncode == 0
    assert all(choice in done.stdout for choice in CHOICES)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["+exp=nonsense"], "creative_agent"),
        ([], "creative_agent"),
        (["+exp=creative_agent", "loss.balnce=3"], "balance"),
        (["+exp=creative_agent", "strategy=ddp8"], "ddp4"),
        (["+exp=smoke/creative_agent", "loss.balance=-1"], "loss.balance=-1"),
        (["+exp=creative_agent", "hydra.run.dir=LICENSE/run"], "LICENSE"),
    ],
)
def test_wrong_words_are_answered_with_what_there_is(words: list[str], told: str):
    done = command(*words)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
