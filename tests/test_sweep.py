"""A sweep has one folder a job, outlives a failed job, and ends with its report."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.reporting.events import find_runs
from experiments.running.studies.sweep import Sweep
from experiments.shared.folder import Folder
from tests.suite import command


@pytest.mark.slow
def test_sweep_outlives_a_failed_job_and_reports(tmp_path: Path):
    words = ("-m", "+exp=smoke/creative_agent", "loss.balance=-1,5")
    done = command(*words, f"hydra.sweep.dir={tmp_path}")
    assert done.returncode == 1, done.stderr
    assert "1 of 2 jobs completed" in done.stdout
    folders = sorted(path.parent.name for path in tmp_path.glob("*/summary.json"))
    assert folders == ["loss.balance--1", "loss.balance-5"]
    status = [json.loads((tmp_path / f / "summary.json").read_text())["status"] for f in folders]
    assert status == ["failed", "completed"]
    report = (tmp_path / "report.md").read_text()
    assert "loss.balance=-1" in report


def test_the_status_of_a_sweep_is_that_of_its_own_jobs(tmp_path: Path):
    """All jobs of an earlier sweep have completed here; all of this one's end with status 2."""
    sweep, config = Sweep(), OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    for name in ("loss.slope-1", "loss.slope-2", "loss.slope-8"):
        place = Folder(tmp_path / name)
        place.write({"name": name, "status": "completed"})
        place.job.write_text("0")
    sweep.on_multirun_start(config)
    for name in ("loss.slope-1", "loss.slope-2"):
        Folder(tmp_path / name).job.write_text("2")
    with pytest.raises(SystemExit) as left:
        sweep.on_multirun_end(config)
    assert left.value.code == 1
    for name in ("loss.slope-1", "loss.slope-2"):
        Folder(tmp_path / name).job.write_text("0")
    sweep.on_multirun_end(config)


def test_jobs_are_in_the_order_of_their_numbers(tmp_path: Path):
    names = ["a-1e-6", "a-0.5", "a-2", "a-10", "b-1"]
    for name in reversed(names):
        Folder(tmp_path / name).write({"name": name})
    assert [path.name for path in find_runs(tmp_path)] == names


@pytest.mark.slow
def test_a_sweep_is_extended_without_training_again(tmp_path: Path):
    words = ("-m", "+exp=smoke/waves", "test=false", f"hydra.sweep.dir={tmp_path}")
    first = command(*words, "loss.slope=1,2")
    assert first.returncode == 0, first.stderr
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/summary.json")}
    second = command(*words, "loss.slope=0.5,1,2")
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("completed before, kept") == 2
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    names = sorted(path.parent.name for path in tmp_path.glob("*/summary.json"))
    assert names == ["loss.slope-0.5", "loss.slope-1", "loss.slope-2"]


@pytest.mark.slow
def test_a_sweep_is_lengthened_in_its_folder(tmp_path: Path):
    words = ("-m", "+exp=smoke/waves", "seed=1", f"hydra.sweep.dir={tmp_path}")
    for epochs in (1, 2):
        done = command(*words, f"trainer.max_epochs={epochs}")
        assert done.returncode == 0, done.stderr
        summaries = [json.loads(path.read_text()) for path in tmp_path.glob("*/summary.json")]
        assert [summary["epochs"] for summary in summaries] == [epochs]


@pytest.mark.slow
def test_submitit_runs_the_jobs_of_a_sweep(tmp_path: Path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason='needs the extra "slurm"')
    done = command(
        "-m",
        "+exp=smoke/creative_agent",
        "loss.balance=5,2",
        "hydra/launcher=submitit_local",
        f"hydra.sweep.dir={tmp_path}",
    )
    assert done.returncode == 0, done.stderr
    summaries = [json.loads(path.read_text()) for path in tmp_path.glob("*/summary.json")]
    assert [s["status"] for s in summaries] == ["completed", "completed"]
    assert (tmp_path / "report.md").is_file()
