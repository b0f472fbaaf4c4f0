"""Progress in a log: a line now and then, not one for each step."""

import pytest

from experiments.shared import progress as module
from experiments.shared.progress import Progress, progress
from tests.test_imports import FILES, imported


def test_short_work_leaves_one_line(capsys):
    assert list(progress(range(500), "counting", "number")) == list(range(500))
    said = capsys.readouterr().err
    assert said.splitlines() == ["counting: 500 of 500 numbers, 0:00 spent"]


def test_long_work_leaves_a_line_an_interval(capsys, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    with Progress(100, "working", "step") as bar:
        for _ in range(100):
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 8
    assert "left" in lines[0]
    assert lines[-1].startswith("working: 100 of 100 steps")


def test_work_without_a_length_says_its_total(capsys):
    assert list(progress(iter("abc"), "letters", "letter", total=3)) == ["a", "b", "c"]
    assert "3 of 3 letters" in capsys.readouterr().err


def test_an_error_still_says_how_far_it_came(capsys):
    def fail():
        with Progress(10, "work") as bar:
            bar.update(4)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert "work: 4 of 10 items" in capsys.readouterr().err


def test_work_that_goes_on_counts_what_was_done_before(capsys, monkeypatch):
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    with Progress(10, "simulating", "frame", done=8) as bar:
        bar.update()
        bar.update()
    first, last = capsys.readouterr().err.splitlines()
    assert first == "simulating: 9 of 10 frames, 1:20 spent, 1:20 left"
    assert last.startswith("simulating: 10 of 10 frames")


def test_nobody_draws_a_bar_of_his_own():
    """Whose bar would be redrawn hundreds of times in a log."""
    found = [p for p in FILES if "tqdm" in imported(p) and p.name != "progress.py"]
    assert not found
