"""Tempo, beats and bars of a song, by librosa's tracker, and how far they can be trusted.

Beats after Ellis 2007 (dynamic programming over onset strength). Which beat begins a bar is a guess
for four beats a bar: the one on which the bass enters and the harmony changes most.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from jingle.sound import features
from jingle.sound.compiled import librosa

SHORTEST = 4  # beats; below this there is no pulse
LOW_HZ = 150.0


@dataclass(frozen=True)
class Pulse:
    """The beats of a song.

    Attributes:
        beats: seconds, ascending; empty where no pulse is found.
        first: index of the first beat that begins a bar, 0 to 3.
        steadiness: 1 where all beats are equally far apart, 0 where they stray by a tenth or more.
    """

    beats: np.ndarray
    first: int
    steadiness: float

    @property
    def tempo(self) -> float:
        """Beats a minute; 0 where no pulse is found."""
        if len(self.beats) < SHORTEST:
            return 0.0
        apart = min(8, len(self.beats) // 2)  # far apart, so that the grid of 10 ms counts little
        return 60 * apart / float(np.median(self.beats[apart:] - self.beats[:-apart]))

    def halved(self) -> "Pulse":
        """Every second beat, among them those that begin bars."""
        return Pulse(self.beats[self.first % 2 :: 2], self.first // 2, self.steadiness)

    def doubled(self) -> "Pulse":
        """A beat more in the middle of each two."""
        between = (self.beats[1:] + self.beats[:-1]) / 2
        return Pulse(np.sort(np.r_[self.beats, between]), 2 * self.first, self.steadiness)


def track(audio: np.ndarray) -> Pulse:
    """The pulse of mono 24 kHz `audio` (samples,)."""
    envelope = features.onset_envelope(audio)
    if len(features.onset_times(envelope)) < SHORTEST:
        return Pulse(np.zeros(0), 0, 0.0)
    hop = features.ONSET_HOP
    _, beats = librosa.beat.beat_track(
        onset_envelope=envelope, sr=features.RATE, hop_length=hop, units="time", trim=False
    )
    beats = np.asarray(beats, dtype=np.float64)
    if len(beats) < SHORTEST:
        return Pulse(np.zeros(0), 0, 0.0)
    steps = np.diff(beats)
    stray = float(np.median(np.abs(steps - np.median(steps))) / np.median(steps))
    return Pulse(even(beats), first_of_bar(audio, beats), max(0.0, 1 - 10 * stray))


def even(beats: np.ndarray, reach: int = 4) -> np.ndarray:
    """`beats` without the jitter of a grid of 10 ms: a line through each and its neighbours."""
    index = np.arange(len(beats))
    found = np.empty(len(beats))
    for i in index:
        near = slice(max(0, i - reach), i + reach + 1)
        found[i] = np.polyfit(index[near] - i, beats[near], 1)[1]
    return np.maximum.accumulate(found)


def first_of_bar(audio: np.ndarray, beats: np.ndarray) -> int:
    """Which of the first four beats begins a bar: bass attacks and changes of harmony decide."""
    chroma, _ = features.pitch_classes(audio)
    rate = features.RATE / features.CHROMA_HOP
    edges = np.clip(np.round(beats * rate).astype(int), 0, chroma.shape[1] - 1)
    means = np.stack([chroma[:, a : max(b, a + 1)].mean(1) for a, b in pairwise(edges)])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    change = np.r_[0, 1 - (means[1:] * means[:-1]).sum(1)]
    spectrum = np.abs(librosa.stft(audio, n_fft=2048, hop_length=480))
    low = np.sqrt(spectrum[: int(LOW_HZ * 2048 / features.RATE) + 1]).sum(0)
    rise = np.maximum(0, low[4:] - low[:-4])
    places = np.clip(np.round(beats[: len(change)] * 50).astype(int), 0, max(0, len(rise) - 1))
    attack = rise[places] if len(rise) else np.zeros(len(change))
    score = _spread(change) + _spread(attack)
    return int(np.argmax([score[phase::4].mean() for phase in range(min(4, len(score)))]))


def _spread(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / max(float(values.std()), 1e-9)
