"""What an experiment lacks is said before it is trained, or as soon as it can be seen."""

from pathlib import Path

import pytest

from experiments.running.build import build
from experiments.shared.contract import check
from experiments.shared.errors import InputError
from tests.suite import command, configuration, run
from waves.data import WaveData
from waves.module import Denoiser


class Unsaved(Denoiser):
    """Its checkpoints would not say how to build it."""

    def save_hyperparameters(self, *_, **__):
        pass


class NoBaselines(Denoiser):
    def __init__(self, **options):
        super().__init__(**options)
        del self.baselines


class FigureList(Denoiser):
    figures = ()


class Nameless(WaveData):
    describe = None


class Measureless(WaveData):
    def __init__(self, **options):
        super().__init__(**options)
        self.batch_size = None


@pytest.mark.parametrize(
    ("part", "cls", "lacks", "purpose"),
    [
        ("model", Unsaved, "loss_weights", "Written into each checkpoint"),
        ("model", NoBaselines, "baselines", "beside the module's own metrics"),
        ("model", FigureList, "figures()", "Saved as figures/NAME.png"),
        ("data", Nameless, "describe()", "What was trained on"),
        ("data", Measureless, "batch_size", "samples a second"),
    ],
)
def test_what_is_missing_is_said_before_the_training(tmp_path: Path, part, cls, lacks, purpose):
    name = f"{part}._target_={__name__}.{cls.__qualname__}"
    module, datamodule = build(configuration("+exp=smoke/waves", name, folder=tmp_path))
    with pytest.raises(InputError) as caught:
        check(module, datamodule)
    message = str(caught.value)
    assert f"{cls.__qualname__} has no {lacks}" in message
    assert purpose in message
    assert message.endswith("experiments/shared/contract.py")


class Mute(Denoiser):
    """Logs nothing whose tag begins with one of `kept_back`."""

    kept_back = ("train/total",)

    def log_dict(self, values, **options):
        super().log_dict(
            {k: v for k, v in values.items() if not k.startswith(self.kept_back)}, **options
        )

    def log(self, name, value, **options):
        if not name.startswith(self.kept_back):
            super().log(name, value, **options)


class NoObjective(Mute):
    kept_back = ("val/rmse",)


class NoShares(Mute):
    kept_back = ("share/",)


class NoTerm(Mute):
    kept_back = ("train/slope",)


class Manual(Denoiser):
    """Steps by itself and keeps the norm of its gradient to itself."""

    def __init__(self, **options):
        super().__init__(**options)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.optimizers().zero_grad()
        self.manual_backward(loss)
        self.optimizers().step()


class Unhashed(WaveData):
    def describe(self):
        return {"source": "embedded"}


@pytest.mark.parametrize(
    ("part", "cls", "told"),
    [
        ("model", Mute, "logged no train/total"),
        ("model", NoObjective, "logged no val/rmse .* it logged nothing"),
        ("model", NoShares, "logged no share/TERM"),
        ("model", NoTerm, "share/slope is logged without train/slope"),
        ("model", Manual, "Manual has no grad_norm after a training step"),
        ("data", Unhashed, "'hash' in what describe"),
    ],
)
def test_what_shows_in_the_training_ends_it_at_the_first_validation(tmp_path, part, cls, told):
    name = f"{part}._target_={__name__}.{cls.__qualname__}"
    with pytest.raises(InputError, match=told) as caught:
        run(tmp_path, "+exp=smoke/waves", name, "trainer.max_epochs=3", "~callbacks.figures")
    assert "experiments/shared/contract.py" in str(caught.value)
    checkpoints = tmp_path / "checkpoints" / "last.ckpt"
    assert not checkpoints.exists(), "it has trained a whole epoch"


@pytest.mark.parametrize("tag", ["val/rmsee", "train/totle"])
def test_a_misspelt_watch_is_named(tmp_path, tag):
    with pytest.raises(InputError, match=f"watch.seen={tag}: nothing is logged by that name"):
        run(tmp_path, "+exp=smoke/waves", f"+watch.seen={tag}", "~callbacks.figures")


def test_help_lists_what_is_in_ones_own_folder_too():
    done = command("--help")
    groups = dict(line.split("= ", 1) for line in done.stdout.splitlines() if "= " in line)
    assert {"waves", "smoke/waves", "multitrack"} <= {x.strip() for x in groups["  exp"].split(",")}
    assert "  published" not in groups
