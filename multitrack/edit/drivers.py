"""What an editor listens to and looks at: dialogue, topics, slides, beat, a face, at 10 Hz.

A recording is known before it is edited, so these signals may be given to the model as drivers.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from experiments.shared.errors import InputError
from experiments.shared.reading import read_npz

DRIVERS = (
    *(f"speech {mic}" for mic in range(4)),
    "level",
    "word",
    "topic",
    "slide",
    "beat",
    "face x",
    "face y",
)


@dataclass
class Turn:
    """Somebody has the floor in [start, end), in ticks of 0.1 s."""

    speaker: int
    start: int
    end: int


@dataclass
class World:
    """One recording. `signals`: (T, D) float32 in the order of DRIVERS, all about 0..1."""

    turns: list[Turn]
    topics: list[int]
    slides: list[int]
    beats: list[int]
    signals: np.ndarray


def dialogue(rng: np.random.Generator, ticks: int, speakers: int) -> list[Turn]:
    """Turns of gamma-distributed length (mean 6 s), never twice the same speaker."""
    turns, at, speaker = [], 0, 0
    while at < ticks:
        length = int(15 + rng.gamma(2.0, 22.0))
        turns.append(Turn(speaker, at, min(ticks, at + length)))
        at += length
        speaker = int((speaker + rng.integers(1, max(2, speakers))) % speakers)
    return turns


def happenings(rng: np.random.Generator, ticks: int, mean: float, least: int) -> list[int]:
    """Times at least `least` and on average `mean` ticks apart."""
    found, at = [], int(rng.integers(10, 40))
    while at < ticks - 10:
        found.append(at)
        at += least + int(rng.exponential(max(1.0, mean - least)))
    return found


def wander(rng: np.random.Generator, ticks: int, pull: float = 0.01) -> np.ndarray:
    """A smooth path in about -1..1 (a damped random walk)."""
    path, speed, place = np.empty(ticks), 0.0, float(rng.normal(0, 0.4))
    for tick, push in enumerate(rng.normal(0, 0.02, ticks)):
        speed = 0.9 * speed + push - pull * place
        place += speed
        path[tick] = place
    return np.clip(path, -1, 1)


def world(rng: np.random.Generator, ticks: int, speakers: int) -> World:
    """Draw one recording of `ticks` x 0.1 s."""
    turns = dialogue(rng, ticks, speakers)
    topics, slides = happenings(rng, ticks, 220, 120), happenings(rng, ticks, 260, 150)
    period = int(rng.integers(4, 8))  # 75 to 150 beats a minute
    beats = list(range(int(rng.integers(0, period)), ticks, period))
    signals = np.zeros((ticks, len(DRIVERS)), np.float32)
    for turn in turns:
        signals[turn.start : turn.end, turn.speaker] = 1
        if speakers > 1 and turn.end - turn.start > 30 and rng.random() < 0.4:  # "mhm"
            other = (turn.speaker + 1) % speakers
            at = int(rng.integers(turn.start + 10, turn.end - 8))
            signals[at : at + int(rng.integers(2, 5)), other] = 1
    pauses = rng.random(ticks) < 0.04
    signals[pauses, :4] = 0
    signals[:, 4] = signals[:, :4].max(1) * rng.uniform(0.5, 1.0, ticks)
    signals[:, 5] = (rng.random(ticks) < 0.25) * signals[:, :4].max(1)
    for column, times in ((6, topics), (7, slides), (8, beats)):
        signals[times, column] = 1
    signals[:, 9], signals[:, 10] = wander(rng, ticks), wander(rng, ticks, 0.05) * 0.3
    return World(turns, topics, slides, beats, signals)


EVENTS = ("turn", "topic", "slide", "beat")
HEARD = len(DRIVERS) + 4 + 2 * len(EVENTS)  # columns of `Hearing`
LONG = 600  # ticks; longer ago is all "long ago"
FACE = slice(9, 11)  # columns of the signals: face x, face y
SMOOTH = (0.05, 0.1, 0.2)  # shares of the way to the face, a tick: how a camera may follow it


def events(signals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What happens when: (T, 4) booleans in the order of EVENTS; who has the floor: (T, 4) one-hot.

    The floor changes when its holder is silent and somebody else speaks: an "mhm" into somebody's
    speech or a short pause of all is no change. Told from the past alone.
    """
    speech = signals[:, :4] > 0.5
    found, floor = np.zeros((len(signals), 4), bool), np.zeros((len(signals), 4), np.float32)
    holder = -1
    for tick, speaks in enumerate(speech):
        if speaks.any() and (holder < 0 or not speaks[holder]):
            found[tick, 0] = holder >= 0
            holder = int(speaks.argmax())
        if holder >= 0:
            floor[tick, holder] = 1
    found[:, 1:] = signals[:, 6:9] > 0.5
    return found, floor


