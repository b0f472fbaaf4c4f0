"""What each track has been doing up to each moment: values carried on, and counted times.

A state at frame t is a function of frames <= t alone. Axes: `T` frames, `K` tracks.
"""

from dataclasses import dataclass

import numpy as np

from multitrack.edit.timeline import REST

COUNTERS = (
    "since toggle",
    "last on",
    "last on but one",
    "last off",
    "last off but one",
    "since event",
    "last interval",
    "last interval but one",
    "steady",
    "onsets",
    "since below",
    "lag to below",
    "least lag to below",
)
CAP = 600  # frames; longer times are all "long"
JUMPS = np.array([2.0, 0.02, 0.02, 4.0, 4.0, 4.0, 4.0], np.float32)  # a change of speed that tells


@dataclass
class States:
    """carried: (T, K, 9), active as it is, the rest held through gaps. counters: (T, K, 13) frames.

    velocity: (T, K, 7) change a frame of the geometric parameters, 0 at and outside a clip's start.
    settled: (T, K, 8) the geometry in which the track's latest finished clip ended, and 1 (else 0).
    clip_age: (T, K) since each cell's clip came on, or took over from another one; frames.
    lags: (T, K, 4, E) or None: how long after the latest of each of the recording's events the
        track last came on, last went off, and the least of each so far; frames, CAP if never.
    """

    carried: np.ndarray
    counters: np.ndarray
    velocity: np.ndarray
    settled: np.ndarray
    clip_age: np.ndarray
    lags: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.carried)


def last_true(flags: np.ndarray) -> np.ndarray:
    """Index of the latest True at or before each frame, -1 if none: (T, K)."""
    index = np.where(flags, np.arange(len(flags))[:, None], -1)
    return np.maximum.accumulate(index, 0)


def states(values: np.ndarray, ago: np.ndarray | None = None, *, whole: bool = True) -> States:
    """The states of an edit (T, K, 9).

    ago: (>= T, E) frames since the latest of each event (`drivers.since`), if there are signals.
    whole: the edit begins here; otherwise nobody has seen its first clips come on.
    """
    frames, tracks, _ = values.shape
    active = values[..., 0] > 0.5
    latest = last_true(active)
    rows = np.arange(tracks)[None]
    carried = np.where(latest[..., None] >= 0, values[latest.clip(0), rows], np.float32(REST))
    carried[..., 0] = active

    step = np.zeros((frames, tracks, 7), np.float32)
    step[1:] = carried[1:, :, 2:] - carried[:-1, :, 2:]
    running = np.zeros_like(active)
    running[1:] = active[1:] & active[:-1] & (carried[1:, :, 1] == carried[:-1, :, 1])
    bend = np.zeros_like(step)
    bend[1:] = step[1:] - step[:-1] * running[:-1, :, None]
    jump = (np.abs(bend) > JUMPS).any(-1) & running
    # A jump that is no start of a motion: another clip begins. Its speed says nothing.
    velocity = np.where((running & ~_lone(jump))[..., None], step, 0)

    toggle = np.ones_like(active)
    toggle[1:] = active[1:] != active[:-1]
    changed = np.zeros_like(active)
    changed[1:] = active[1:] & active[:-1] & ~running[1:]
    event = toggle | changed | jump
    bent = np.abs(bend) > 1e-3 * np.array([1, 0.01, 0.01, 1, 1, 1, 1], np.float32)

    counters = np.zeros((frames, tracks, len(COUNTERS)), np.int16)
    counters[..., 0] = since(toggle)
    first = active[0] & whole
    counters[..., 1], counters[..., 2] = lengths(toggle, active, first)
    counters[..., 3], counters[..., 4] = lengths(toggle, ~active, first)
    counters[..., 5] = since(event)
    counters[..., 6], counters[..., 7] = lengths(event, np.ones_like(active), first)
    counters[..., 8] = since(event | bent.any(-1))
    onset = toggle & active
    counters[..., 9] = np.minimum(np.cumsum(onset, 0), CAP)
    # Stacks: how long ago the track below came on, and how long after that this one used to.
    below = np.full((frames, tracks), CAP)
    came = last_true(onset[:, :-1])
    below[:, 1:] = np.where(came < 0, CAP, np.arange(frames)[:, None] - came).clip(max=CAP)
    counters[..., 10] = below
    began = last_true(onset)
    at = began.clip(0), np.arange(tracks)[None]
    counters[..., 11] = np.where(began < 0, CAP, below[at])
    counters[..., 12] = np.minimum.accumulate(np.where(onset, below, CAP), 0)
    ended = last_true((toggle & ~active) | changed) - 1
    seen = (ended >= 0) & active[ended.clip(0), rows]
    settled = np.zeros((frames, tracks, 8), np.float32)
    settled[..., :7] = np.where(seen[..., None], carried[ended.clip(0), rows][..., 2:], 0)
    settled[..., 7] = seen
    lags = None if ago is None else reactions(toggle, active, ago[:frames])
    carried, velocity = carried.astype(np.float32), velocity.astype(np.float32)
    return States(carried, counters, velocity, settled, clip_ages(values), lags)


