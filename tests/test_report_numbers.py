"""What the report reads off event files, and how it writes and judges numbers."""

import time

import numpy as np
import pytest
from omegaconf import OmegaConf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from experiments.report import write_report
from experiments.reporting.curves import Curve, downsample, smooth
from experiments.reporting.events import read_run
from experiments.reporting.targets import parse_target
from experiments.shared.errors import InputError
from experiments.shared.numbers import change, duration, number
from tests.report_runs import write_events


def test_a_resumed_run_has_one_curve_in_which_the_later_file_wins(tmp_path):
    write_events(tmp_path, 0, 25, slope=0.0)
    time.sleep(1.1)  # event files are ordered by the second in their names
    write_events(tmp_path, 20, 40, slope=0.01)
    curve = read_run(tmp_path).curves["train/a"]
    assert curve.steps.tolist() == list(range(40))
    assert curve.values[:20] == pytest.approx(np.ones(20))
    assert curve.values[20:] == pytest.approx(1 - 0.01 * np.arange(20, 40))
    assert read_run(tmp_path).curves["val/error"].steps.tolist() == [9, 19, 29, 39]


def test_what_the_resume_undid_is_gone_even_where_it_was_not_logged_again(tmp_path):
    write_events(tmp_path, 0, 30)
    time.sleep(1.1)
    write_events(tmp_path, 20, 25)
    assert read_run(tmp_path).curves["val/error"].steps.tolist() == [9, 19]


def test_a_hundred_thousand_points_are_read_in_seconds(tmp_path):
    (tmp_path / "tb").mkdir()
    with (tmp_path / "tb" / "events.out.tfevents.1").open("wb") as file:
        records = RecordWriter(file)
        for step in range(100_000):
            value = Summary.Value(tag="train/total", simple_value=step % 7)
            records.write(Event(step=step, summary=Summary(value=[value])).SerializeToString())
    start = time.process_time()
    curve = read_run(tmp_path).curves["train/total"]
    assert len(curve.steps) == 100_000
    thin = downsample(smooth(curve, 5), 1500)
    assert time.process_time() - start < 15
    assert len(thin.steps) <= 1502


def test_downsampling_keeps_the_extremes():

    values = np.zeros(10_000)
    values[4321], values[8765] = 5.0, -3.0
    thin = downsample(Curve(np.arange(10_000), values), 200)
    assert (thin.values.max(), thin.values.min()) == (5.0, -3.0)
    assert (thin.steps[0], thin.steps[-1]) == (0, 9999)
    assert (np.diff(thin.steps) > 0).all()


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">= 0.97", [0.97, 1, float(np.float32(0.97))], [0.9699, float("nan")]),
        ("<=0.01", [0.01, -1], [0.0101]),
        ("< 5", [4.999], [5, float("inf")]),
        ("> 1e-3", [0.0011], [0.001]),
        ("0.49..0.51", [0.49, 0.5, 0.51], [0.489, 0.511]),
        ("-2 .. -1.5", [-1.7], [-1.4]),
        ("0.50 +- 0.02", [0.48, 0.52], [0.47, 0.53]),
        (">= 0.97 (by construction)", [0.97, 1.0], [0.96]),
    ],
)
def test_target_expressions(text, inside, outside):
    target = parse_target(text)
    assert all(target.met(value) for value in inside)
    assert not any(target.met(value) for value in outside)


@pytest.mark.parametrize("text", ["about 3", ">= high", "0.6..0.4", "", "=> 3"])
def test_a_target_that_cannot_be_read_is_named(tmp_path, text):
    with pytest.raises(InputError, match="target"):
        parse_target(text)


def test_a_target_that_is_met_by_construction_is_said_and_not_counted(tmp_path):
    targets = {"val/error": ">= 0 (by construction)", "val/complementarity": "> 2"}
    config = {"name": "tried", "targets": targets}
    (tmp_path / ".hydra").mkdir()
    OmegaConf.save(config, tmp_path / ".hydra" / "config.yaml")
    write_events(tmp_path, 0, 25)
    assert parse_target(targets["val/error"]).remark == "by construction"
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "targets met: **0 of 1** (1 by construction)" in text
    assert "**met** (by construction)" in text


def test_numbers_are_short_and_exact_enough():
    values = [0, 1, 0.25, 1234.56, 123456, 1.5e13, 1e-6, 0.00012346, -0.5, None, float("nan")]
    shown = ["0", "1", "0.25", "1235", "123,456", "1.5e13", "1e-6", "0.0001235", "-0.5", "–", "NaN"]
    assert [number(value) for value in values] == shown
    assert change(2.0, 1.0) == "-50 %"
    assert change(-4.0, -3.0) == "+25 %"
    assert change(2.0, 50.0) == "x 25"
    assert [duration(s) for s in (0.4, 61, 3725)] == ["0.4 s", "1 min 01 s", "1 h 02 min"]
