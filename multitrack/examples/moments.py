"""What the cut head is told of a moment: the pace so far, and the recording around it. No weights.

`N` moments, `C` cameras. A moment is a tick `at` of which is told at tick `seen`, up to which the
edit is known (-1: nothing of it). The recording is known before it is cut, so that the next change
of the floor counts too, up to AHEAD ticks on.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from multitrack.edit import habits
from multitrack.edit.floor import changes, floor, noisy
from multitrack.edit.habits import Due, Habits, Turns
from multitrack.edit.pace import CAMERAS, FIELDS, SPEAKERS, Paces, paces
from multitrack.edit.shots import cut_times

AHEAD = 30  # ticks
FARTHEST = 40  # ticks after a shot's end of which may be told while it runs
LONG = 600
NEAR = np.arange(-4, 5, dtype=np.float32)  # ticks around a moment that is due, each told apart
RULE_LAG, RULE_SHORTEST = 5, 15  # of the switcher: what is taken of an editor not yet seen


@dataclass
class Listening:
    """A recording's floor: who has it (T,), for how long (T,), until the next change (T,).

    more: (T, 2) whether several speak, whether nobody does. slips: how much of the speech comes and
    goes within half a second: a noisy detector is to be trusted less.
    """

    holder: np.ndarray
    since: np.ndarray
    until: np.ndarray
    more: np.ndarray
    turns: Turns
    slips: float = 0.0


def listening(speech: np.ndarray | None, ticks: int) -> Listening:
    """Of speech (T, M); None: nothing is known of the recording."""
    if speech is None:
        never, nobody = np.full(ticks, LONG), np.full(ticks, -1)
        return Listening(nobody, never, never, np.zeros((ticks, 2)), Turns.none())
    speech = np.pad(speech[:ticks], ((0, max(0, ticks - len(speech))), (0, 0)))
    holder, count = floor(speech), (speech > 0.5).sum(1)
    at, now = changes(holder), np.arange(ticks)
    place = np.searchsorted(at, now, side="right")
    known = np.concatenate([[-LONG], at, [ticks + LONG]])
    since, until = now - known[place], known[place + 1] - now
    more = np.stack([count > 1, count == 0], 1)
    flips = np.abs(np.diff((speech > 0.5).astype(np.int8), axis=0)).sum()
    slips = float(flips) / max(1, 2 * len(at)) / 10
    turns = Turns.of(holder, speech, LONG)
    return Listening(holder, np.minimum(since, LONG), np.minimum(until, LONG), more, turns, slips)


@dataclass
class Moments:
    """An edit as the cut head sees it.

    cameras: (T,) the camera shown, by first appearance; due: when each shot is due to end; shot:
    (T,) the number of each tick's shot; editor: what is known of whose edit it is, at its end.
    """

    cameras: np.ndarray
    heard: Listening
    known: Paces
    due: list[Due]
    shot: np.ndarray
    editor: Habits

    @classmethod
    def of(cls, shown: np.ndarray, speech: np.ndarray | None) -> "Moments":
        """From the programme (T,) and speech (T, M)."""
        heard = listening(speech, len(shown))
        cameras = numbered(shown)
        known = paces(cameras, heard.holder, heard.since)
        return cls(cameras, heard, known, *foretold(cameras, heard, known))


def foretold(
    cameras: np.ndarray, heard: Listening, known: Paces
) -> tuple[list[Due], np.ndarray, Habits]:
    """When each shot is due to end, as known when it begins; each tick's shot; the editor."""
    begins = np.concatenate([[0], np.nonzero(np.diff(cameras))[0] + 1])
    editor, due = Habits(), []
    for began, end in zip(begins, [*begins[1:], len(cameras)], strict=True):
        camera, together = int(cameras[began]), known.together[began + 1]
        editor.begin(camera, int(heard.holder[began]), int(heard.since[began]))
        ticks = int(end - began) + FARTHEST
        running, by_hypothesis = editor.due(int(began), camera, heard.turns, together, ticks)
        due.append(running)
        if end < len(cameras):
            editor.end(camera, int(end - began), by_hypothesis, together)
    return due, np.searchsorted(begins, np.arange(len(cameras)), side="right") - 1, editor


