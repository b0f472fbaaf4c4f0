"""The report of a sweep, and of runs from anywhere."""

from itertools import takewhile

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
    table = takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
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


def sweep_over_seeds(folder, found):
    """Runs of b=1, 2, 3 with the objectives that `found` has, a list for each b by seed."""
    for weight, bests in found.items():
        for seed, best in enumerate(bests):
            place = folder / f"loss.b-{weight}_seed-{seed}"
            make_run(place, weight=weight, best=best)
            words = ["+exp=demo/x", f"loss.b={weight}", f"seed={seed}"]
            OmegaConf.save(words, place / ".hydra" / "overrides.yaml")
    write_report(folder)
    return (folder / "report.md").read_text()


def test_seeds_are_no_settings(tmp_path):
    """Means and spreads by hand; differences of 0.1 and 0.3: a mean of 0.2, t = 2, p = 0.2952."""
    text = sweep_over_seeds(tmp_path, {1: [0.2, 0.4], 2: [0.3, 0.7], 3: [0.2, 0.4]})
    rows = [line for line in text.splitlines() if line.startswith(("| 1 |", "| 2 |", "| 3 |"))]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[:3]]
    assert [row[:3] for row in cells] == [
        ["1", "2", "0.30 ± 0.14"],
        ["3", "2", "0.30 ± 0.14"],
        ["2", "2", "0.50 ± 0.28"],
    ]
    assert cells[0][-2:] == ["the best", ""]
    assert cells[1][-2].startswith("0 (")
    assert cells[2][-2].startswith("0.2 (")
    assert cells[2][-1] == "0.59", "two comparisons: Holm doubles the smaller p"
    assert "each of the 6 runs" in text
    assert "loss.b" in text[text.index("Importance of the settings") :]


def test_what_differs_between_the_configurations_is_named(sweep):
    text = (sweep / "report.md").read_text()
    table = text[text.index("keys of the configuration that differ: 1") :].split("</details>")[0]
    assert "| loss.b |" in table
    assert "| seed |" not in table, "the same for all"


def test_experiments_are_reported_one_by_one(tmp_path):
    for name in ("codec", "multitrack"):
        for weight in (1, 2):
            make_run(tmp_path / f"{name}-{weight}", name=name, weight=weight)
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == ["## codec", "## multitrack"]
    assert (tmp_path / "figures" / "report_codec_metrics.png").is_file()
    page = (tmp_path / "report.html").read_text()
    assert page.count("<details") == page.count("</details>")
    assert page.count('<details class="section" open>') == 2


def test_differences_have_an_interval_where_errors_are_known(tmp_path):
    """0.5 ± 0.03 and 0.3 ± 0.04: a difference of -0.2 ± 1.96 x 0.05."""
    for name, value, error in (("a", 0.5, 0.03), ("b", 0.3, 0.04)):
        metrics = {"test/error": value, "test/error_se": error, "test/other": value}
        make_run(tmp_path / name, metrics=metrics)
    compare([tmp_path / "a", tmp_path / "b"])
    text = (tmp_path / "comparison" / "report.md").read_text()
    assert "| test/error | 0.5 | **-0.2** (-0.298 to -0.102) |" in text
    assert "| test/other | 0.5 | -0.2 |" in text
