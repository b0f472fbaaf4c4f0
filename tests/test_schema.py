"""What was asked for is checked before anything is built: by kind, by range, in one line."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from experiments.running import schema, settings
from experiments.shared import signatures
from experiments.shared.errors import InputError
from experiments.shared.kinds import Fraction, PositiveInt
from tests.suite import EXPERIMENTS, command, configuration

WRONG = ["lots", "", -1, -0.5, 0, 1.5, 1e30, math.nan, math.inf, True, [], {}]
# Of the configuration's own parts; hydra's is Hydra's to check.
PARTS = ("trainer", "callbacks", "logger", "objective", "watch", "targets")
OWN = ("model", "data", "loss")  # of each experiment; the other parts are much the same


def check(config: DictConfig) -> None:
    settings.check(config, HydraConfig.get().runtime.choices)
    schema.check(config)


def check_part(config: DictConfig, part: str) -> None:
    """As `check`, of what a changed value in one part can make wrong."""
    settings.check(config)
    if part in schema.PARTS:
        plain = OmegaConf.to_container(config[part], resolve=True)
        schema.refuse(list(schema.objects(plain, part)))


def refused(*words: str, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        check(configuration(*words, folder=folder))
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("+exp=multitrack model.dropout=lots", "model.dropout=lots: expected a number"),
        ("+exp=multitrack model.dropout=1.5", "model.dropout=1.5: expected at most 1"),
        ("+exp=radiodiff_vae data.num_workers=-1", "data.num_workers=-1: expected at least 0"),
        ("+exp=codec trainer.max_epochs=1.5", "trainer.max_epochs=1.5: expected a whole number"),
        ("+exp=codec seed=-1", "seed=-1: expected at least 0"),
        ("+exp=multitrack model.optimizer.lr=fast", "model.optimizer.lr=fast: expected a number"),
        ("+exp=multitrack model.optimizer.lr=-1", "model.optimizer: Invalid learning rate: -1"),
        ("+exp=multitrack model.decoder=cel", "model.decoder=cel: expected 'cell' or 'additive'"),
        ("+exp=multitrack data=radiodiff_vae", "data=radiodiff_vae belongs to model=radiodiff_vae"),
        ("+exp=multitrack loss=codec", "loss=codec belongs to model=codec"),
        ("+exp=multitrack loss.crop=-1", "loss.crop=-1: expected at least 0"),
        ("+exp=multitrack loss.crop=nan", "loss.crop=NaN: expected at least 0"),
        ("+exp=creative_agent model.gate.width=0", "model.gate.width=0: expected at least 1"),
        ("+exp=radiodiff_vae data.shares=[0.5]", "data.shares=[0.5]: expected more values"),
        ("+exp=codec +targets.x=high", 'targets.x=high: expected ">= 0.9"'),
        ("+exp=multitrack objective.mode=best", "objective.mode=best: expected 'min' or 'max'"),
        ("+exp=multitrack trainer.precision=8", "trainer.precision"),
        ("+exp=multitrack +trainer.profilr=simple", "Trainer takes no such argument"),
        ("+exp=multitrack data._target_=multitrack.dat.X", "data._target_=multitrack.dat.X"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(words: str, told: str, tmp_path: Path):
    assert told in refused(*words.split(), folder=tmp_path)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    told = refused("+exp=multitrack", "seed=x", "trainer.devices=1.5", folder=tmp_path)
    assert [line.split("=")[0] for line in told.splitlines()] == ["seed", "trainer.devices"]


def test_the_command_says_it_in_one_line_with_status_2():
    done = command("+exp=multitrack", "trainer.max_epochs=1.5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: trainer.max_epochs=1.5: expected a whole number\n"


def leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The dotted key of every value that is no mapping, and that value."""
    if not isinstance(value, dict):
        yield place, value
    else:
        for key, child in value.items():
            if "/" not in str(key):  # OmegaConf.update would take it for a path of keys
                yield from leaves(child, f"{place}.{key}")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_leaf_with_every_wrong_value_is_refused_in_words_or_taken(experiment, tmp_path):
    """No value of any key makes the check itself fail; text is never taken for a number."""
    config = configuration(f"+exp={experiment}", folder=tmp_path)
    check(config)
    OmegaConf.set_struct(config, False)
    count = 0
    for part in OWN if experiment != EXPERIMENTS[0] else OWN + PARTS:
        raw = OmegaConf.to_container(config[part], resolve=False)
        for key, kept in leaves(raw, part):
            for value in WRONG:
                OmegaConf.update(config, key, value, merge=False)
                told = ""
                try:
                    check_part(config, part)
                except InputError as error:
                    told = str(error)
                count += bool(told)
                if told:
                    assert key in told or key.rpartition(".")[0] in told, (key, value, told)
                if isinstance(kept, float) or type(kept) is int:
                    assert told or value not in ("", "lots"), (key, value)
            OmegaConf.update(config, key, kept, merge=False)
    assert count > 50


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name != "waves"])
@pytest.mark.parametrize("group", ["model", "data"])
def test_every_argument_of_ours_says_what_it_may_be(group: str, experiment: str, tmp_path: Path):
    config = configuration(f"+exp={experiment}", folder=tmp_path)[group]
    known = signatures.kinds(get_object(config._target_))
    assert {key for key in config if key != "_target_"} <= set(known)


class Outsider(pl.LightningModule):
    """A model from elsewhere: its annotations are all that the suite knows of it."""

    def __init__(self, width: PositiveInt, share: Fraction = 0.5, way: Literal["a", "b"] = "a"):
        raise AssertionError("nothing is built")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"width": 0}, "model.width=0: expected at least 1"),
        ({"width": 1, "share": "half"}, "model.share=half: expected a number"),
        ({"width": 1, "way": "c"}, "model.way=c: expected 'a' or 'b'"),
        ({"width": 1, "depth": 1}, "model.depth: Outsider takes no such argument"),
    ],
)
def test_another_experiment_gets_the_same(given: dict, told: str):
    node = {"_target_": f"{__name__}.Outsider", **given}
    with pytest.raises(InputError) as caught:
        schema.check(OmegaConf.create({"model": node}))
    assert str(caught.value) == told, json.dumps(given)


@pytest.mark.parametrize("strategy", ["cpu_ddp2", "ddp4", "ddp4_gan"])
def test_what_says_nothing_of_its_arguments_is_let_pass(tmp_path: Path, strategy: str):
    """DDP's time limit is a `datetime.timedelta`, which is built in."""
    schema.check(configuration("+exp=smoke/waves", f"strategy={strategy}", folder=tmp_path))
