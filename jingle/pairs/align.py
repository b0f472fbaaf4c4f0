"""Brings song B to the tempo, the beats and, if wanted, the key of song A.

The stretch is Rubber Band's, through pedalboard: it is maintained, has wheels for every system, and
takes a rate that changes. librosa's phase vocoder would need no package, but smears attacks.
"""

from dataclasses import dataclass

import numpy as np

from experiments.shared.errors import InputError
from jingle.sound import features
from jingle.sound.audio import RATE
from jingle.sound.beats import Pulse, track

CHOICES = ("none", "tempo", "beat")
SHIFT = 3  # semitones, at most
FARTHEST = 1.5  # times the tempo; beyond this it is halved or doubled
NO_PULSE = Pulse(np.zeros(0), 0, 0.0)
STEADY = 0.8  # above this steadiness one rate serves the whole crop


@dataclass(frozen=True)
class Warp:
    """Which second of B is heard at which second of the crop: linear between the knots.

    Attributes:
        heard: seconds of the crop, ascending, from 0 to its end.
        source: seconds of song B, ascending.
        semitones: how far up B is shifted.
    """

    heard: np.ndarray
    source: np.ndarray
    semitones: int = 0

    @property
    def rate(self) -> float:
        """How much faster B is played, on the whole."""
        return float((self.source[-1] - self.source[0]) / (self.heard[-1] - self.heard[0]))


def fold(a: Pulse, b: Pulse) -> Pulse:
    """`b`, halved or doubled as often as brings its tempo nearest to that of `a`."""
    if a.tempo and b.tempo:
        while b.tempo > FARTHEST * a.tempo:
            b = b.halved()
            if not b.tempo:
                break
        while b.tempo and b.tempo < a.tempo / FARTHEST:
            b = b.doubled()
    return b


def warp(
    a: Pulse, b: Pulse, *, how: str, start_a: float, start_b: float, seconds: float
) -> Warp | None:
    """How to hear `seconds` of B, from about `start_b`, under those of A that begin at `start_a`.

    Args:
        a: pulse of song A.
        b: pulse of song B.
        how: "none", "tempo" (one rate) or "beat" (bars begin together, beat by beat).
        start_a: seconds into song A.
        start_b: seconds into song B.
        seconds: length of the crop.

    Returns:
        None where a song has no pulse and `how` needs one.
    """
    whole = np.array([0.0, seconds])
    if how == "none":
        return Warp(whole, start_b + whole)
    b = fold(a, b)
    if not a.tempo or not b.tempo:
        return None
    rate = a.tempo / b.tempo
    if how == "tempo":
        return Warp(whole, start_b + whole * rate)
    wanted, own = bar_after(a, start_a), bar_after(b, start_b)
    if wanted is None or own is None:
        return None
    if min(a.steadiness, b.steadiness) >= STEADY:
        offset = b.beats[own] - rate * (a.beats[wanted] - start_a)
        return Warp(whole, offset + whole * rate)
    steps = np.arange(-min(wanted, own), min(len(a.beats) - wanted, len(b.beats) - own))
    heard, source = a.beats[wanted + steps] - start_a, b.beats[own + steps]
    far = np.array([-seconds, seconds])  # beyond the beats that both have, one rate
    known = np.r_[heard[0] + far[:1], heard, heard[-1] + far[1:]]
    there = np.r_[source[0] + rate * far[:1], source, source[-1] + rate * far[1:]]
    at = np.r_[0, heard[(heard > 0.05) & (heard < seconds - 0.05)], seconds]
    return Warp(at, np.interp(at, known, there))


def bar_after(pulse: Pulse, start: float) -> int | None:
    """Index of the first beat of a bar at or after `start`, or None."""
    bars = np.arange(pulse.first, len(pulse.beats), 4)
    later = bars[pulse.beats[bars] >= start - 0.02]
    return int(later[0]) if len(later) else None


