"""The switcher: which camera shows when, by rule. `T` ticks of 0.1 s, `C` cameras.

Its core is five lines: cut to the speaker's camera `lag` after the floor has passed, never sooner
than `shortest` after the last cut, and not at all for a turn that is over by then.
"""

from dataclasses import dataclass, field

import numpy as np

from multitrack.edit.floor import changes

TICKS = 10  # a second
BRIEF = 4  # ticks that a turn has to go on after its cut: below that it is skipped


@dataclass
class Cast:
    """Who is seen where. of: camera of each speaker, -1 none; wide: cameras that see everybody.

    usable: (T, C) where each camera has a picture worth showing.
    """

    of: list[int]
    wide: list[int]
    usable: np.ndarray

    def camera(self, speaker: int, tick: int) -> int:
        """The camera for `speaker` at `tick`: their own, else a wide one, else any, else -1."""
        own = self.of[speaker] if 0 <= speaker < len(self.of) else -1
        choice = [*([own] if own >= 0 else []), *self.wide, *range(self.usable.shape[1])]
        return next((c for c in choice if self.usable[tick, c]), -1)

    def wide_at(self, tick: int) -> int | None:
        return next((c for c in self.wide if self.usable[tick, c]), None)

    def listener(self, speaker: int, tick: int) -> int | None:
        """Somebody else's camera, taking turns."""
        own = self.of[speaker] if 0 <= speaker < len(self.of) else -1
        others = [c for c in dict.fromkeys(self.of) if c not in (-1, own, *self.wide)]
        others = [c for c in others if self.usable[tick, c]]
        return others[tick // (20 * TICKS) % len(others)] if others else None


@dataclass
class Constants:
    """The settings' times in ticks; None: never."""

    lag: int = 5
    shortest: int = 15
    longest: int | None = None
    wide_length: int = 30
    together: int | None = None
    silence: int | None = None
    reaction_after: int | None = None
    reaction_length: int = 20
    open_wide: int = 0
    cutaways: list[tuple[int, int, int]] = field(default_factory=list)


def turns(holder: np.ndarray, lag: int, shortest: int) -> list[tuple[int, int]]:
    """(tick, speaker) of each cut of the bare rule; the first is at 0."""
    cuts = [(0, int(holder[0]) if len(holder) else -1)]
    at = changes(holder)
    for change, over in zip(at, [*at[1:], len(holder)], strict=True):
        tick, speaker = max(int(change) + lag, cuts[-1][0] + shortest), int(holder[change])
        if len(cuts) == 1 and cuts[0][1] < 0:  # until somebody speaks the first speaker waits
            cuts = [(0, speaker)]
        elif over >= change + lag + BRIEF and tick < over and speaker != cuts[-1][1]:
            cuts.append((tick, speaker))
    return cuts


def switch(holder: np.ndarray, speech: np.ndarray, cast: Cast, constants: Constants) -> np.ndarray:
    """The camera shown at each tick: (T,), -1 where none has a picture."""
    wanted = np.empty(len(holder), np.int64)
    cuts = turns(holder, constants.lag, constants.shortest)
    for (tick, speaker), (until, _) in zip(cuts, [*cuts[1:], (len(holder), -1)], strict=True):
        for t in range(tick, until):
            wanted[t] = cast.camera(speaker, t)
    for t, camera in _wide_moments(speech, cast, constants):
        wanted[t] = camera
    wanted[: constants.open_wide] = [
        wanted[t] if (wide := cast.wide_at(t)) is None else wide
        for t in range(min(constants.open_wide, len(wanted)))
    ]
    return finished(wanted, holder, cast, constants)


def finished(
    wanted: np.ndarray, holder: np.ndarray, cast: Cast, constants: Constants
) -> np.ndarray:
    """What holds of any engine's cut (T,): nothing too long, the cutaways, nothing too short."""
    shown = _broken_up(wanted, holder, cast, constants)
    for begin, end, camera in constants.cutaways:
        part = slice(max(0, begin), max(0, end))
        shown[part] = np.where(cast.usable[part, camera], camera, shown[part])
    return without_flashes(shown, cast.usable, constants.shortest)


def _wide_moments(speech: np.ndarray, cast: Cast, constants: Constants) -> list[tuple[int, int]]:
    """(tick, camera) where several speak, or nobody, for long."""
    found, count = [], (speech > 0.5).sum(1)
    for flags, least in ((count > 1, constants.together), (count == 0, constants.silence)):
        if least is None:
            continue
        edges = np.nonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))[0]
        for begin, end in edges.reshape(-1, 2):
            if end - begin >= least:
                # Late by the lag at both ends, as all cuts are.
                ticks = range(begin + constants.lag, min(end + constants.lag, len(speech)))
                found += [(t, wide) for t in ticks if (wide := cast.wide_at(t)) is not None]
    return found


def _broken_up(
    wanted: np.ndarray, holder: np.ndarray, cast: Cast, constants: Constants
) -> np.ndarray:
    """Shots above `longest`, and turns long enough for a listener, are interrupted for a while."""
    out, since = wanted.copy(), 0
    breaks = [
        (after, length, listener)
        for after, length, listener in (
            (constants.longest, constants.wide_length, False),
            (constants.reaction_after, constants.reaction_length, True),
        )
        if after is not None
    ]
    tick = 1
    while tick < len(out):
        if out[tick] != out[tick - 1]:
            since = tick
        for after, length, listener in breaks:
            room = tick + length + constants.shortest <= len(out)
            if tick - since < max(after, constants.shortest) or not room:
                continue
            other = None if listener else cast.wide_at(tick)
            other = cast.listener(int(holder[tick]), tick) if other is None else other
            ahead = out[tick : tick + length]
            if other is None or other == out[tick] or (ahead != out[tick]).any():
                continue
            ahead[:] = np.where(cast.usable[tick : tick + length, other], other, ahead)
            since = tick + length
            tick = since
            break
        tick += 1
    return out


def without_flashes(shown: np.ndarray, usable: np.ndarray, shortest: int) -> np.ndarray:
    """No shot below `shortest`: its camera is held until then, as far as it has a picture."""
    out, last = shown.copy(), 0
    for tick in range(1, len(out)):
        before = out[tick - 1]
        if out[tick] != before:
            if tick - last < shortest and before >= 0 and usable[tick, before]:
                out[tick] = before
            else:
                last = tick
    if last and len(out) - last < shortest and usable[last:, out[last - 1]].all():
        out[last:] = out[last - 1]
    return out
