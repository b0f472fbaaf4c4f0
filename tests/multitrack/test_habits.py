"""An editor's constants are found from the cuts, and tell the next ones."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitrack.edit.floor import changes, floor, noisy
from multitrack.edit.habits import LAG, SHORTEST, Habits, Turns, foretell, prior
from multitrack.edit.shots import cut_times
from multitrack.examples.moments import AHEAD, FORETOLD, Moments, told


def talk(seed: int, turns: int = 20) -> np.ndarray:
    """Three speakers (T, 3) in turn, each for 2 to 7 seconds."""
    rng = np.random.default_rng(seed)
    who, rows = 0, []
    for length in rng.integers(20, 70, turns):
        rows.append(np.eye(3, dtype=np.float32)[[who] * length])
        who = (who + int(rng.integers(1, 3))) % 3
    return np.concatenate(rows)


def edit(speech: np.ndarray, lag: int, shortest: int) -> np.ndarray:
    """What a switcher with these constants shows of it: (T,)."""
    shown, last = np.zeros(len(speech), np.int64), 0
    at = changes(floor(speech))
    shown[:] = speech[0].argmax()
    for change, over in zip(at[1:], [*at[2:], len(speech)], strict=True):
        tick = max(change + lag, last + shortest)
        if tick < over and over - change >= lag + 4:
            shown[tick:], last = speech[change].argmax(), tick
    return shown


@given(st.integers(3, 9), st.integers(10, 22), st.integers(0, 99))
def test_the_constants_of_an_editor_are_found(lag, shortest, seed):
    speech = talk(seed)
    shown = edit(speech, lag, shortest)
    weights = Moments.of(shown, speech).editor.weights
    share = np.exp(weights - weights.max())
    assert abs(LAG @ share / share.sum() - lag) < 0.6
    # Of how short a shot may be the shortest one tells.
    assert share[np.diff([0, *cut_times(shown)]).min() + 1 < SHORTEST].sum() < 0.35 * share.sum()


def test_what_was_learnt_tells_the_next_cuts_within_two_ticks():
    speech = talk(0, 40)
    shown = edit(speech, 9, 20)
    moments, times = Moments.of(shown, speech), cut_times(shown)
    late = times[len(times) // 2 :]
    before = np.maximum(late - 10, 0)
    within = sum(told(moments, late + k, before)[:, FORETOLD] for k in range(-2, 3))
    assert np.median(within) > 0.8
    at_first = sum(told(moments, times[:1] + k, times[:1] - 10)[:, FORETOLD] for k in (-1, 0, 1))
    assert at_first[0] < np.median(within)  # an editor who is not yet known


@given(st.integers(0, 99))
def test_nothing_is_foretold_of_what_was_seen_and_no_more_than_one_cut(seed):
    speech = noisy(talk(seed, 6), np.random.default_rng(seed))
    moments = Moments.of(edit(speech, 5, 15), speech)
    seen = np.arange(30, len(speech) - AHEAD)
    ahead = [told(moments, seen + k, seen)[:, FORETOLD] for k in range(1, AHEAD)]
    assert (told(moments, seen - 3, seen)[:, FORETOLD] == 0).all()
    total = np.sum(ahead, 0)
    assert ((total >= 0) & (total <= 1 / 0.9)).all()


def test_a_hypothesis_foretells_what_the_switcher_does():
    speech = talk(5)
    holder = floor(speech)
    turns = Turns.of(holder, speech, 600)
    theirs = np.array([0, 1, 2, -1])
    for lag, shortest in ((4, 12), (8, 22)):
        number = int(np.nonzero((lag == LAG) & (shortest == SHORTEST))[0][0])
        shown = edit(speech, lag, shortest)
        times = cut_times(shown)
        for began, end in itertools.pairwise(times):
            made = foretell(began, int(shown[began]), end - began + 9, turns, theirs, False)[number]
            assert made.argmax() == end - began


def test_an_edge_that_is_heard_twice_is_where_it_is():
    speech = talk(6).astype(np.float32)
    found = Turns.of(floor(speech), speech, 600).spread[1:]
    np.testing.assert_allclose(found.sum(-1), 1)
    assert (found[:, 0].argmax(-1) == 7).all()  # a good detector's edge is not off
    assert (found[:, 1].max(-1) < found[:, 0].max(-1)).all()


def test_how_well_edges_are_heard_is_told_before_the_first_cut():
    """Both speakers' edges of a change are apart as far as the detector is off."""
    speech = talk(6)
    for heard, least, most in (
        (speech, 0, 0.01), (noisy(speech, np.random.default_rng(6), errors=0), 0.99, 1),
    ):  # fmt: skip
        slack = Turns.of(floor(heard), heard, 600).slack
        poor = 1 / (1 + np.exp(slack[0] - slack[-1]))
        assert least <= poor <= most


def test_who_is_the_first_to_speak_is_no_reason_to_cut():
    """Unless it is known that somebody else shows: they may begin late."""
    speech = np.pad(talk(2), ((3, 0), (0, 0)))
    turns = Turns.of(floor(speech), speech, 600)
    first = int(turns.who[0])
    strangers, cast = np.full(4, -1), np.arange(4)
    for theirs, camera, cuts in ((strangers, 0, 0), (cast, first, 0), (cast, (first + 1) % 3, 1)):
        made = foretell(0, camera, 20, turns, theirs, False)
        assert made.max() == pytest.approx(cuts and 0.9, abs=0.05)


def test_the_switchers_constants_are_what_is_taken_of_a_stranger():
    assert LAG[Habits().weights.argmax()] == 5
    assert SHORTEST[prior(5, 25).argmax()] == 25


@pytest.mark.parametrize("seed", range(3))
def test_the_floor_is_found_through_noise(seed):
    """Edges off by 0.2 s and 5 % of errors: no change too many, most within 0.2 s."""
    speech = talk(seed, 40)
    true = changes(floor(speech))
    found = changes(floor(noisy(speech, np.random.default_rng(seed))))
    assert abs(len(found) - len(true)) <= 2
    assert np.mean(np.abs(true[:, None] - found).min(1) <= 2) > 0.75