def fit(
    a: np.ndarray, b: np.ndarray, *, how: str, key: bool
) -> tuple[Warp, dict[str, float | int | str]]:
    """How to hear song B under the whole of song A, and a record of it.

    Args:
        a: song A, mono at 24 kHz.
        b: song B likewise.
        how: one of `CHOICES`.
        key: shift B by up to 3 semitones as well.

    Raises:
        InputError: a song has no pulse, or nothing of B falls under A.
    """
    pulses = (track(a), track(b)) if how != "none" else (NO_PULSE, NO_PULSE)
    rate = pulses[0].tempo / max(fold(*pulses).tempo, 1e-9)
    start = rate * float(pulses[0].beats[pulses[0].first]) if how == "beat" and rate else 0.0
    times = {"how": how, "start_a": 0.0, "start_b": start}
    whole = warp(*pulses, **times, seconds=len(a) / RATE)
    if whole is None:
        raise InputError(
            f"--align {how}: no steady pulse in one of the songs, or no bar of it in reach; "
            "choose --align none"
        )
    end = float(np.interp(len(b) / RATE, whole.source, whole.heard))
    if end < 0.5:
        raise InputError(f"--align {how}: nothing of the target falls under the input")
    found = warp(*pulses, **times, seconds=end)
    shift, match = key_shift(profile(a), profile(b)) if key else (0, 0.0)
    about = {"how": how, "rate": found.rate, "semitones": shift}
    if how != "none":
        about |= {"tempo_input": pulses[0].tempo, "tempo_target": pulses[1].tempo}
    return Warp(found.heard, found.source, shift), about | ({"key_match": match} if key else {})


def hear(song: np.ndarray, warp: Warp, rate: int = RATE) -> np.ndarray:
    """B as `warp` says, (samples,) or (samples, channels); silence outside the song.

    Args:
        song: B, of the same shape, from its beginning.
        warp: what is heard when.
        rate: of the song, in Hz.
    """
    samples = round(float(warp.heard[-1]) * rate)
    steps = np.diff(warp.source) / np.diff(warp.heard)
    lead = 0.25  # seconds that are stretched with it and dropped: the stretcher has to settle
    begin, end = warp.source[0] - lead * steps[0], warp.source[-1] + lead * steps[-1]
    part = _span(song, round(begin * rate), round(end * rate))
    first = round(lead * rate)
    if np.allclose(steps, 1, atol=1e-3) and not warp.semitones:
        return part[first : first + samples]
    edges = np.r_[begin, warp.source[1:-1], end]
    counts = np.diff(np.round((edges - begin) * rate).astype(int))
    counts[-1] += len(part) - counts.sum()
    factor = np.repeat(steps, counts) if np.ptp(steps) > 1e-3 else float(steps.mean())
    made = _stretch(part, factor, warp.semitones, rate)
    made = made[first : first + samples]
    return np.pad(made, ((0, samples - len(made)), *((0, 0),) * (made.ndim - 1)))


def _span(song: np.ndarray, first: int, last: int) -> np.ndarray:
    """`song` from sample `first` to `last`, with silence where it is not."""
    part = song[max(0, first) : max(0, last)]
    before = min(max(0, -first), last - first)
    after = last - first - before - len(part)
    return np.pad(part, ((before, after), *((0, 0),) * (song.ndim - 1)))


def _stretch(part: np.ndarray, factor: float | np.ndarray, semitones: int, rate: int) -> np.ndarray:
    try:
        import pedalboard
    except ImportError as error:
        raise InputError(
            "aligning songs needs the package pedalboard (Rubber Band): `pip install pedalboard`, "
            "or choose --align none"
        ) from error
    channels = np.ascontiguousarray(np.atleast_2d(part.T), dtype=np.float32)
    made = pedalboard.time_stretch(
        channels,
        rate,
        stretch_factor=factor,
        pitch_shift_in_semitones=float(semitones),
        preserve_formants=False,
    )
    return made[0] if part.ndim == 1 else made.T


def key_shift(a: np.ndarray, b: np.ndarray) -> tuple[int, float]:
    """Semitones up, within +-3, that bring B's pitch classes nearest to A's; their correlation.

    Args:
        a: mean power by pitch class of A, (12,).
        b: of B.
    """
    shifts = sorted(range(-SHIFT, SHIFT + 1), key=abs)
    values = [_correlation(a, np.roll(b, shift)) for shift in shifts]
    best = int(np.argmax(values))
    return shifts[best], values[best]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0


def profile(song: np.ndarray) -> np.ndarray:
    """Mean power by pitch class, each frame scaled to 1: (12,)."""
    chroma, _ = features.pitch_classes(song)
    return (chroma / np.maximum(chroma.sum(0), 1e-9)).mean(1)
