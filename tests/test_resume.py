"""A resumed run equals the uninterrupted one, bit for bit on the CPU, however it was stopped."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from experiments.callbacks.guard import Diverged
from experiments.shared.errors import InputError
from tests.suite import EXPERIMENTS, REPOSITORY, command, run

# Two batches an epoch, two epochs: stops fall inside an epoch, on its end, and on the run's end.
LONGER = ("trainer.max_epochs=2", "test=false")


class SignalAt(pl.Callback):
    """Sends this process a signal during the step `step`; for the tests' own use."""

    def __init__(self, step: int, signum: int):
        self.step, self.signum = step, signum

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == self.step:
            os.kill(os.getpid(), self.signum)


class SignalIn(pl.Callback):
    """Sends this process a signal at the start of the stage "fit" or "test"."""

    def __init__(self, stage: str, signum: int):
        self.stage, self.signum = stage, signum

    def setup(self, trainer, pl_module, stage) -> None:
        if stage == self.stage:
            os.kill(os.getpid(), self.signum)


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def assert_equal_runs(one: Path, other: Path, name: str = "last") -> None:
    expected, got = weights(one, name), weights(other, name)
    assert expected.keys() == got.keys()
    different = [name for name in expected if not torch.equal(expected[name], got[name])]
    assert not different, different


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_resuming_at_an_epoch_equals_going_on(tmp_path: Path, experiment: str):
    words = (f"+exp=smoke/{experiment}", "test=false")
    run(tmp_path / "whole", *words, "trainer.max_epochs=2")
    run(tmp_path / "parts", *words, "trainer.max_epochs=1")
    run(tmp_path / "parts", *words, "trainer.max_epochs=2")
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts", "best")


def test_a_run_that_failed_before_it_began_can_be_repeated(tmp_path: Path):
    (tmp_path / "summary.json").write_text('{"status": "failed", "error": "no such data"}')
    run(tmp_path, "+exp=smoke/multitrack", "test=false")
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "completed"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run(folder, "+exp=smoke/creative_agent", *LONGER)
    return folder


@pytest.mark.parametrize(
    ("step", "signum"),
    [(1, signal.SIGINT), (2, signal.SIGTERM), (3, signal.SIGTERM), (4, signal.SIGINT)],
)
def test_a_signal_saves_and_the_run_goes_on(whole, tmp_path: Path, step: int, signum: int):
    words = ("+exp=smoke/creative_agent", *LONGER)
    stop = (
        f"+callbacks.stop={{_target_: tests.test_resume.SignalAt, step: {step}, signum: {signum}}}"
    )
    with pytest.raises(SystemExit) as left:
        run(tmp_path, *words, stop)
    assert left.value.code == 128 + signum
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    assert summary["steps"] == step

    run(tmp_path, *words)
    assert_equal_runs(whole, tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "completed"


@pytest.mark.parametrize(
    ("stage", "signum"), [("fit", signal.SIGINT), ("fit", signal.SIGTERM), ("test", signal.SIGINT)]
)
def test_a_signal_before_or_after_the_training_is_no_failure(tmp_path: Path, stage, signum: int):
    stop = f"{{_target_: tests.test_resume.SignalIn, stage: {stage}, signum: {signum:d}}}"
    words = ("+exp=smoke/multitrack", f"hydra.run.dir={tmp_path}")
    done = command(*words, f"+callbacks.stop={stop}")
    assert done.returncode == 128 + signum, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    assert any(name.startswith("val/") for name in summary["metrics"]) == (stage == "test")


def test_the_best_checkpoint_can_be_gone_on_from(tmp_path: Path):
    """It is written in a validation, before the end of its epoch."""
    words = ("+exp=smoke/molecular_flow", "test=false")
    run(tmp_path, *words, "trainer.max_epochs=1")
    best = (tmp_path / "checkpoints" / "best.ckpt").read_bytes()
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(best)
    run(tmp_path, *words, "trainer.max_epochs=2")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["status"], summary["epochs"]) == ("completed", 2)


def test_a_run_resumed_at_its_end_keeps_what_it_measured(tmp_path: Path):
    words = ("+exp=smoke/multitrack", "test=false")
    run(tmp_path, *words)
    before = json.loads((tmp_path / "summary.json").read_text())
    run(tmp_path, *words)
    after = json.loads((tmp_path / "summary.json").read_text())
    assert before["metrics"]
    assert (after["status"], after["metrics"]) == ("completed", before["metrics"])


def test_a_second_run_in_a_folder_is_refused_while_the_first_is_at_work(tmp_path: Path):
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = command("+exp=smoke/multitrack", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 2, done.stderr
    assert "another run is at work in" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_checkpoint_by_steps_at_the_end_of_an_epoch_resumes(whole, tmp_path: Path):
    words = ("+exp=smoke/creative_agent", "test=false")
    by_steps = (
        "callbacks.last.every_n_epochs=null",
        "+callbacks.last.every_n_train_steps=2",
        "callbacks.last.save_on_train_epoch_end=false",
    )
    run(tmp_path, *words, *by_steps, "trainer.max_epochs=1")
    run(tmp_path, *words, *by_steps, "trainer.max_epochs=2")
    assert_equal_runs(whole, tmp_path)


@pytest.mark.slow
def test_kill_nine_loses_no_more_than_the_epoch(whole, tmp_path: Path):
    words = ["+exp=smoke/creative_agent", *LONGER]
    last = tmp_path / "checkpoints" / "last.ckpt"
    # SIGSTOP at the first step of the second epoch: the first one's checkpoint is there, then kill.
    stop = "+callbacks.stop={_target_: tests.test_resume.SignalAt, step: 3, signum: 19}"
    job = subprocess.Popen(
        [sys.executable, "-m", "experiments.run", *words, f"hydra.run.dir={tmp_path}", stop],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not os.waitpid(job.pid, os.WUNTRACED | os.WNOHANG)[0]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    job.kill()
    job.wait()
    assert last.is_file()
    assert not (tmp_path / "summary.json").exists()
    run(tmp_path, *words)
    assert_equal_runs(whole, tmp_path)


def test_a_checkpoint_of_another_experiment_is_refused(whole, tmp_path: Path):
    (tmp_path / "checkpoints").mkdir()
    foreign = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    foreign["class"] = "another.Model"
    torch.save(foreign, tmp_path / "checkpoints" / "last.ckpt")
    with pytest.raises(InputError, match=r"another\.Model"):
        run(tmp_path, "+exp=smoke/creative_agent")
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        run(tmp_path, "+exp=smoke/creative_agent")


def test_divergence_stops_with_a_reason_and_keeps_the_last_good_checkpoint(tmp_path: Path):
    words = ("+exp=smoke/creative_agent", "test=false")
    run(tmp_path, *words)
    good = weights(tmp_path)
    wild = ("trainer.max_epochs=2", "callbacks.guard.max_norm=1e-12", "callbacks.guard.patience=2")
    with pytest.raises(Diverged, match="learning rate"):
        run(tmp_path, *words, *wild)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "diverged"
    assert "gradient norm" in summary["error"]
    assert all(torch.equal(good[name], value) for name, value in weights(tmp_path).items())
