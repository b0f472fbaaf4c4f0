"""Predicted samples as few pieces: runs without flicker, keys whose straight lines fit.

`N` predicted samples (0.1 s), `K` tracks.
"""

import itertools

import numpy as np

from multitrack.answer.decode import ENTER, LEAVE
from multitrack.edit.timeline import Curve

SHORTEST = 5  # samples; shorter runs and gaps are flashes
JITTER = 3  # times its range that a value goes up and down without moving


def hysteresis(sure: np.ndarray, before: np.ndarray) -> np.ndarray:
    """On or off from probabilities (N, K); `before` (K,): what was on. Flicker is smoothed away."""
    state, out = before.astype(bool).copy(), np.zeros(sure.shape, bool)
    for i, row in enumerate(sure):
        state = np.where(state, row >= LEAVE, row > ENTER)
        out[i] = state
    for track in range(sure.shape[1]):
        for value in (False, True):  # first fill short gaps, then drop short runs
            for begin, end in runs(out[:, track] == value):
                inside = end < len(out) and (begin > 0 or before[track] != value)
                if end - begin < SHORTEST and inside:
                    out[begin:end, track] = not value
    return out


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """[begin, end) of the stretches of True."""
    padded = np.concatenate([[False], flags, [False]]).astype(np.int8)
    change = np.diff(padded)
    return list(zip(np.nonzero(change == 1)[0], np.nonzero(change == -1)[0], strict=True))


def segments(on: np.ndarray, asset: np.ndarray) -> list[tuple[int, int, int]]:
    """(begin, end, asset class) of one track: runs of `on` (N,), cut where `asset` (N,) changes.

    A class must hold for SHORTEST samples; a shorter one joins the stretch before it.
    """
    found: list[tuple[int, int, int]] = []
    for begin, end in runs(on):
        first = len(found)
        edges = [begin, *(begin + 1 + np.nonzero(np.diff(asset[begin:end]))[0]), end]
        for one, two in itertools.pairwise(edges):
            kind = int(asset[one])
            if len(found) > first and (two - one < SHORTEST or found[-1][2] == kind):
                found[-1] = (found[-1][0], int(two), found[-1][2])
            else:
                found.append((int(one), int(two), kind))
    return found


def simplify(values: np.ndarray, slack: float) -> list[int]:
    """Indices of the keys whose straight lines miss `values` (N,) by at most `slack`."""
    keys, open_ = {0, len(values) - 1}, [(0, len(values) - 1)]
    while open_:
        one, two = open_.pop()
        if two - one < 2:
            continue
        line = np.interp(np.arange(one, two + 1), (one, two), (values[one], values[two]))
        miss = np.abs(values[one : two + 1] - line)
        worst = int(miss.argmax())
        if miss[worst] > slack:
            keys.add(one + worst)
            open_ += [(one, one + worst), (one + worst, two)]
    return sorted(keys)


def curve(values: np.ndarray, frames: np.ndarray, slack: float) -> Curve:
    """A still value where `values` (N,) hardly move, else keys at `frames` (N,) media frames.

    What goes up and down within ten times the slack is uncertainty, not a motion.
    """
    middle, span = float(np.median(values)), float(np.ptp(values))
    jitters = span <= 10 * slack and np.abs(np.diff(values)).sum() > JITTER * span
    if np.abs(values - middle).max() <= slack or jitters:
        return Curve(round(middle, 4))
    keys = simplify(values, slack)
    return Curve(
        round(float(values[0]), 5),
        tuple((float(frames[k]), round(float(values[k]), 5)) for k in keys),
    )
