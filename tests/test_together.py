"""Jobs side by side: the machine is shared out, one that fails may end the others, all is told."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from experiments.running.again import rewritten
from experiments.running.launch import Job
from experiments.running.places import Place, devices_of, places
from experiments.running.studies.live import Live
from experiments.running.studies.together import Listed, Stopped, work_off
from experiments.running.words import mend
from experiments.shared.errors import InputError
from experiments.shared.folder import Folder
from tests.suite import EXAMPLE, command, run

# What a job does, without a training: it leaves with the status that its word says.
ENDS = "import sys, time; time.sleep(float(sys.argv[1])); sys.exit(int(sys.argv[2]))"


class Quick(Job):
    """Sleeps for words[0] seconds, then leaves with status words[1]."""

    def start(self, place: Place, log: bool) -> subprocess.Popen:
        self.folder.mkdir(parents=True)
        self.place.job.write_text("begun")
        self.began, self.at = time.monotonic(), place.number
        return subprocess.Popen([sys.executable, "-c", ENDS, *self.words])

    def end(self, status: int) -> str:
        self.ended = time.monotonic()
        return super().end(status)


def quick(folder: Path, *jobs: tuple[float, int]) -> list[Quick]:
    return [Quick(folder / str(i), "quick", list(map(str, job))) for i, job in enumerate(jobs)]


def test_each_place_has_one_job_at_a_time(tmp_path: Path):
    jobs = quick(tmp_path, *[(0.1, 0)] * 6)
    work_off(Listed(jobs), [Place(0), Place(1)], fail_fast=False, alone=False)
    for number in (0, 1):
        own = sorted((job.began, job.ended) for job in jobs if job.at == number)
        assert own
        assert all(first[1] <= second[0] for first, second in pairwise(own))
    assert all(job.place.job.read_text() == "0" for job in jobs)


@pytest.mark.parametrize("fail_fast", [False, True])
def test_a_failed_job_ends_the_others_only_if_asked(tmp_path: Path, fail_fast: bool):
    jobs = quick(tmp_path, (0.1, 3), (1.5, 0), (0, 0))
    work_off(Listed(jobs), [Place(0), Place(1)], fail_fast, alone=False)
    status = [job.place.job.read_text() if job.place.job.exists() else "" for job in jobs]
    assert status == (["3", str(-signal.SIGTERM), ""] if fail_fast else ["3", "0", "0"])
    assert jobs[0].place.read()["error"] == "the job ended with exit status 3"
    assert not jobs[1].place.read(), "one that was stopped has not failed"


def test_a_signal_reaches_all_jobs_and_no_further_begins(tmp_path: Path):
    jobs = quick(tmp_path, (60, 0), (60, 0), (0, 0))
    work = Listed(jobs)
    work.look = lambda job: os.kill(os.getpid(), signal.SIGTERM) if job is jobs[1] else False
    with pytest.raises(Stopped) as left:
        work_off(work, [Place(0), Place(1)], fail_fast=False, alone=False)
    assert left.value.code == 128 + signal.SIGTERM
    assert not jobs[2].folder.exists()


def test_the_machine_is_shared_out():
    gpus = {"CUDA_VISIBLE_DEVICES": "0,2,5"}
    own = [place.variables["CUDA_VISIBLE_DEVICES"] for place in places(3, 1, gpus)]
    assert own == ["0", "2", "5"]
    assert len(places(4, 1, gpus)) == 3, "no two jobs on one GPU"
    assert len(places(4, 2, gpus)) == 1, "two GPUs a job"
    assert places(2, None, gpus) == [Place(0)], "a job that takes them all runs alone"
    on_cpu = places(2, 0, gpus)
    assert all("CUDA_VISIBLE_DEVICES" not in place.variables for place in on_cpu)
    threads = {place.variables["OMP_NUM_THREADS"] for place in on_cpu}
    assert threads == {str(max(1, len(os.sched_getaffinity(0)) // 2))}
    said = places(2, 0, {"OMP_NUM_THREADS": "7"})[0].variables
    assert "OMP_NUM_THREADS" not in said, "what the user says holds"


@pytest.mark.parametrize(
    ("trainer", "devices"),
    [
        ({"accelerator": "cpu", "devices": 4}, 0),
        ({"accelerator": "auto", "devices": 1}, 1),
        ({"accelerator": "gpu", "devices": [0, 3]}, 2),
        ({"accelerator": "gpu", "devices": "0,3,4"}, 3),
        ({"accelerator": "gpu", "devices": -1}, None),
    ],
)
def test_a_jobs_gpus_are_those_of_its_trainer(trainer: dict, devices: int | None):
    assert devices_of(trainer) == devices


def test_in_a_log_each_job_leaves_a_line(tmp_path: Path, capsys):
    job, *_ = quick(tmp_path, (0, 0))
    Folder(job.folder).write({"status": "completed", "objective": {"best": 0.25}})
    with Live(2) as live:
        live.begun(job)
        live.show()
        live.ended(job, 0, "completed")
    assert (
        capsys.readouterr().out
        == "0: completed, objective 0.25, 0:00; 1 of 2 done, about 0:00 left\n"
    )


def test_the_table_tells_how_far_each_job_is(tmp_path: Path):
    job, *_ = quick(tmp_path, (0, 0))
    Folder(job.folder).write({})
    job.place.pulse.write_text(
        '{"epoch": 3, "epochs": 9, "left_s": 70, "history": [[1, 0.5], [2, 0.75]]}'
    )
    live = Live(3)
    live.begun(job)
    table = live.table()
    cells = [next(iter(column.cells)) for column in table.columns]
    assert cells == ["0", "running", "3/9", "0.75", "0.5", "1:10"]


def test_a_run_tells_how_far_it_is_and_where_its_time_went(tmp_path: Path):
    words = ("+exp=smoke/waves", "trainer.max_epochs=2")
    run(tmp_path, *words)
    place = Folder(tmp_path)
    pulse, summary = place.read_pulse(), place.read()
    assert [step for step, _ in pulse["history"]] == [2, 4]
    assert pulse["history"][-1][1] == pytest.approx(summary["objective"]["last"])
    assert list(summary["phases"]) == ["preparation", "training", "validation", "test"]
    assert sum(summary["phases"].values()) <= summary["duration_s"] + 0.1
    run(tmp_path, *words, "trainer.max_epochs=3")
    assert [step for step, _ in place.read_pulse()["history"]] == [2, 4, 6], "a resumed run goes on"


def test_a_folder_of_configurations_is_found_by_every_job(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("SUITE_CONF")
    words, notes = mend(["-m", "--config-dir", str(tmp_path), "+exp=a", "seed=1,2"])
    place = f"hydra.searchpath=['file://{tmp_path}','pkg://experiments']"
    assert words == ["-m", "+exp=a", "seed=1,2", place]
    assert "understood as" in notes[0]
    assert mend([f"--config-dir={tmp_path}", "+exp=a"])[0] == ["+exp=a", place]
    with pytest.raises(InputError, match="no such folder"):
        mend(["--config-dir", str(tmp_path / "none"), "+exp=a"])


def test_of_several_experiments_each_gets_what_is_its_own():
    """Before there is one experiment there is no model whose values could be set."""
    words = rewritten(["-m", "+exp=demo/codec,multitrack", "model.dropout=0.1", "seed=1,2"])
    assert words[:4] == [
        "-m",
        "+exp=demo/codec,multitrack",
        "model.dropout=choice(0.1)",
        "seed=1,2",
    ]
    assert words[4].startswith("hydra.sweep.dir=${paths.outputs}/codec-multitrack/sweep-")
    assert words[5] == "hydra.job.config.override_dirname.exclude_keys=[model.dropout]"


@pytest.mark.slow
def test_experiments_of_a_users_folder_are_swept_side_by_side(tmp_path: Path, monkeypatch):
    """Two experiments, found by --config-dir, with values of both."""
    monkeypatch.delenv("SUITE_CONF")
    monkeypatch.setenv("SUITE_OUTPUTS", str(tmp_path))
    done = command(
        *("-m", "--config-dir", str(EXAMPLE / "conf"), "+exp=smoke/waves,waves"),
        *("sweep.jobs=2", "strategy=cpu", "test=false", "data.length=32"),
        *("trainer.max_epochs=1", "data.sizes.train=4", "data.sizes.val=2", "data.batch_size=2"),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    (folder,) = tmp_path.glob("waves-waves/sweep-*")
    assert len(list(folder.glob("*/job.log"))) == 2
    assert [bool(p.parent.joinpath(".pulse").exists()) for p in folder.glob("*/summary.json")] == [
        True,
        True,
    ]
    report = (folder / "report.md").read_text()
    assert "## waves" in report
    assert "## waves_smoke" in report
