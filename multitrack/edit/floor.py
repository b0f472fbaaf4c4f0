"""Who has the floor: told from speech activity that may be noisy. `T` ticks of 0.1 s, `M` speakers.

Unlike `drivers.events`, which hears tick by tick as it comes, this looks 0.2 s around: a recording
is known before it is cut.
"""

import numpy as np
from scipy.ndimage import binary_closing, uniform_filter1d

AROUND = 7  # ticks over which speech is averaged: shorter slips of a detector are none
HELD = 5  # ticks; a detector keeps up shorter breaths


def floor(speech: np.ndarray) -> np.ndarray:
    """The holder at each tick (T,), -1 before anybody spoke, from activities (T, M) of 0..1.

    The floor passes when its holder is silent and somebody else speaks: a word thrown in or a pause
    of all is no change.
    """
    heard = uniform_filter1d(speech.astype(np.float64), AROUND, axis=0, mode="nearest")
    loudest, talks = heard.argmax(1), heard.max(1) > 0.5
    holder, out = -1, np.empty(len(speech), np.int64)
    for tick in range(len(speech)):
        if talks[tick] and (holder < 0 or heard[tick, holder] < 0.5):
            if holder >= 0:
                first = _passed(speech[:, holder], speech[:, loudest[tick]], tick)
                out[first:tick] = int(loudest[tick])
            holder = int(loudest[tick])
        out[tick] = holder
    return out


def _passed(one: np.ndarray, two: np.ndarray, about: int) -> int:
    """The tick, within AROUND before `about`, that best parts what `one` says from what `two` does.

    Where both are silent, or both speak, it is the middle: each end may be off by as much.
    """
    low = max(1, about - 2 * AROUND)
    lead = (one - two)[low : about + AROUND].astype(np.float64)
    # What `one` leads by before a tick, and `two` from it on, is greatest there.
    score = np.concatenate([[0], np.cumsum(lead)])[: about - low + AROUND]
    best = np.nonzero(score >= score.max() - 1e-6)[0]
    return min(about, low + int((best[0] + best[-1] + 1) // 2))


def noisy(
    speech: np.ndarray, rng: np.random.Generator, jitter: float = 2.0, errors: float = 0.05
) -> np.ndarray:
    """Activities (T, M) as a detector might give them.

    Each edge of a stretch of speech (breaths of less than HELD ticks do not end one) is off by a
    normal error of `jitter` ticks, and `errors` of all ticks are wrong, in slips of 1 to 4 ticks.
    """
    ticks, out = len(speech), np.zeros_like(speech)
    for mic in range(speech.shape[1]):
        on = np.pad(speech[:, mic] > 0.5, HELD)
        held = binary_closing(on, np.ones(HELD))[HELD:-HELD]
        edges = np.nonzero(np.diff(np.pad(held.astype(np.int8), 1)))[0].reshape(-1, 2)
        moved = np.rint(edges + rng.normal(0, jitter, edges.shape)).astype(int)
        for begin, end in moved.clip(0, ticks):
            out[begin:end, mic] = 1
        starts = np.nonzero(rng.random(ticks) < errors / 2.5)[0]
        slips = np.zeros(ticks, bool)
        for start, length in zip(starts, rng.integers(1, 5, len(starts)), strict=True):
            slips[start : start + length] = True
        out[slips, mic] = 1 - out[slips, mic]
    return out


def changes(holder: np.ndarray) -> np.ndarray:
    """Ticks at which the floor passes, the first taking of it included."""
    before = np.concatenate([[-1], holder[:-1]])
    return np.nonzero((holder != before) & (holder >= 0))[0]
