"""The trained model as a switcher: cuts where its cut head is sure enough, from its own cuts on.

Where it never is, though the floor has passed, the rule cuts half a second later than it would.

`T` ticks of 0.1 s, `C` cameras. The rule is the head's prior: what it goes by is when an editor
with such constants would cut.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.shared.errors import InputError
from multitrack.answer.decode import APART, AROUND, LIKELY, MIDDLE
from multitrack.cutting.switch import BRIEF, Cast, Constants, finished
from multitrack.edit import habits
from multitrack.edit.drivers import read_signals
from multitrack.edit.habits import CERTAIN, Due, Habits
from multitrack.edit.pace import CAMERAS, FIELDS, SPEAKERS, Pace
from multitrack.edit.shots import programme, shots
from multitrack.edit.timeline import Timeline, sample
from multitrack.examples.moments import AHEAD, LONG, Listening, Moments, features
from multitrack.xmeml import files

CHUNK = 64  # ticks that are told at once, as if no cut came
REACH = max(AROUND)
LATE = 5  # ticks after the rule would have cut: then it does, if the head never was sure


@dataclass
class Editor:
    """What is known of an editor from an earlier edit: the pace at its end, and the constants."""

    pace: Pace
    habits: Habits


def earlier(timeline: Timeline, speech: np.ndarray | None) -> Editor:
    """The editor of an earlier edit; speech (T, M) where it is known.

    Raises:
        InputError: the edit has no cut.
    """
    made = Moments.of(programme(sample(timeline), shots(timeline)), speech)
    pace = Pace()
    for tick, camera in enumerate(made.cameras):
        pace.push(tick, int(camera), int(made.heard.holder[tick]), int(made.heard.since[tick]))
    if not pace.lengths:
        raise InputError(f"--like {timeline.name}: expected an edit with cuts, got none")
    return Editor(pace, made.editor)


def read_earlier(file: Path) -> Editor:
    """The editor of an earlier edit, whose speech is in NAME.drivers.npz beside it, if it is known.

    Raises:
        InputError: no edit, or one without a cut.
    """
    beside = file.with_name(f"{file.stem}.drivers.npz")
    speech = read_signals(beside)[:, :SPEAKERS] if beside.is_file() else None
    return earlier(files.read(file), speech)


def paced(fixed: Constants, like: Editor, settings_say: Collection[str] = ()) -> None:
    """Give `fixed` the earlier edit's shortest shot and lag, but for what the settings say."""
    least, lag = (like.pace.row[FIELDS.index(name)] for name in ("least", "usual lag"))
    if "shortest" not in settings_say:
        fixed.shortest = int(least)
    if lag >= 0 and "lag" not in settings_say:
        fixed.lag = int(lag)


