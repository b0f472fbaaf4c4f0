"""Who has the floor: told from speech activity that may be noisy. `T` ticks of 0.1 s, `M` speakers.

Unlike `drivers.events`, which hears tick by tick as it comes, this looks around: a recording is
known before it is cut.
"""

import numpy as np
from scipy.ndimage import binary_closing

HELD = 5  # ticks; a detector keeps up shorter breaths
HEARD = np.log([0.9, 0.12])  # that a detector hears one with the floor, and one without
SILENT = np.log([0.1, 0.88])
PASSES = -12.0  # log odds of a change of the floor at a tick: a word thrown in is none
# Log odds that a tick is heard rightly, wrongly: at first, after one rightly heard, after another.
# Slips come in stretches.
FIRST, SLIP = np.log([0.95, 0.05]), np.log([[0.98, 0.02], [0.4, 0.6]])
SLACK = np.array([0.4, 2.0])  # ticks by which edges may be off: a good detector's, a poor one's
OFF = np.arange(-7, 8)  # D: ticks by which a change may be off
AROUND = 14  # ticks of speech around a change that tell where it is


def floor(speech: np.ndarray) -> np.ndarray:
    """The holder at each tick (T,), -1 before anybody spoke, from activities (T, M) of 0..1.

    The likeliest holders of a hidden Markov model (Viterbi), each change then moved to where it
    most likely is, within two ticks.
    """
    act = speech > 0.5
    out = np.full(len(speech), -1)
    if not act.any():
        return out
    first = int(act.any(1).argmax())
    out[first:] = _holders(act[first:])
    at = changes(out)
    likely = spreads(speech, out, at)[:, -1]
    moved = at + OFF[[np.convolve(each, np.ones(5), "same").argmax() for each in likely]]
    moved[0] = first
    # In order, and each turn a tick long at least.
    moved = np.maximum.accumulate(moved - np.arange(len(at))) + np.arange(len(at))
    for change, until, who in zip(moved, [*moved[1:], len(out)], out[at], strict=True):
        out[change:until] = who
    return out


def _holders(act: np.ndarray) -> np.ndarray:
    """The likeliest course of the floor (T,) over activities (T, M) of 0/1."""
    spoken = np.nonzero(act.any(0))[0]
    other = np.where(act, HEARD[1], SILENT[1])[:, spoken]
    own = np.where(act, HEARD[0], SILENT[0])[:, spoken] - other  # less what all share
    came = np.empty(own.shape, np.int64)
    score, numbers = own[0].copy(), np.arange(len(spoken))
    for tick in range(1, len(own)):
        best = int(score.argmax())
        stays = score >= score[best] + PASSES
        came[tick] = np.where(stays, numbers, best)
        score = np.where(stays, score, score[best] + PASSES) + own[tick]
    out, holder = np.empty(len(own), np.int64), int(score.argmax())
    for tick in range(len(own) - 1, -1, -1):
        out[tick] = spoken[holder]
        holder = came[tick, holder] if tick else holder
    return out


def spreads(speech: np.ndarray, holder: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Likelihood that each change of the floor `at` (J,) is off by OFF ticks and edges by a SLACK.

    (J, S, D). The end of one's speech and the beginning of the other's are each told from AROUND
    ticks, and each is off by a normal error.
    """
    act = speech > 0.5
    out = np.zeros((len(at), len(SLACK), len(OFF)))
    out[:, :, len(OFF) // 2] = 1
    kernels = [np.exp(-0.5 * (np.arange(-6, 7) / slack) ** 2) for slack in SLACK]
    kernels = [kernel / kernel.sum() for kernel in kernels]
    for number, change in enumerate(at):
        if change == 0 or holder[change - 1] < 0:
            continue
        low = max(0, change - AROUND)
        part = act[low : change + AROUND]
        ends, begins = (_end(part[:, holder[change - 1]]), _end(~part[:, holder[change]]))
        place = change - low + OFF
        inside = (place >= 0) & (place < len(ends))
        for which, kernel in enumerate(kernels):
            both = np.convolve(ends, kernel, "same") * np.convolve(begins, kernel, "same")
            found = np.where(inside, both[place.clip(0, len(both) - 1)], 0)
            if found.sum() > 0:
                out[number, which] = found
    return out


def _end(act: np.ndarray) -> np.ndarray:
    """Likelihood (n + 1,) of speech's end before each tick of activity (n,), and after the last."""
    before, after = (~act).astype(np.int64), act.astype(np.int64)  # what would be slips
    until = np.cumsum([FIRST[before[0]], *SLIP[before[:-1], before[1:]]])
    rest = np.cumsum([0, *SLIP[after[:-1], after[1:]][::-1]])[::-1]
    found = np.concatenate([[FIRST[after[0]]], until])
    found[1:-1] += SLIP[before[:-1], after[1:]]
    found[:-1] += rest
    return np.exp(found - found.max())


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