def numbered(shown: np.ndarray) -> np.ndarray:
    """Pictures (T,) by order of first appearance, from CAMERAS on all as the last; -1 none."""
    found: dict[int, int] = {}
    out = np.empty(len(shown), np.int64)
    for tick, picture in enumerate(shown):
        out[tick] = -1 if picture < 0 else found.setdefault(int(picture), len(found))
    return np.minimum(out, CAMERAS - 1)


def mapped(together: np.ndarray) -> np.ndarray:
    """Share of each camera while each speaker had the floor: (N, M, C)."""
    return together / together.sum(-1, keepdims=True).clip(1)


def _told_by(distance: np.ndarray) -> np.ndarray:
    """Signed ticks past a due moment (N,), told finely around it and coarsely farther off."""
    fine = np.exp(-((distance[:, None] - NEAR) ** 2))
    parts = [fine, np.tanh(distance / 4)[:, None], np.tanh(distance / 25)[:, None]]
    return np.concatenate([*parts, np.ones((len(distance), 1))], 1).astype(np.float32)


FAR = 300  # ticks, from which on all is as far
TOLD_BY = _told_by(np.arange(-2 * FAR, 2 * FAR + 1) / 2)  # distances are halves of ticks


def _near(distance: np.ndarray, known: np.ndarray) -> np.ndarray:
    """`_told_by`, where it is known, looked up: it is asked for ten times a moment."""
    at = np.rint(2 * distance).astype(np.int64).clip(-2 * FAR, 2 * FAR) + 2 * FAR
    return TOLD_BY[at] * known[:, None].astype(np.float32)


def features(
    rows: np.ndarray,
    together: np.ndarray,
    heard: Listening,
    at: np.ndarray,
    seen: np.ndarray,
    foretold: np.ndarray,
) -> np.ndarray:
    """(N, F) float32, about -1..1. rows (N, FIELDS), together (N, M, C): the pace at `seen`.

    foretold: (N, habits.WIDTH) of `habits.told`.
    """
    field = {name: rows[:, number] for number, name in enumerate(FIELDS)}
    then = at.clip(0, len(heard.holder) - 1)
    holder, since, until = heard.holder[then], heard.since[then], heard.until[then]
    driven, shot = holder >= 0, field["shown"] >= 0
    age = np.where(shot, at - field["since"], 0)
    lag = np.where(field["lag"] >= 0, field["lag"], RULE_LAG)
    usual = np.where(field["usual lag"] >= 0, field["usual lag"], RULE_LAG)
    shortest = np.where(field["least"] >= 0, field["least"], RULE_SHORTEST)
    share = mapped(together)
    rowed = np.arange(len(at))
    own = share[rowed, holder.clip(0, SPEAKERS - 1)]  # (N, C)
    current = own[rowed, field["shown"].astype(int).clip(0, CAMERAS - 1)]
    best, told = own.max(-1), own.sum(-1) > 0
    # Nobody's camera: seen, and the favourite of no speaker.
    favourite = (share >= share.max(-1, keepdims=True)) & (share > 0)
    nobodys = ~favourite.any(1)[rowed, field["shown"].astype(int).clip(0, CAMERAS - 1)] & shot
    change = at - since
    pending = driven & (change > field["since"] + np.where(shot, 0, -LONG))
    ready = np.where(shot, field["since"] + shortest, 0)
    due = np.maximum(change + usual, ready)
    ahead = np.minimum(until, AHEAD)
    said = [
        driven, shot, pending, told, told * current, told * (best - current), nobodys,
        heard.more[then, 0], heard.more[then, 1], field["lag"] >= 0,
        np.log1p(field["reactions"].clip(0)) / 2, np.log1p(field["shots"].clip(0)) / 3,
        np.log1p((at - seen).clip(0)) / 3, np.tanh((at - seen) / 8), np.log1p(age.clip(0)) / 5,
        np.tanh(age / 12), driven * np.log1p(since) / 5, driven * np.tanh(ahead / 6),
        driven * ahead / AHEAD, driven * np.tanh((since + ahead) / 40),
        driven * (ahead + since <= lag + 4), (at - seen > age) * 1.0,
        np.full(len(at), min(heard.slips, 3.0)), field["lag spread"].clip(0) / 4,
    ]  # fmt: skip
    lengths = [
        _near(age - field[name], shot & (field[name] >= 0))
        for name in ("last", "last but one", "of camera", "least", "middle")
    ]
    nears = [
        *lengths, _near(at - due, pending), _near(since - lag, driven),
        _near(since - usual, driven),
        _near(age - field["of camera"], shot & (field["again"] > 0)),
        _near(age - field["of camera"], nobodys & (field["of camera"] >= 0)),
    ]  # fmt: skip
    out = np.empty((len(at), WIDTH), np.float32)
    for column, part in enumerate(said):
        out[:, column] = part
    np.concatenate(nears, 1, out=out[:, len(said) : OWN])
    np.multiply(foretold, (seen >= 0)[:, None], out=out[:, OWN:])
    return out


