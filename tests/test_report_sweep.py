"""The report of a sweep, and of runs from anywhere."""

import pytest
from omegaconf import OmegaConf

from experiments.report import compare, write_report
from tests.report_runs import make_run


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    make_run(folder / "0_loss.b-2", weight=2, best=0.3)
    make_run(folder / "1_loss.b-5", weight=5, best=0.1)
    make_run(folder / "2_loss.b-10", weight=10, best=0.05, status="diverged")
    make_run(folder / "10_loss.b-20", weight=20, best=0.2)
    (folder / "11_loss.b-40" / ".hydra").mkdir(parents=True)
    OmegaConf.save(["+exp=demo/x", "loss.b=40"], folder / "11_loss.b-40" / ".hydra/overrides.yaml")
    OmegaConf.save({"name": "creative_agent_demo"}, folder / "11_loss.b-40" / ".hydra/config.yaml")
    write_report(folder)
    return folder


def results(folder):
    lines = (folder / "report.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| run "))
    table = [line for line in lines[start + 2 :] if line.startswith("|")]
    return [[cell.strip("* ") for cell in line.strip("|").split("|")] for line in table]


def test_a_sweep_is_sorted_by_its_objective_and_shows_failed_jobs(sweep):
    rows = [(number, weight, status, best) for number, weight, status, best, *_ in results(sweep)]
    assert rows == [
        ("1", "5", "completed", "0.1"),
        ("2", "20", "completed", "0.2"),
        ("3", "2", "completed", "0.3"),
        ("4", "10", "diverged", "0.05"),
        ("5", "40", "unfinished", "–"),
    ]
    assert "the gradient norm is nan" in (sweep / "report.md").read_text()


def test_a_sweep_sorts_the_other_way_for_max(tmp_path):
    for job, best in enumerate([0.3, 0.1, 0.2]):
        objective = {"name": "val/error", "mode": "max", "best": best, "best_step": 9, "last": best}
        make_run(tmp_path / f"{job}_x", weight=job + 1, objective=objective)
    write_report(tmp_path)
    assert [best for _, _, _, best, *_ in results(tmp_path)] == ["0.3", "0.2", "0.1"]


def test_a_sweep_draws_curves_and_results_against_the_setting(sweep):
    assert {path.name for path in (sweep / "figures").iterdir()} == {
        "report_metrics.png",
        "report_terms.png",
        "report_against_1.png",
    }


def test_runs_from_anywhere_can_be_compared(tmp_path):
    ours = make_run(tmp_path / "a" / "ours", name="creative_agent_demo", best=0.2)
    theirs = make_run(tmp_path / "b" / "theirs", name="creative_agent_published", best=0.4)
    compare([theirs, ours], tmp_path / "out")
    assert [cells[1] for cells in results(tmp_path / "out")] == [
        "creative_agent_demo",
        "creative_agent_published",
    ]
