"""A sweep has one folder a job, outlives a failed job, and ends with its report."""

import json
from pathlib import Path

import pytest

from tests.suite import command


@pytest.mark.slow
def test_sweep_outlives_a_failed_job_and_reports(tmp_path: Path):
    words = ("-m", "+exp=smoke/creative_agent", "loss.balance=-1,5")
    done = command(*words, f"hydra.sweep.dir={tmp_path}")
    assert done.returncode == 1, done.stderr
    assert "1 of 2 jobs completed" in done.stdout
    folders = sorted(path.name for path in tmp_path.iterdir() if path.name[0].isdigit())
    assert [name[0] for name in folders] == ["0", "1"]
    assert not any("=" in name for name in folders)
    status = [json.loads((tmp_path / f / "summary.json").read_text())["status"] for f in folders]
    assert status == ["failed", "completed"]
    report = (tmp_path / "report.md").read_text()
    assert "loss.balance=-1" in report

    kept = (tmp_path / folders[1] / "summary.json").stat().st_mtime_ns
    again = command(*words, f"hydra.sweep.dir={tmp_path}")
    assert "completed before, kept" in again.stdout
    assert (tmp_path / folders[1] / "summary.json").stat().st_mtime_ns == kept


@pytest.mark.slow
def test_a_sweep_is_lengthened_in_its_folder(tmp_path: Path):
    words = ("-m", "+exp=smoke/multitrack", "seed=1", f"hydra.sweep.dir={tmp_path}")
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


@pytest.mark.slow
def test_an_experiment_from_outside_is_swept_too(tmp_path: Path):
    done = command("-m", "+exp=smoke/waves", "loss.slope=0,1", f"hydra.sweep.dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    summaries = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*/summary.json"))]
    assert [s["loss_weights"]["slope"] for s in summaries] == [0, 1]
    assert "loss.slope" in (tmp_path / "report.md").read_text()
