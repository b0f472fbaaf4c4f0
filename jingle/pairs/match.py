"""Which songs go together: tempo, pulse, drums and key, as one score."""

from dataclasses import dataclass

import numpy as np

from jingle.pairs import align, blend
from jingle.sound import beats
from jingle.sound.audio import RATE

DRUMS_DB = (-20.0, -6.0)  # of the drums under the song: what counts 0, what counts 1


@dataclass(frozen=True)
class Study:
    """What of a song matters to another: its pulse, mean pitch classes (12,), drums in dB."""

    pulse: beats.Pulse
    profile: np.ndarray
    drums_db: float  # loudness of its percussive part over its own, in LU


def study(sound: np.ndarray) -> Study:
    """Listen to a whole song at 24 kHz, (samples,); its drums are judged by its middle minute."""
    first = max(0, len(sound) // 2 - 30 * RATE)
    part = sound[first : first + 60 * RATE]
    drums = blend.loudness(blend.separate(part, "percussive")) - blend.loudness(part)
    drums = float(drums) if np.isfinite(drums) else DRUMS_DB[0]
    return Study(beats.track(sound), align.profile(sound), drums)


def compatibility(a: Study, b: Study, *, key: bool) -> dict[str, float]:
    """How well the rhythm of `a` and the harmony of `b` go together.

    Args:
        a: gives the rhythm.
        b: gives the harmony.
        key: B may be shifted by up to 3 semitones, and shall then agree with A.

    Returns:
        `score` in [0, 1], the geometric mean of the others: `tempo` (1 where B keeps its own, 0
        where it must go 1.5 times as fast), `pulse` (the steadiness of the less steady one),
        `drums` (whether A has any), and `key` (correlation of pitch classes).
    """
    other = align.fold(a.pulse, b.pulse)
    tempo = 0.0
    if a.pulse.tempo and other.tempo:
        octaves = abs(np.log2(a.pulse.tempo / other.tempo))
        tempo = max(0.0, 1 - octaves / np.log2(align.FARTHEST))
    low, high = DRUMS_DB
    found = {
        "tempo": float(tempo),
        "pulse": float(min(a.pulse.steadiness, b.pulse.steadiness)),
        "drums": float(np.clip((a.drums_db - low) / (high - low), 0, 1)),
    }
    if key:
        found["key"] = max(0.0, align.key_shift(a.profile, b.profile)[1])
    values = np.array(list(found.values()))
    return {"score": float(values.prod() ** (1 / len(values)))} | found


def choose(a: Study, others: list[Study], rng: np.random.Generator, *, key: bool) -> int:
    """Which of `others` A meets: drawn from the best third, of three at least."""
    scores = [compatibility(a, b, key=key)["score"] for b in others]
    best = np.argsort(scores)[::-1][: max(3, len(others) // 3)]
    return int(rng.choice(best))
