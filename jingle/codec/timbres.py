"""Sounds that the rendered songs lack, so that the codec hears more kinds than it is tested on.

Each is a textbook synthesis: frequency modulation (Chowning 1973), plucked strings (Karplus and
Strong 1983), bowed tones by addition, vowels by formants, cymbals of inharmonic square waves.
Sounds are float32 (S,) at 24 kHz; every choice comes from the generator that is given.
"""

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from jingle.songs.synth import RATE

TOP = 11_000  # Hz, of the partials
FORMANTS = ((700, 1200, 2600), (300, 2300, 3000), (500, 900, 2400), (350, 800, 2300))


def phrase(samples: int, rng: np.random.Generator) -> np.ndarray:
    """A few notes or strokes of one random instrument, RMS about 0.1."""
    make = (fm, pluck, bowed, vowel, drum, cymbal)[rng.integers(6)]
    track = np.zeros(samples, np.float32)
    low = rng.uniform(36, 72)
    for _ in range(rng.integers(1, 8)):
        first = int(rng.integers(0, max(1, samples // 2)))
        hertz = 440 * 2 ** ((low + rng.integers(0, 25) - 69) / 12)
        sound = make(samples - first, hertz, rng)
        track[first:] += np.float32(rng.uniform(0.3, 1)) * sound.astype(np.float32)
    return track * np.float32(0.1 / max(float(np.sqrt(np.mean(track**2))), 1e-6))


def effect(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`sound` overdriven, in a room, or with an echo."""
    kind = rng.integers(3)
    if kind == 0:
        drive = 10 ** rng.uniform(0, 1.2) / max(float(np.abs(sound).max()), 1e-3)
        return (np.tanh(drive * sound) / drive).astype(np.float32)
    if kind == 1:
        time = np.arange(int(rng.uniform(0.1, 0.8) * RATE)) / RATE
        room = rng.standard_normal(len(time)) * 10 ** (-3 * time / time[-1])
        wet = fftconvolve(sound, room / np.sqrt((room**2).sum()))[: len(sound)]
        return (sound + rng.uniform(0.2, 1) * wet).astype(np.float32)
    delay = int(rng.uniform(0.005, 0.3) * RATE)
    back = np.pad(sound, (delay, 0))[: len(sound)]
    return (sound + np.float32(rng.uniform(-0.8, 0.8)) * back).astype(np.float32)


def fm(samples: int, hertz: float, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(samples) / RATE
    ratio = rng.choice([0.5, 1, 1.41, 2, 3, 3.5, 7])
    depth = rng.uniform(0.5, 8) * np.exp(-time * rng.uniform(0.5, 12))
    phase = 2 * np.pi * hertz * time
    return np.sin(phase + depth * np.sin(ratio * phase)) * np.exp(-time * rng.uniform(0.5, 8))


def pluck(samples: int, hertz: float, rng: np.random.Generator) -> np.ndarray:
    period = max(4, round(RATE / hertz))
    burst = np.zeros(samples)
    burst[:period] = rng.uniform(-1, 1, min(period, samples))
    loop = np.zeros(period + 2)
    loop[0], loop[period], loop[period + 1] = 1, *(-rng.uniform(0.47, 0.4995) * np.ones(2))
    return lfilter([1], loop, burst)


def bowed(samples: int, hertz: float, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(samples) / RATE
    vibrato = rng.uniform(0, 0.006) * np.sin(2 * np.pi * rng.uniform(4, 7) * time)
    phase = 2 * np.pi * hertz * np.cumsum(1 + vibrato) / RATE
    tilt, odd = rng.uniform(0.6, 1.6), rng.random() < 0.3
    partials = np.arange(1, max(2, int(TOP / hertz)), 2 if odd else 1)[:60]
    sound = sum(np.sin(k * phase + rng.uniform(0, 6.3)) / k**tilt for k in partials)
    return sound * np.minimum(1, time / rng.uniform(0.005, 0.3))


def vowel(samples: int, hertz: float, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(samples) / RATE
    vibrato = 1 + rng.uniform(0, 0.01) * np.sin(2 * np.pi * 5.5 * time)
    sound = 2 * (np.cumsum(hertz / 2 * vibrato / RATE) % 1) - 1
    sound = sound + rng.uniform(0, 0.2) * rng.standard_normal(samples)
    made = np.zeros(samples)
    for centre in FORMANTS[rng.integers(len(FORMANTS))]:
        radius, angle = np.exp(-np.pi * rng.uniform(60, 160) / RATE), 2 * np.pi * centre / RATE
        made += lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], sound)
    return made * np.minimum(1, time / 0.03)


def drum(samples: int, hertz: float, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(samples) / RATE
    low = rng.uniform(100, 8_000)
    band = butter(2, [low, min(low * rng.uniform(1.3, 6), TOP)], "band", fs=RATE, output="sos")
    return sosfilt(band, rng.standard_normal(samples)) * np.exp(-time * rng.uniform(4, 80))


def cymbal(samples: int, hertz: float, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(samples) / RATE
    partials = rng.uniform(200, 1200) * rng.uniform(1, 4, 6)
    metal = sum(np.sign(np.sin(2 * np.pi * f * time)) for f in partials)
    metal = metal + rng.uniform(0.5, 8) * rng.standard_normal(samples)
    high = butter(3, rng.uniform(2_500, 8_000), "high", fs=RATE, output="sos")
    return sosfilt(high, metal) * np.exp(-time * rng.uniform(1, 20))
