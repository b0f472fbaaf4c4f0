"""The index of a folder of runs, and the forecast of a target."""

import numpy as np

from experiments.report import write_report
from experiments.reporting.curves import Curve
from experiments.reporting.forecast import forecast
from experiments.reporting.targets import parse_target
from tests.report_runs import make_run


def test_the_index_lists_runs_and_sweeps_the_latest_first(tmp_path):
    place = tmp_path / "codec"
    make_run(place / "2026-01-02_03-04-05_7", name="codec", best=0.25)
    make_run(place / "2026-01-03_03-04-05_7", name="codec", status=None)
    for weight in (1, 2):
        job = make_run(
            place / "sweep-2026-02-01_00-00-00" / f"b-{weight}", name="codec", best=weight
        )
        (job / ".job").write_text("0")
    write_report(place / "sweep-2026-02-01_00-00-00")
    for folder in (place, tmp_path):
        write_report(folder)
        lines = (folder / "report.md").read_text().splitlines()
        rows = [line for line in lines if line.startswith("| ") and "2026" in line]
        dates = ("sweep-2026-02", "2026-01-03", "2026-01-02")
        assert all(date in row for date, row in zip(dates, rows, strict=True))
        assert "2 completed" in rows[0]
        assert "sweep-2026-02-01_00-00-00/report.html" in rows[0]
        assert "unfinished" in rows[1]
        assert "0.25" in rows[2]
    assert (
        not (place / "sweep-2026-02-01_00-00-00" / "report.md").read_text().startswith("# codec: 0")
    )


def curve(values):
    return Curve(np.arange(1, len(values) + 1) * 100, np.asarray(values, float))


def test_a_target_on_the_way_is_forecast_with_its_interval():
    """1 - 0.1 ln(step), with noise: 0.2 is crossed at exp(8) = 2981."""
    steps = np.arange(1, 21) * 100
    values = 1 - 0.1 * np.log(steps) + np.random.default_rng(0).normal(0, 0.003, 20)
    found = forecast(curve(values), parse_target("<= 0.2"))
    assert found is not None
    assert found.early < found.middle < found.late
    assert 2400 < found.middle < 3700
    assert found.early < 2981 < found.late


def test_what_is_met_flat_or_going_away_has_no_forecast():
    target = parse_target("<= 0.2")
    assert forecast(curve(np.linspace(0.5, 0.1, 20)), target) is None, "met"
    assert forecast(curve(np.linspace(0.5, 0.9, 20)), target) is None, "the other way"
    assert forecast(curve([0.5, 0.4]), target) is None, "two points"
    flat = 0.5 + np.random.default_rng(0).normal(0, 1e-4, 20)
    assert forecast(curve(flat), target) is None, "a plateau"