OWN = 24 + 10 * (len(NEAR) + 3)
WIDTH = OWN + habits.WIDTH
DRIVEN = 0  # the column that says whether somebody has the floor
FORETOLD = OWN + list(habits.NEAR).index(0)  # the column of P(cut) by the editor's habits


NEARBY = 8  # ticks from a cut, within which half of the moments to train on are drawn
VARIANTS = 6  # of an edit: as it is, and sped up, shifted and heard through noise


def varied(shown: np.ndarray, speech: np.ndarray | None, rng: np.random.Generator) -> Moments:
    """The same edit by a faster or slower, sooner or later editor, heard by a worse detector.

    So that the head goes by what it has seen of an editor, not by those that it has met.
    """
    pace = rng.uniform(0.75, 1.35)
    at = (np.arange(int(len(shown) * pace)) / pace).astype(int).clip(max=len(shown) - 1)
    if speech is not None:
        speech = np.pad(speech[: len(shown)], ((0, max(0, len(shown) - len(speech))), (0, 0)))
        speech = np.roll(speech[at], int(rng.integers(-2, 3)), 0)
        if rng.random() < 0.5:
            speech = noisy(speech, rng, rng.uniform(0.5, 3), rng.uniform(0, 0.1))
    return Moments.of(shown[at], speech if rng.random() < 0.85 else None)


def told(edit: Moments, at: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`features` of an edit's moments: (N, F)."""
    known, number = edit.known, edit.shot[seen.clip(0)]
    due = habits.told(edit.due, number, at, seen.clip(0))
    return features(known.rows[seen + 1], known.together[seen + 1], edit.heard, at, seen, due)


def drawn(
    edit: Moments, rng: np.random.Generator, horizon: int, count: int = 192
) -> dict[str, np.ndarray]:
    """Moments to train on, told `horizon` ticks before.

    moments (M, F), is_cut (M,), stands_for (M,): how many of the edit's moments each is one of.
    """
    times, ticks = cut_times(edit.cameras), len(edit.cameras)
    marks = np.zeros(ticks, bool)
    marks[times] = True
    near = maximum_filter1d(marks, 2 * NEARBY + 1)
    at, weight = [], []
    for part in (np.nonzero(near)[0], np.nonzero(~near)[0]):
        if len(part):
            at.append(rng.choice(part, count // 2))
            weight.append(np.full(count // 2, len(part) / ticks, np.float32))
    at, weight = np.resize(np.concatenate(at), count), np.resize(np.concatenate(weight), count)
    return {
        "moments": told(edit, at, np.maximum(at - horizon, -1)),
        "is_cut": marks[at].astype(np.float32), "stands_for": weight,
    }  # fmt: skip


def around(edit: Moments, horizon: int, offsets: tuple[int, ...]) -> np.ndarray:
    """Features at each tick and `offsets` around it, all told `horizon` before it: (T, O, F)."""
    now, ticks = np.arange(len(edit.cameras)), len(edit.cameras)
    seen = np.repeat(np.maximum(now - horizon, -1), len(offsets))
    at = (now[:, None] + offsets).clip(0, ticks - 1).ravel()
    return told(edit, at, seen).reshape(ticks, len(offsets), WIDTH)
