"""A run's numbers go to each logger that is asked for, and a run without one lacks nothing else."""

import csv
import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.running.words import mend
from experiments.shared.folder import Folder
from tests.suite import command, configuration, run

SMOKE = "+exp=smoke/waves"


def rows(folder: Path) -> list[dict]:
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def steps(folder: Path, tag: str) -> list[int]:
    return [int(row["step"]) for row in rows(folder) if row.get(tag)]


@pytest.mark.parametrize("typed", ["logger=null", "logger={}", "logger=none", "logger=[]"])
def test_a_run_without_loggers_lacks_only_its_curves(tmp_path: Path, typed: str):
    run(tmp_path, *mend([SMOKE, typed])[0])
    place = Folder(tmp_path)
    assert place.read()["status"] == "completed"
    assert place.read()["metrics"]["test/rmse"] > 0
    assert list(place.figures.glob("*.png"))
    assert not place.board.exists()


def test_two_loggers_say_the_same_at_the_same_steps(tmp_path: Path):
    run(tmp_path, SMOKE, "logger=[tensorboard,csv]")
    events = EventAccumulator(str(tmp_path / "tb")).Reload()
    for tag in ("train/total", "val/rmse", "grad/norm_max", "throughput/step_s"):
        assert steps(tmp_path, tag) == [point.step for point in events.Scalars(tag)]
    assert steps(tmp_path, "test/rmse") == [2]
    assert "slope: 1.0" in (tmp_path / "csv" / "hparams.yaml").read_text()


def test_a_resumed_run_goes_on_in_its_own_rows(tmp_path: Path):
    words = (SMOKE, "logger=csv", "test=false")
    run(tmp_path, *words)
    with (tmp_path / "csv" / "metrics.csv").open("a") as file:
        columns = list(rows(tmp_path)[0])
        file.write(",".join("9" if name == "step" else "" for name in columns) + "\n")  # undone
    run(tmp_path, *words, "trainer.max_epochs=2")
    assert steps(tmp_path, "train/total") == [1, 2, 3, 4]
    assert steps(tmp_path, "val/rmse") == [2, 4]
    assert 9 not in steps(tmp_path, "step")


def test_a_list_of_loggers_needs_no_brackets(tmp_path: Path):
    words, notes = mend([SMOKE, "logger=tensorboard,csv"])
    assert notes == ["logger=tensorboard,csv is understood as logger=[tensorboard,csv]"]
    assert set(configuration(*words, folder=tmp_path).logger) == {"tensorboard", "csv"}


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed (an extra)")
def test_wandb_offline_beside_tensorboard(tmp_path: Path, monkeypatch):
    """In a process of its own: W&B stays at work until the process ends."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    words = (SMOKE, "logger=[tensorboard,csv,wandb]", "logger.wandb.offline=true")
    done = command(*words, f"hydra.run.dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "completed"
    (record,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    said = record.read_bytes()
    for text in (
        b"val/rmse",
        b"test/rmse",
        b"validation_figures/wave",
        b"trainer/global_step",
        b"slope",
    ):
        assert text in said, text
    assert (tmp_path / "csv" / "metrics.csv").is_file()
    assert list((tmp_path / "tb").glob("events*"))


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed (an extra)")
def test_wandb_without_a_login_says_what_to_do(tmp_path: Path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    done = command(SMOKE, "logger=wandb", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 2, done.stderr
    assert "error: logger.wandb: " in done.stderr
    assert "logger.wandb.offline=true" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(find_spec("mlflow") is None, reason='needs the extra "mlflow"')
def test_mlflow_goes_on_in_the_runs_own_record(tmp_path: Path):
    from mlflow.tracking import MlflowClient

    words = (SMOKE, "logger=mlflow", f"paths.outputs={tmp_path}", "test=false")
    run(tmp_path / "run", *words)
    run(tmp_path / "run", *words, "trainer.max_epochs=2")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (found,) = client.search_runs([client.get_experiment_by_name("waves_smoke").experiment_id])
    history = client.get_metric_history(found.info.run_id, "val/rmse")
    assert [point.step for point in history] == [2, 4]
    assert found.data.params["loss/slope"] == "1.0"
