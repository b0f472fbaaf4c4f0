"""An editor's constants by what fits their cuts so far, and when the next cut is due by them.

`G` hypotheses: how long after the floor has passed the editor cuts, how short a shot may be, how
far off the detector's edges are. Each foretells the next cut (time to event), each finished shot
weighs them (Bayes). `W` ticks of 0.1 s from the shot's beginning on; `J` changes of the floor.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from multitrack.edit.floor import OFF, SLACK, changes, spreads
from multitrack.edit.pace import CAMERAS, REACTION, SPEAKERS

LAG, SHORTEST, LOOSE = (
    axis.ravel()
    for axis in np.meshgrid(np.arange(1, 13), np.arange(8, 31), range(len(SLACK)), indexing="ij")
)
SKIPPED = 0.1  # how likely a change is passed over
BRIEF = 4  # ticks that a turn goes on after its cut
CHANCE = 0.2  # how likely a cut is one that comes as soon as a shot may end
MISS = 0.004  # a tick: cuts that nothing foretells
STIR = np.array([0.06, 0.88, 0.06])  # a cut is off by a tick: frames are no ticks
CERTAIN = 1e5  # votes: whatever is shown meanwhile


def prior(lag: int = 5, shortest: int = 16) -> np.ndarray:
    """Log weights (G,) before anything was seen: an editor is about what the switcher is."""
    return -0.5 * ((LAG - lag) / 2) ** 2 - 0.5 * ((SHORTEST - shortest) / 5) ** 2


@dataclass
class Turns:
    """The floor's changes: ticks (J,), who takes it, until when, how far it is off (J, S, D).

    heard: (J, S, D) of `floor.spreads`.
    """

    at: np.ndarray
    who: np.ndarray
    until: np.ndarray
    heard: np.ndarray

    @cached_property
    def spread(self) -> np.ndarray:
        return self.heard / self.heard.sum(-1, keepdims=True)

    @cached_property
    def slack(self) -> np.ndarray:
        """Log odds (S,) of each of SLACK, by how far both speakers' edges of a change are apart."""
        return np.log(self.heard.sum(-1)).sum(0)

    @cached_property
    def lasts(self) -> np.ndarray:
        """P(the turn ends no sooner than `until` + OFF, or ever): (J, S, D + 1)."""
        ends = np.zeros_like(self.spread)
        ends[:, :, OFF == 0] = 1
        ends[:-1] = self.spread[1:]
        later = np.cumsum(ends[..., ::-1], -1)[..., ::-1]
        return np.concatenate([later, np.zeros_like(later[..., :1])], -1)

    @classmethod
    def none(cls) -> "Turns":
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing, np.zeros((0, len(SLACK), len(OFF))))

    @classmethod
    def of(cls, holder: np.ndarray, speech: np.ndarray, beyond: int) -> "Turns":
        """From the floor (T,) and speech (T, M); the last turn goes on for `beyond` ticks."""
        at = changes(holder)
        until = np.append(at[1:], len(holder) + beyond)[: len(at)]
        return cls(at, holder[at], until, spreads(speech, holder, at))


@dataclass
class Due:
    """When the running shot, begun at tick `began`, is due to end; from an editor's Habits.

    likely: (W,) P(the cut comes at began + w); over: (W,) the same up to there; soonest: (W,) P(the
    shot may end at began + w at the soonest); sides: what is said of the whole shot.
    """

    began: int
    likely: np.ndarray
    over: np.ndarray
    soonest: np.ndarray
    sides: np.ndarray


@dataclass
class Habits:
    """What is known of an editor. weights: (G,) log; votes: (M, C) shots that answered a speaker.

    lengths: of the last shot of each camera that is nobody's.
    """

    weights: np.ndarray = field(default_factory=prior)
    votes: np.ndarray = field(default_factory=lambda: np.zeros((SPEAKERS, CAMERAS)))
    lengths: dict[int, int] = field(default_factory=dict)

    def theirs(self, together: np.ndarray) -> np.ndarray:
        """The camera of each speaker, -1 unknown: (M,); of `together` (M, C) for want of votes."""
        for_want = np.where(together.sum(-1) > 0, together.argmax(-1), -1)
        return np.where(self.votes.sum(-1) > 0, self.votes.argmax(-1), for_want)

    @staticmethod
    def _nobodys(camera: int, theirs: np.ndarray) -> bool:
        return camera >= 0 and bool((theirs >= 0).any()) and camera not in theirs

    def begin(self, camera: int, holder: int, since_change: int) -> None:
        """A shot of `camera` begins while `holder` has had the floor for `since_change` ticks."""
        if 0 <= holder < SPEAKERS and camera >= 0 and since_change < REACTION:
            self.votes[holder, camera] += 1

    def due(
        self, began: int, camera: int, turns: Turns, together: np.ndarray, ticks: int
    ) -> tuple[Due, np.ndarray]:
        """When the shot of `camera` is due to end, and the same by hypothesis: (G, W = ticks)."""
        theirs = self.theirs(together)
        nobodys = self._nobodys(camera, theirs)
        foretold = foretell(began, camera, ticks, turns, theirs, nobodys)
        weights = self.weights + turns.slack[LOOSE]
        share = np.exp(weights - weights.max())
        share /= share.sum()
        likely = share @ foretold
        if nobodys and camera in self.lengths:
            likely = np.bincount([min(self.lengths[camera], ticks - 1)], minlength=ticks) * 1.0
        soonest = np.bincount(SHORTEST, share, minlength=ticks)[:ticks]
        lag = np.bincount(LAG, share)
        sides = np.array([share @ LOOSE, lag.max(), nobodys, nobodys and camera in self.lengths])
        return Due(began, likely, np.cumsum(likely), soonest, sides), foretold

    def end(self, camera: int, length: int, foretold: np.ndarray, together: np.ndarray) -> None:
        """The shot of `camera` was `length` ticks long, which each hypothesis `foretold`."""
        if self._nobodys(camera, self.theirs(together)):
            self.lengths[camera] = length
            return
        part = foretold[:, max(0, length - 1) : length + 2]
        soon = np.abs(length - SHORTEST) <= 1
        chance = soon * STIR[(length - SHORTEST + 1).clip(0, 2)]
        due = part @ STIR[: part.shape[1]]
        self.weights = self.weights + np.log((1 - CHANCE) * due + CHANCE * chance + MISS)