@dataclass
class Director:
    """Decides tick by tick what shows. current: the camera that does, since tick `began`.

    head: None: the rule decides.
    """

    head: Callable[[Tensor], Tensor] | None
    cast: Cast
    constants: Constants
    like: Editor | None = None
    pace: Pace = field(default_factory=Pace)
    editor: Habits = field(init=False)
    current: int = -1
    began: int = 0

    def __post_init__(self) -> None:
        self.editor = Habits(habits.prior(self.constants.lag, self.constants.shortest))
        if self.like is not None:
            self.editor.weights = self.like.habits.weights.copy()
            row, lengths = self.like.pace.row, list(self.like.habits.lengths.values())
            self.pace.row[2:], self.pace.lengths = row[2:], list(self.like.pace.lengths)
            self.pace.lags = list(self.like.pace.lags)
            # What unmapped cameras were shown for holds of the wide one.
            for wide in self.cast.wide if lengths else ():
                self.pace.of_camera[wide] = self.editor.lengths[wide] = int(np.median(lengths))
        for speaker, camera in enumerate(self.cast.of[:SPEAKERS]):
            if 0 <= camera < CAMERAS:
                self.pace.together[speaker, camera] = CERTAIN
                self.editor.votes[speaker, camera] = CERTAIN

    def show(self, tick: int, heard: Listening) -> int:
        """The camera at `tick`: the current one, or another where that has no picture."""
        holder = int(heard.holder[tick])
        if self.current < 0 or not self.cast.usable[tick, self.current]:
            self.current = self.cast.camera(holder, tick)
        self.pace.push(tick, min(self.current, CAMERAS - 1), holder, int(heard.since[tick]))
        return self.current

    def cut(self, tick: int, heard: Listening) -> None:
        """Another camera shows from `tick` on."""
        self.began, self.current = tick, self._next_camera(heard, tick)

    def next_cut(self, heard: Listening, begin: int, end: int) -> int | None:
        """The first tick of [begin, end) at which to cut, if nothing is cut before."""
        earliest = self.began + max(APART, self.constants.shortest)
        cut = self._sure(heard, begin, end, earliest)
        late = self._overdue(heard, begin, end if cut is None else cut, earliest)
        return cut if late is None else late

    def _due(self, heard: Listening, end: int) -> Due:
        """When the running shot is due, up to `end`."""
        camera = min(self.current, CAMERAS - 1)
        ticks = end - self.began + LONG // 10
        return self.editor.due(self.began, camera, heard.turns, self.pace.together, ticks)[0]

    @torch.inference_mode()
    def _sure(self, heard: Listening, begin: int, end: int, earliest: int) -> int | None:
        """The first tick of [begin, end) at which the head cuts."""
        known = self.current >= 0 and self.pace.row[0] >= 0
        if self.head is None or not known or end <= earliest:
            return None
        at = np.arange(begin - 2, end + REACH)
        rows = np.broadcast_to(self.pace.row, (len(at), len(self.pace.row)))
        together = np.broadcast_to(self.pace.together, (len(at), *self.pace.together.shape))
        # That nothing was cut since tells of this program, not of the editor.
        seen = np.maximum(at - AHEAD, self.began)
        running = np.zeros(len(at), np.int64)
        foretold = habits.told([self._due(heard, end)], running, at, seen)
        told = features(rows, together, heard, at, seen, foretold)
        sure = self.head(torch.from_numpy(told)).sigmoid().numpy()
        sure[(at <= self.began) | (at >= len(heard.holder))] = 0
        near = np.lib.stride_tricks.sliding_window_view(sure, 5)  # around begin, begin + 1, ...
        peak = near.sum(1) + near @ MIDDLE
        for number, tick in enumerate(range(begin, end)):
            likely = near[number].sum() >= LIKELY
            if tick >= earliest and likely and peak[number] >= peak[number + 1 : number + 3].max():
                return tick
        return None

    def _overdue(self, heard: Listening, begin: int, end: int, earliest: int) -> int | None:
        """The first tick of [begin, end) at which the rule's cut is overdue: by LATE ticks."""
        late = 0 if self.head is None else LATE
        for tick in range(max(begin, earliest), end):
            since, until = heard.since[tick], heard.until[tick]
            if since < self.constants.lag + late or until <= BRIEF:
                continue
            passed = tick - since > self.began or tick - self.began >= self.constants.wide_length
            holder = int(heard.holder[tick])
            if passed and self.cast.camera(holder, tick) not in (-1, self.current):
                return tick
        return None

    def _next_camera(self, heard: Listening, tick: int) -> int:
        """The camera of who has the floor by then; where that one shows already, a wide one."""
        soon = min(tick + BRIEF, len(heard.holder) - 1)
        theirs = self.cast.camera(int(heard.holder[soon]), tick)
        if theirs not in (-1, self.current):
            return theirs
        wide = self.cast.wide_at(tick)
        return self.current if wide is None else wide


def switch(heard: Listening, director: Director) -> np.ndarray:
    """The camera shown at each tick of a whole recording: (T,), -1 where none has a picture."""
    ticks = len(director.cast.usable)
    shown, tick = np.full(ticks, -1), 0
    first = int(heard.holder[int(np.argmax(heard.holder >= 0))]) if ticks else -1
    director.current = director.cast.camera(first, 0)
    while tick < ticks:
        end = min(ticks, tick + (CHUNK if tick else 1))  # at first a camera has to show
        cut = director.next_cut(heard, tick, end)
        stop = end if cut is None else cut
        for t in range(tick, stop):
            shown[t] = director.show(t, heard)
        tick = stop
        if cut is not None and cut < ticks:
            director.cut(cut, heard)
    return finished(shown, heard.holder, director.cast, director.constants)
