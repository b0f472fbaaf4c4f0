"""Tasks by masking: which past (and future) frame each cell may be told from.

`B` windows, `S` frames a window, `K` tracks. One example is built from an edit's states; what the
model gets is listed in `example`.
"""

from dataclasses import dataclass

import numpy as np

from multitrack.edit.drivers import EVENTS, HEARD, SMOOTH, Hearing
from multitrack.edit.state import CAP, States, states
from multitrack.edit.timeline import REST


@dataclass(frozen=True)
class Task:
    """kind: `identity`, `forecast` (from `horizon` frames ago), `infill` (blocks) or `generate`.

    driven: whether the recording's signals are given; noisy: as a detector of speech gives them.
    """

    kind: str
    horizon: int = 0
    driven: bool = False
    noisy: bool = False

    @property
    def name(self) -> str:
        base = f"forecast{self.horizon}" if self.kind == "forecast" else self.kind
        if self.noisy:
            return f"{base}_noisy"
        return base + ("_driven" if self.driven and self.kind != "generate" else "")


def draw(rng: np.random.Generator, driven: bool) -> Task:
    """A training task; `driven`: whether the edit comes with signals."""
    given = driven and rng.random() < 0.6
    pick = rng.random()
    if pick < 0.80:
        any_length = int(np.exp(rng.uniform(0, np.log(31))))  # short ones as often as long ones
        horizon = rng.choice((1, 5, 10, 30, any_length), p=(0.08, 0.1, 0.5, 0.08, 0.24))
        return Task("forecast", int(horizon), given)
    if pick < 0.92:
        return Task("infill", 0, given)
    if pick < 0.97 and driven:
        return Task("generate", 0, True)
    return Task("identity", 0, given)


def blocks(rng: np.random.Generator, frames: int, tracks: int) -> np.ndarray:
    """A random in-fill mask (S, K), True = hidden: all tracks, or some, for 1 to 4 seconds."""
    hidden = np.zeros((frames, tracks), bool)
    for _ in range(int(rng.integers(1, 4))):
        length = int(rng.integers(10, 41))
        start = int(rng.integers(0, max(1, frames - length)))
        chosen = rng.random(tracks) < (1.0 if rng.random() < 0.3 else 0.4)
        hidden[start : start + length, chosen] = True
    return hidden


def sources(task: Task, start: int, frames: int, hidden: np.ndarray | None) -> np.ndarray:
    """The frame each cell is told from, (S, K) or (S, 1); -1 = from none."""
    now = np.arange(start, start + frames)[:, None]
    if task.kind == "generate":
        return np.full_like(now, -1)
    if task.kind == "infill":
        seen = np.where(hidden, -1, now)
        # Before the window everything is seen.
        seen[0] = np.where(seen[0] < 0, start - 1, seen[0])
        return np.maximum.accumulate(seen, 0)
    return np.maximum(now - task.horizon, -1)


def following(start: int, hidden: np.ndarray, total: int) -> np.ndarray:
    """For in-filling: the next seen frame after each hidden cell, (S, K); -1 = none."""
    frames = len(hidden)
    now = np.arange(start, start + frames)[:, None]
    seen = np.where(hidden, total, now)
    last = np.full((1, hidden.shape[1]), start + frames)  # after the window everything is seen
    chain = np.concatenate([seen, last])[::-1]
    nearest = np.minimum.accumulate(chain, 0)[::-1][:-1]
    return np.where(hidden & (nearest < total), nearest, -1)


