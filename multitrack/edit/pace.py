"""An editor's pace, as it can be known while the edit runs: shots, reactions, who is seen when.

`M` speakers, `C` cameras. Times are ticks of 0.1 s.
"""

from dataclasses import dataclass, field

import numpy as np

SPEAKERS, CAMERAS = 4, 8
REACTION = 15  # ticks after a change of the floor within which a cut is a reaction to it
FIELDS = ("shown", "since", "last", "last but one", "of camera", "least", "middle", "lag",
          "usual lag", "lag spread", "reactions", "shots", "again")  # fmt: skip
UNKNOWN = -1.0


@dataclass
class Pace:
    """What has been seen up to a tick; `push` adds the next.

    `row`: FIELDS as numbers, UNKNOWN where nothing was seen: the camera shown, the tick at which
    its shot began, lengths of earlier shots (the last two, the last of this camera, the least, the
    middle one), of the latest reactions the middle lag, the most frequent one, their spread and
    their number, the number of finished shots, and whether this camera's last two were as long.
    together: (M, C) ticks for which each speaker had the floor and each camera was shown.
    """

    together: np.ndarray = field(default_factory=lambda: np.zeros((SPEAKERS, CAMERAS), np.float32))
    row: np.ndarray = field(default_factory=lambda: np.full(len(FIELDS), UNKNOWN, np.float32))
    lengths: list[int] = field(default_factory=list)
    own: list[int] = field(default_factory=list)  # of shots on somebody's camera
    lags: list[int] = field(default_factory=list)
    of_camera: dict[int, int] = field(default_factory=dict)
    again: dict[int, int] = field(default_factory=dict)  # 1: the last two were as long

    def push(self, tick: int, camera: int, holder: int, since_change: int) -> None:
        """At `tick` `camera` shows (-1: nothing); `holder` has had the floor for `since_change`."""
        row, before = self.row, int(self.row[0])
        if camera != before:
            if before >= 0:
                self._finish(tick, before, camera, since_change)
            row[0], row[1] = camera, tick
            row[4] = self.of_camera.get(camera, UNKNOWN)
            row[12] = self.again.get(camera, UNKNOWN)
        if camera >= 0 and 0 <= holder < SPEAKERS and since_change >= REACTION:
            self.together[holder, min(camera, CAMERAS - 1)] += 1

    def _finish(self, tick: int, before: int, camera: int, since_change: int) -> None:
        row, length = self.row, tick - int(self.row[1])
        self.lengths.append(length)
        if before in self.of_camera:
            self.again[before] = int(abs(self.of_camera[before] - length) <= 1)
        self.of_camera[before] = length
        spoken = self.together.sum(1) > 0
        if before in self.together.argmax(1)[spoken]:
            self.own.append(length)
        row[2:4] = length, row[2]
        # A wide shot lasts as it lasts: how short the others may be is another matter.
        row[5], row[6] = min(self.own or self.lengths), float(np.median(self.lengths))
        row[11] = len(self.lengths)
        if camera >= 0 and 0 <= since_change < REACTION:
            self.lags.append(since_change)
            counts = np.bincount(self.lags[-12:])
            late = np.array(self.lags[-12:])
            row[7:11] = np.median(late), counts.argmax(), late.std(), len(self.lags)


@dataclass
class Paces:
    """The pace after each tick of an edit, before the first at 0: (T + 1, ...) each."""

    rows: np.ndarray
    together: np.ndarray


def paces(camera: np.ndarray, holder: np.ndarray, since_change: np.ndarray) -> Paces:
    """Of an edit: the camera shown (T,), who has the floor (T,) and for how long (T,)."""
    pace, ticks = Pace(), len(camera)
    rows = np.empty((ticks + 1, len(FIELDS)), np.float32)
    together = np.empty((ticks + 1, SPEAKERS, CAMERAS), np.float32)
    rows[0], together[0] = pace.row, pace.together
    for tick in range(ticks):
        pace.push(tick, int(camera[tick]), int(holder[tick]), int(since_change[tick]))
        rows[tick + 1], together[tick + 1] = pace.row, pace.together
    return Paces(rows, together)
