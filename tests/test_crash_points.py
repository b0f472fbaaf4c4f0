"""Killed at any operation on files, a run resumes to the same weights, curves and summary.

CI kills every experiment at one moment; `pytest -m slow_faults tests/test_crash_points.py` at ten.
"""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from experiments.reporting.events import read_run
from tests.crash import Crashes
from tests.suite import SHIPPED
from tests.test_resume import assert_equal_runs

EPOCHS = "trainer.max_epochs=2"
# What time and the machine decide.
VARIES = ("throughput/", "val/seconds", "test/seconds")


def differences(whole: Path, resumed: Path) -> list[str]:
    """What is not the same in two runs: tags of curves, fields of the summary."""
    assert_equal_runs(whole, resumed)
    assert_equal_runs(whole, resumed, "best")
    one, other = read_run(whole), read_run(resumed)
    found = []
    for tag in sorted({*one.curves, *other.curves}):
        if tag.startswith(VARIES) or "seconds" in tag:
            continue
        a, b = one.curves.get(tag), other.curves.get(tag)
        same = a is not None and b is not None and np.array_equal(a.steps, b.steps)
        if not same or not np.array_equal(a.values, b.values, equal_nan=True):
            found.append(f"curve {tag}")
    said = [json.loads((run / "summary.json").read_text()) for run in (whole, resumed)]
    for key in ("status", "objective", "steps", "epochs", "loss_weights", "parameters"):
        if said[0][key] != said[1][key]:
            found.append(f"summary {key}")
    for tag in sorted({*said[0]["metrics"], *said[1]["metrics"]}):
        values = [summary["metrics"].get(tag) for summary in said]
        if values[0] != values[1] and not tag.startswith(VARIES) and "seconds" not in tag:
            found.append(f"summary {tag}: {values}")
    return found


def check(experiment: str, points: int, folder: Path) -> None:
    """Kill the experiment at `points` of its operations, and compare what it resumes to."""
    with Crashes(experiment) as crash:
        status, count = crash(0, folder / "whole", EPOCHS)
        log = folder / "whole.log"
        assert status == 0, log.read_text()
        draws, found = random.Random(experiment), {}
        for at in sorted(draws.sample(range(1, count + 1), min(points, count))):
            place = folder / f"killed_{at}"
            assert crash(at, place, EPOCHS)[0] == -9
            status, _ = crash(0, place, EPOCHS)
            if status:
                found[at] = [Path(f"{place}.log").read_text()[-2000:]]
            elif unlike := differences(folder / "whole", place):
                found[at] = unlike
        print(f"{experiment}: killed at {min(points, count)} of {count}, unlike {len(found)}")
    assert not found, found


def test_the_example_resumes_from_two_crash_points(tmp_path: Path):
    check("waves", 2, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", SHIPPED)
def test_an_experiment_resumes_from_a_crash_point(experiment: str, tmp_path: Path):
    check(experiment, 1, tmp_path)


@pytest.mark.slow_faults
@pytest.mark.parametrize("experiment", [*SHIPPED, "waves"])
def test_every_experiment_resumes_from_ten_crash_points(experiment: str, tmp_path: Path):
    check(experiment, 10, tmp_path)