def clip_ages(values: np.ndarray) -> np.ndarray:
    """The `clip_age` of States, of an edit (T, K, 9)."""
    begins = np.ones(values.shape[:2], bool)
    begins[1:] = (values[1:, :, :2] != values[:-1, :, :2]).any(-1)
    return np.arange(len(values))[:, None] - last_true(begins)


def reactions(toggle: np.ndarray, active: np.ndarray, ago: np.ndarray) -> np.ndarray:
    """The `lags` of States; toggle, active (T, K), ago (T, E)."""
    frames, tracks = toggle.shape
    known = np.full((frames, ago.shape[1]), CAP, np.int16)
    known[: len(ago)] = np.minimum(ago, CAP)
    out = np.full((frames, tracks, 4, ago.shape[1]), CAP, np.int16)
    lively = np.nonzero(toggle[1:].any(0))[0]  # the others have reacted to nothing
    for number, kind in enumerate((active, ~active)):
        switch = (toggle & kind)[:, lively]
        switch[:1] = False
        latest = last_true(switch)
        seen = (latest >= 0)[..., None]
        out[:, lively, number] = np.where(seen, known[latest.clip(0)], CAP)
        then = np.where(switch[..., None], known[:, None], CAP)
        out[:, lively, number + 2] = np.minimum.accumulate(then, 0)
    return out


def _lone(jump: np.ndarray) -> np.ndarray:
    """Jumps not preceded by one: the first frame of another clip, or of a fast motion."""
    lone = jump.copy()
    lone[1:] &= ~jump[:-1]
    return lone


def since(flags: np.ndarray) -> np.ndarray:
    """Frames since the latest True (0 at it), at most CAP."""
    latest = last_true(flags)
    return np.minimum(np.arange(len(flags))[:, None] - latest, CAP)


def lengths(
    starts: np.ndarray, kind: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the last and the last but one finished run of `kind`, as known at each frame.

    starts: (T, K) True where any run begins (the first frame begins one); kind: (T, K) the run's
    kind; first: (K,) whether the run at the very beginning counts.
    """
    frames, tracks = starts.shape
    one, two = np.zeros((2, frames, tracks), np.int16)
    for track in range(tracks):
        begins = np.nonzero(starts[:, track])[0]
        keep = kind[begins[:-1], track]  # run i ends where run i + 1 begins
        keep[:1] &= first[track]
        if not keep.any():
            continue
        size, ends = np.minimum(np.diff(begins), CAP)[keep], begins[1:][keep]
        count = np.searchsorted(ends, np.arange(frames), side="right")
        padded = np.concatenate([[0, 0], size])
        one[:, track], two[:, track] = padded[count + 1], padded[count]
    return one, two