def foretell(
    began: int, camera: int, ticks: int, turns: Turns, theirs: np.ndarray, nobodys: bool
) -> np.ndarray:
    """P(the shot of `camera` ends at began + w) by each hypothesis: (G, W = ticks).

    theirs: (M,) the camera of each speaker. It ends when somebody else has taken the floor: LAG
    after that, SHORTEST after it began, unless the turn is over by then.
    """
    out, left = np.zeros((len(LAG), ticks)), np.ones(len(LAG))
    rows = np.broadcast_to(np.arange(len(LAG))[:, None], (len(LAG), len(OFF)))
    first = max(0, int(np.searchsorted(turns.at, began, side="right")) - 2)
    last = int(np.searchsorted(turns.at, began + ticks))
    for number in range(first, last):
        change, until = int(turns.at[number]), int(turns.until[number])
        who = int(turns.who[number])
        own = theirs[who] if who < len(theirs) else -1
        # Of an unseen speaker's change before the shot, and of who is the first to speak, it is
        # taken that the shot answers it.
        answered = change <= began and (own < 0 or nobodys)
        if change == 0 or own == camera or answered or (number == 0 and own < 0):
            continue
        moved = change + OFF[None]
        when = np.maximum(moved + LAG[:, None], began + SHORTEST[:, None])
        # The turn has to go on until then, and so long at all.
        least = np.maximum(when + 1, moved + LAG[:, None] + BRIEF) - until
        goes_on = turns.lasts[number][LOOSE[:, None], (least - OFF[0]).clip(0, len(OFF))]
        does = goes_on * (when > began)
        mass = left[:, None] * (1 - SKIPPED) * turns.spread[number][LOOSE] * does
        left = left - mass.sum(1)
        inside = (when < began + ticks) & (mass > 0)
        flat = rows[inside] * ticks + (when - began)[inside]
        out += np.bincount(flat, mass[inside], minlength=out.size).reshape(out.shape)
    return out


NEAR = np.arange(-4, 5)  # ticks around a moment, each told apart
SOON = np.arange(-2, 3)
WIDTH = len(NEAR) + len(SOON) + 6


def told(due: list[Due], number: np.ndarray, at: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """What is due around the moments `at` (N,), nothing having come by `seen`: (N, WIDTH).

    number: (N,) the shot, of `due`, that was running at `seen`. First of all P(a cut at NEAR).
    """
    if not due:
        return np.zeros((len(at), WIDTH), np.float32)
    sizes = np.array([len(each.likely) for each in due])
    begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    began, size = np.array([each.began for each in due])[number], sizes[number]
    likely, over, soonest = (
        np.concatenate([getattr(each, name) for each in due])
        for name in ("likely", "over", "soonest")
    )

    def look(table: np.ndarray, tick: np.ndarray, first: np.ndarray) -> np.ndarray:
        """The table at ticks (N, X), 0 before `first` (N,) and beyond its end."""
        place = tick - began[:, None]
        inside = (tick >= first[:, None]) & (place < size[:, None])
        found = table[begins[number][:, None] + place.clip(0, size[:, None] - 1)]
        return np.where(inside, found, 0)

    came = over[begins[number] + (seen - began).clip(0, size - 1)]
    left = np.maximum(0.05, 1 - came)
    near = look(likely, at[:, None] + NEAR, seen + 1) / left[:, None]
    soon = look(soonest, at[:, None] + SOON, seen + 1)
    by_then = over[begins[number] + (at - began).clip(0, size - 1)] - came
    sides = np.stack([each.sides for each in due])[number]
    return np.concatenate([near, soon, (by_then / left)[:, None], left[:, None], sides], 1).astype(
        np.float32
    )
