"""An edit that is sent through keeps what it holds; what refers to something finds it."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitrack.answer.compose import Composer
from multitrack.edit.timeline import sample
from multitrack.xmeml import files
from tests.multitrack.conftest import timelines
from tests.multitrack.documents import (
    MOTION,
    check_references,
    clip,
    content,
    document,
    rich,
)


def test_a_document_loses_nothing_on_its_way_through():
    given = rich()
    timeline = files.parse(given)
    assert timeline.notes == []
    written = files.dumps(timeline)
    assert content(given) - content(written) == Counter()
    check_references(written)
    assert content(files.dumps(files.parse(written))) == content(written)


def test_a_continued_document_loses_only_where_it_ended():
    given = rich()
    timeline = files.parse(given)
    start = len(sample(timeline).values)
    going_on = np.repeat(sample(timeline).values[-1:], 30, 0)
    made = Composer(timeline).lay(going_on, going_on[:, :, 0], start)
    lost = content(given) - content(files.dumps(made))
    assert {tag for tag, _, _ in lost} <= {"end", "out", "duration"}


def test_finer_edges_go_with_the_trim_that_they_are_of():
    second = 254_016_000_000  # ticks
    ticks = f"<pproTicksIn>{second // 25}</pproTicksIn><pproTicksOut>{second * 4}</pproTicksOut>"
    timeline = files.parse(document(clip(first=1, last=100, end=99, filters=ticks)))
    assert files.dumps(timeline).count(b"pproTicks") == 4
    hole = np.zeros((6, 20, 9))
    made = Composer(timeline).lay(hole, hole[:, :, 0], 14)
    assert len(made.clips) == 2
    assert b"pproTicks" not in files.dumps(made)


def test_where_motion_changes_the_rest_of_its_filter_stays():
    given = document(clip(filters=MOTION))
    timeline = files.parse(given)
    values = np.repeat(sample(timeline).values[-1:], 30, 0)
    values[:, 0, 3] = 0.3
    made = Composer(timeline).lay(values, values[:, :, 0], 40)
    assert [note for note in made.notes if "easing" in note] == []
    written = files.dumps(made)
    for kept in (b"FCPCurve", b"antiflicker", b"0.7"):
        assert kept in written
    np.testing.assert_allclose(sample(files.parse(written)).values[40:, 0, 3], 0.3, atol=1e-4)
    values[:, 0, 2] = 60
    made = Composer(timeline).lay(values, values[:, :, 0], 40)
    assert [note for note in made.notes if "easing" in note] == [
        "'c1': scale goes on, its keys lose their easing"
    ]


@pytest.mark.parametrize("relative", [(0, 40), (10, 90)])
def test_a_clip_cut_in_two_moves_as_before(relative):
    """Keys that lie before the second part's trim are not taken for the part's own time."""
    keys = MOTION.replace("<when>10", f"<when>{relative[0]}").replace(
        "<when>60", f"<when>{relative[1]}"
    )
    timeline = files.parse(document(clip(filters=keys)))
    true = sample(timeline).values
    hole = np.zeros((6, 20, 9))
    made = Composer(timeline).lay(hole, hole[:, :, 0], 14)
    again = sample(files.parse(files.dumps(made))).values
    assert not again[14:20, 0, 0].any()
    np.testing.assert_allclose(again[20:, 0], true[20:, 0], atol=1e-4)


@pytest.mark.parametrize("first", [0, 10, 30, 60])
@pytest.mark.parametrize("length", [5, 20, 40])
def test_references_hold_after_any_block_is_taken_out(first, length):
    timeline = files.parse(rich())
    hole = np.zeros((length, 20, 9))
    for made in (
        Composer(timeline).lay(hole, hole[:, :, 0], first),
        Composer(timeline).lay(hole, hole[:, :, 0], first, [0]),
    ):
        check_references(files.dumps(made))
        for number in (1, 2):
            if f"c{number}" not in {c.id for c in made.clips}:
                assert any("without the link" in note for note in made.notes)


@given(timelines(), st.integers(0, 60), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_outside_the_block_that_is_predicted_nothing_changes(timeline, start, length, seed):
    timeline = files.parse(files.dumps(timeline))
    true = sample(timeline).values
    start = min(start, len(true))
    rng = np.random.default_rng(seed)
    values = np.repeat(
        rng.random((-(-length // 5), 20, 9)) * (1, 9, 150, 1, 1, 50, 50, 50, 50), 5, 0
    )
    made = Composer(timeline).lay(values[:length], values[:length, :, 0], start, [0, 1, 2])
    written = files.dumps(made)
    check_references(written)
    again = sample(files.parse(written)).values
    outside = np.ones((max(len(true), start + length), 20), bool)
    outside[start : start + length, :3] = False
    outside = outside[: len(true)]
    np.testing.assert_array_equal(again[: len(true)][outside][:, 0], true[outside][:, 0])
    # Asset classes number the sources in order of appearance, which a new clip may change.
    np.testing.assert_allclose(
        again[: len(true)][outside][:, 2:], true[outside][:, 2:], rtol=1e-4, atol=2e-3
    )
    for clip_ in made.clips:
        if clip_.kind in ("video", "nested"):
            given_ = [c.last for c in timeline.clips if c.media.id == clip_.media.id]
            assert clip_.last <= max(clip_.media.duration, *given_)


def test_the_second_part_of_a_clip_does_not_take_the_first_ones_motion():
    timeline = files.parse(document(clip(filters=MOTION)))
    true = sample(timeline).values
    values = np.repeat(true[10:11], 10, 0)
    values[:, 0, 2], values[6:, 0, 0] = 30, 0  # the first part goes on for a while, smaller
    made = Composer(timeline).lay(values, values[:, :, 0], 10)
    again = sample(files.parse(files.dumps(made))).values
    np.testing.assert_allclose(again[10:16, 0, 2], 30)
    np.testing.assert_allclose(again[20:, 0], true[20:, 0], atol=1e-4)


def test_a_prediction_over_a_prediction_gives_no_id_twice():
    timeline = files.parse(rich())
    for first in (20, 50, 50, 12):
        values = np.repeat(sample(timeline).values[10:11], 6, 0)
        values[:, :, 1] = 8  # cut the clips of another class, lay others in between
        written = files.dumps(Composer(timeline).lay(values, values[:, :, 0], first))
        check_references(written)
        timeline = files.parse(written)