def example(
    state: States,
    values: np.ndarray,
    hearing: Hearing | None,
    task: Task,
    start: int,
    frames: int,
    hidden: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """One window of `frames` from `start`, which may reach beyond the edit's end.

    past (S, K, 9): the carried values; known (S, K): 0 where there is no past; age (S, K): frames
    since the past; velocity (S, K, 7), counters (S, K, 13), settled (S, K, 8) of `state.States`;
    after (S, K, 10): the next seen values and their distance (0 = not given); target (S, K, 9);
    clip_age (S, K): frames since the target's clip began; score (S, K): which cells count. What
    `heard` adds is empty where no signals are given.
    """
    total, tracks = len(values), values.shape[1]
    now, whole = np.arange(start, start + frames), state.clip_age
    source = np.broadcast_to(sources(task, start, frames, hidden), (frames, tracks))
    # A forecast beyond the edit's end is told from its last frame, ever longer ago.
    source = np.minimum(source, total - 1)
    known = source >= 0
    ago = hearing.ago if task.driven and hearing is not None else None
    first = 0
    after = np.zeros((frames, tracks, 10), np.float32)
    if task.kind == "infill":
        nearest = following(start, hidden, total)
        found = nearest >= 0
        after[..., :9] = np.where(
            found[..., None], values[nearest.clip(0), np.arange(tracks)[None]], 0
        )
        after[..., 9] = np.where(found, nearest - now[:, None], 0)
        # What happened in hidden cells must not be counted afterwards either.
        first = max(0, start - CAP)
        masked = values[first : start + frames].copy()
        inside = masked[start - first :]
        past_frame = source[: len(inside)]
        inside[:] = np.where(
            (past_frame >= 0)[..., None],
            values[past_frame.clip(0), np.arange(tracks)[None]],
            np.float32(REST),
        )
        state = states(masked, None if ago is None else ago[first:], whole=first == 0)
    at = (source - first).clip(0), np.arange(tracks)[None]
    past = np.where(known[..., None], state.carried[at], np.float32(REST))
    inside = now < total
    target = np.empty((frames, tracks, 9), np.float32)
    target[:] = REST
    target[inside] = values[now[inside]]
    clip_age = np.zeros((frames, tracks), np.float32)
    clip_age[inside] = whole[now[inside]]
    score = np.broadcast_to(inside[:, None], (frames, tracks)).copy()
    if task.kind == "infill":
        score &= hidden
    return {
        "past": past,
        "known": known.astype(np.float32),
        "age": np.where(known, now[:, None] - source, CAP).astype(np.float32),
        "velocity": np.where(known[..., None], state.velocity[at], 0),
        "counters": np.where(known[..., None], state.counters[at], 0).astype(np.float32),
        "settled": np.where(known[..., None], state.settled[at], 0),
        "after": after,
        "target": target,
        "clip_age": clip_age,
        "score": score,
        **heard(state, hearing if task.driven else None, now, source, first),
    }


def heard(
    state: States, hearing: Hearing | None, now: np.ndarray, source: np.ndarray, first: int
) -> dict[str, np.ndarray]:
    """What the signals add to the frames `now` (S,) told from `source` (S, K); `first`: state's 0.

    drivers (S, HEARD + 1), the last column 1 if they are given; ago (S, E): frames since each event
    now; lags (S, K, 4, E) of `state.States`; recalled (S, K, 10): the track's values when whoever
    has the floor now ended the turn before, and 1; moved (S, K, 2, R): how far the smoothed face
    has come since the source.
    """
    frames, tracks = source.shape
    lags = np.full((frames, tracks, 4, len(EVENTS)), CAP, np.float32)
    ago = np.full((frames, len(EVENTS)), CAP, np.float32)
    drivers = np.zeros((frames, HEARD + 1), np.float32)
    recalled = np.zeros((frames, tracks, 10), np.float32)
    moved = np.zeros((frames, tracks, 2, len(SMOOTH)), np.float32)
    if hearing is not None:
        there = now < len(hearing.ago)
        last = len(hearing.ago) - 1
        then, seen = now.clip(max=last), source.clip(0, last)
        drivers[there, :-1] = hearing.columns[now[there]]
        drivers[there, -1] = 1
        ago[there] = hearing.ago[now[there]]
        known, at, rows = source >= 0, (source - first).clip(0), np.arange(tracks)
        if state.lags is not None:
            lags = np.where(known[..., None, None], state.lags[at, rows], CAP).astype(np.float32)
        known = known & there[:, None]
        holder = hearing.holder[then][:, None]
        turn = hearing.ended[seen, holder.clip(0)] - first
        found = known & (holder >= 0) & (turn >= 0)
        recalled[..., :9] = np.where(found[..., None], state.carried[turn.clip(0), rows], 0)
        recalled[..., 9] = found
        moved[:] = np.where(
            known[..., None, None], hearing.face[then][:, None] - hearing.face[seen], 0
        )
    return {"drivers": drivers, "ago": ago, "lags": lags, "recalled": recalled, "moved": moved}
