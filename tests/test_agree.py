"""Ordinary wishes are fulfilled, or answered by one line that says what to do instead."""

import json
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins.environments import SLURMEnvironment
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.callbacks.guard import Guard
from experiments.callbacks.speed import Speed
from experiments.running import agree
from experiments.shared.errors import Diverged, InputError
from experiments.shared.schedules import updates
from tests.suite import run


@pytest.fixture
def trainer(tmp_path):
    def make(**options) -> pl.Trainer:
        plain = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_checkpointing": False}
        return pl.Trainer(**plain | options, enable_progress_bar=False, default_root_dir=tmp_path)

    return make


class Net(pl.LightningModule):
    """One weight; `scale` says how large its gradient is in each batch."""

    def __init__(self, clip: float = 1.0, manual: bool = False, scale: float = 1.0):
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.automatic_optimization = not manual
        self.weight, self.scale = torch.nn.Parameter(torch.ones(1)), scale

    def training_step(self, batch, batch_idx):
        loss = self.scale * self.weight.sum() * batch.mean()
        self.log("train/total", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"overfit_batches": 1}, r"\+debug=overfit"),
        ({"gradient_clip_val": 1.0}, "Set model.clip instead"),
        ({"accumulate_grad_batches": 2}, "Set data.batch_size instead"),
        ({"strategy": "ddp", "devices": 2}, "strategy=cpu_ddp2"),
        ({"precision": "bf16-true"}, "trains in 32-true or bf16-mixed"),
    ],
)
def test_what_cannot_be_is_named_with_what_to_do(options: dict, told: str, trainer):
    module = Net(manual=True)
    module.precisions = ("32-true", "bf16-mixed")
    with pytest.raises(InputError, match=told):
        agree.check(trainer(**options), module)


def test_what_can_be_passes(trainer):
    agree.check(trainer(gradient_clip_val=1.0, accumulate_grad_batches=2), Net())
    agree.check(trainer(strategy="ddp", devices=2), Net())
    agree.check(trainer(strategy="ddp_find_unused_parameters_true", devices=2), Net(manual=True))


def test_fewer_tasks_than_devices_are_refused(trainer, monkeypatch):
    for name, value in {"NTASKS": "1", "JOB_NAME": "run", "JOB_ID": "1", "PROCID": "0",
                        "LOCALID": "0", "NODEID": "0", "NTASKS_PER_NODE": "2"}.items():  # fmt: skip
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setattr(SLURMEnvironment, "_validate_srun_variables", lambda *a: None)
    monkeypatch.setattr(SLURMEnvironment, "validate_settings", lambda *a, **k: None)
    asked = trainer(devices=2, strategy="ddp", plugins=[SLURMEnvironment(auto_requeue=False)])
    with pytest.raises(InputError, match=r"asks for 2 processes, and SLURM_NTASKS=1 starts 1"):
        agree.check(asked, Net())


@pytest.mark.parametrize(
    ("options", "batches", "expected"),
    [
        ({"max_epochs": 3}, 10, 30),
        ({"max_epochs": 3, "accumulate_grad_batches": 2}, 5, 9),
        ({"max_epochs": 3, "limit_train_batches": 0.5}, 10, 15),
        ({"max_epochs": 3, "limit_train_batches": 4}, 10, 12),
        ({"max_epochs": 3, "max_steps": 7}, 10, 7),
        ({"max_epochs": -1, "max_steps": 7}, 10, 7),
    ],
)
def test_a_schedule_ends_with_the_run(options: dict, batches: int, expected: int, trainer):
    """Counted as Lightning then counts: the run makes just so many updates."""
    made = trainer(**options)
    assert updates(made, batches) == expected
    made.fit(Net(), torch.utils.data.DataLoader(torch.ones(batches), batch_size=1))
    assert made.global_step == expected


def test_an_endless_run_has_no_schedule(trainer):
    with pytest.raises(InputError, match="got neither"):
        updates(trainer(max_epochs=-1), 10)


def test_the_guard_counts_steps_where_gradients_accumulate(trainer):
    guard = Guard("train/total", max_norm=1.0, patience=3)
    made = trainer(callbacks=[guard], accumulate_grad_batches=8, max_epochs=1)
    with pytest.raises(Diverged, match=r"step 3, .*\(3 steps running\)"):
        made.fit(Net(scale=100.0), torch.utils.data.DataLoader(torch.ones(80), batch_size=1))


def test_speed_counts_steps_where_gradients_accumulate(trainer):
    speed = Speed()
    made = trainer(callbacks=[speed], accumulate_grad_batches=4, max_epochs=1)
    made.log_every_n_steps = 0
    made.fit(Net(), torch.utils.data.DataLoader(torch.ones(10), batch_size=1))
    assert len(speed.steps) == made.global_step == 3
    measured = speed.measured(5)
    assert measured["samples_per_s"] * measured["step_s_median"] == pytest.approx(20)


def test_curves_and_summary_stand_at_the_same_steps(tmp_path: Path):
    words = ("trainer.max_epochs=2", "trainer.limit_train_batches=2", "trainer.log_every_n_steps=1")
    run(tmp_path, "+exp=smoke/multitrack", "test=false", *words)
    summary = json.loads((tmp_path / "summary.json").read_text())
    events = EventAccumulator(str(tmp_path / "tb")).Reload()

    def steps(tag: str) -> list[int]:
        return [event.step for event in events.Scalars(tag)]

    rates = [tag for tag in events.Tags()["scalars"] if tag.startswith("lr/")]
    assert rates
    for tag in ("train/total", "grad/norm_max", *rates):
        assert steps(tag) == [1, 2, 3, 4]
    assert steps("val/excess") == [2, 4]
    assert summary["objective"]["best_step"] in (2, 4)


@pytest.mark.parametrize(
    "words",
    [
        ["trainer.log_every_n_steps=0"],
        ["~callbacks.speed"],
        ["trainer.limit_val_batches=0", "~callbacks.stopping"],
        ["trainer.accumulate_grad_batches=2"],
    ],
)
def test_ordinary_wishes_work(words: list[str], tmp_path: Path):
    run(tmp_path, "+exp=smoke/multitrack", "test=false", *words)
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "completed"


def test_a_profile_is_written(tmp_path: Path, capsys):
    run(tmp_path, "+exp=smoke/multitrack", "test=false", "+trainer.profiler=simple")
    assert "profile: " in capsys.readouterr().out
    assert "run_training_epoch" in (tmp_path / "fit-profile.txt").read_text()