def since(found: np.ndarray) -> np.ndarray:
    """Ticks since the latest of each event (T, E), LONG before the first."""
    at = np.arange(len(found))[:, None]
    latest = np.maximum.accumulate(np.where(found, at, -LONG), 0)
    return np.minimum(at - latest, LONG)


@dataclass
class Hearing:
    """A recording as the model hears it, told from the past alone.

    columns: (T, HEARD) the signals, who has the floor and how long ago each event was, about 0..1;
    ago: (T, E) ticks since the latest of each event; holder: (T,) who has the floor, -1 nobody;
    ended: (T, 4) the last tick of each speaker's latest finished turn, -1 none; face: (T, 2, R)
    the face's place, smoothed at the rates of SMOOTH.
    """

    columns: np.ndarray
    ago: np.ndarray
    holder: np.ndarray
    ended: np.ndarray
    face: np.ndarray

    def since(self, first: int) -> "Hearing":
        """The recording from tick `first` on."""
        ended = np.maximum(self.ended[first:] - first, -1)
        rest = (self.columns, self.ago, self.holder)
        return Hearing(*(part[first:] for part in rest), ended, self.face[first:])

    def mirrored(self) -> "Hearing":
        columns, face = self.columns.copy(), self.face.copy()
        columns[:, FACE.start] *= -1
        face[:, 0] *= -1
        return replace(self, columns=columns, face=face)


def listen(signals: np.ndarray) -> Hearing:
    """Signals (T, D) as the model hears them."""
    found, floor = events(signals)
    ago = since(found)
    columns = [signals, floor, np.tanh(ago / 10), np.log1p(ago) / 6]
    holder = np.where(floor.any(1), floor.argmax(1), -1)
    before = np.roll(floor, 1, 0)
    before[:1] = 0
    at = np.arange(len(signals))[:, None]
    ended = np.maximum.accumulate(np.where(before > floor, at - 1, -1), 0)
    face = [lfilter([rate], [1, rate - 1], signals[:, FACE], axis=0) for rate in SMOOTH]
    return Hearing(
        np.concatenate(columns, 1).astype(np.float32), ago, holder, ended, np.stack(face, -1)
    )


def read_signals(file: Path) -> np.ndarray:
    """The signals (T, D) of NAME.drivers.npz.

    Raises:
        InputError: the file holds something else, or numbers that are not finite.
    """
    found = read_npz(file, ["drivers"], "an array 'drivers'")["drivers"]
    if found.dtype.kind not in "fiub":
        raise InputError(f"{file}: expected an array 'drivers' of numbers, got {found.dtype}")
    signals = found.astype(np.float32)
    if signals.ndim != 2 or signals.shape[1] != len(DRIVERS) or not np.isfinite(signals).all():
        raise InputError(
            f"{file}: expected finite signals (T, {len(DRIVERS)}), got {signals.shape}: "
            f"the columns are {', '.join(DRIVERS)}"
        )
    return signals
