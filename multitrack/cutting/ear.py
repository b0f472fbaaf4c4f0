"""Who has the floor as a recording runs: what `floor` and `listening` tell, tick by tick.

`T` ticks of 0.1 s, `M` speakers. A change of the floor is known a few ticks after it happened, as
soon as it is likelier than a word thrown in; where it was is then read off the ticks around it.
"""

from collections import deque

import numpy as np

from multitrack.edit.floor import AROUND, HEARD, OFF, PASSES, SILENT, SLACK, spreads
from multitrack.edit.habits import Turns
from multitrack.examples.moments import LONG, Listening

BACK = 64  # ticks that are kept
KEPT = 8  # changes that are kept


class Ear:
    """Hears activities (M,) a tick; `heard` says what is known, as if all stayed as it is."""

    def __init__(self, speakers: int, ahead: int):
        self.ahead, self.ticks, self.holder = ahead, 0, -1
        self._score = np.zeros(speakers)
        self._came: deque[np.ndarray] = deque(maxlen=BACK)
        self._speech: deque[np.ndarray] = deque(maxlen=BACK)
        self._holders, self._since = np.full(4096, -1), np.full(4096, LONG)
        self._more = np.zeros((4096, 2), bool)
        self._changes: deque[tuple[int, int, np.ndarray]] = deque(maxlen=KEPT)
        self._flips, self._passed = 0, 0

    def push(self, activity: np.ndarray) -> None:
        """One tick more, of activities 0..1."""
        act, tick = activity > 0.5, self.ticks
        self._room(tick + 1 + self.ahead)
        if self._speech:
            self._flips += int((act != self._speech[-1]).sum())
        self._speech.append(act)
        self._hear(act)
        best = int(self._score.argmax())
        if self.holder < 0:
            if act.any():
                self._pass(tick, best)
        elif best != self.holder:
            self._pass(self._where(best), best)
        stop = tick + 1 + self.ahead
        last = self._changes[-1][0] if self._changes else -LONG
        self._holders[tick:stop] = self.holder
        self._since[tick:stop] = np.minimum(np.arange(tick, stop) - last, LONG)
        self._more[tick:stop] = act.sum() > 1, not act.any()
        self.ticks += 1

    def _hear(self, act: np.ndarray) -> None:
        """The hidden Markov model's step forwards."""
        best = int(self._score.argmax())
        passing = self._score[best] + PASSES
        stays = (self._score >= passing) | (self.holder < 0)
        own = np.where(act, HEARD[0], SILENT[0]) - np.where(act, HEARD[1], SILENT[1])
        self._came.append(np.where(stays, np.arange(len(act)), best))
        self._score = np.where(stays, self._score, passing) + own
        self._score -= self._score.max()

    def _where(self, best: int) -> int:
        """The tick at which `best` took the floor."""
        tick = self.ticks
        for came in reversed(self._came):
            if came[best] != best:
                return tick
            tick -= 1
        return max(tick, 1)

    def _pass(self, change: int, who: int) -> None:
        """`who` has the floor since about `change`."""
        likely = np.zeros((len(SLACK), len(OFF)))
        likely[:, len(OFF) // 2] = 1
        if self.holder >= 0:
            first = self.ticks + 1 - len(self._speech)
            speech, before = np.array(self._speech), np.full(len(self._speech), self.holder)
            for _ in range(2):  # the second time around where it most likely is
                at = min(max(change - first, 1), len(speech) - 1)
                before[:], before[at:] = self.holder, who
                likely = spreads(speech, before, np.array([at]))[0]
                change = first + at
                if _ == 0:
                    best = np.convolve(likely[-1], np.ones(5), "same").argmax()
                    change = min(self.ticks, max(change + int(OFF[best]), change - AROUND))
            last = self._changes[-1][0]
            change = max(change, last + 1)
        else:
            change = self.ticks
        self.holder = who
        self._changes.append((change, who, likely))
        self._passed += 1
        self._holders[change : self.ticks + 1] = who
        self._since[change : self.ticks + 1] = np.arange(self.ticks + 1 - change)

    def _room(self, ticks: int) -> None:
        if ticks > len(self._holders):
            more = len(self._holders)
            self._holders = np.concatenate([self._holders, np.full(more, -1)])
            self._since = np.concatenate([self._since, np.full(more, LONG)])
            self._more = np.concatenate([self._more, np.zeros((more, 2), bool)])

    @property
    def heard(self) -> Listening:
        """What has been heard, and `ahead` ticks in which nothing changes."""
        stop = self.ticks + self.ahead
        at = np.array([change for change, _, _ in self._changes], np.int64)
        who = np.array([holder for _, holder, _ in self._changes], np.int64)
        spread = np.array([likely for _, _, likely in self._changes])
        turns = Turns.none()
        if len(at):
            turns = Turns(at, who, np.append(at[1:], self.ticks + LONG), spread)
        slips = self._flips / max(1, 2 * self._passed) / 10
        until = np.broadcast_to(LONG, stop)
        return Listening(
            self._holders[:stop], self._since[:stop], until, self._more[:stop], turns, slips
        )
