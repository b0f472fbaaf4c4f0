"""Widens what the codec hears: levels, filters, mixtures, noise, other instruments, effects.

Sounds are float32 (S,) at 24 kHz; every choice comes from the generator that is given.
"""

import numpy as np

from jingle.codec import timbres
from jingle.songs import synth


def augment(
    sound: np.ndarray, other: np.ndarray, rng: np.random.Generator, variety: float = 0.0
) -> np.ndarray:
    """`sound` changed at random, of the same length, within [-0.99, 0.99].

    Args:
        sound: a crop.
        other: another crop of the same length, to mix in now and then.
        rng: where every choice comes from.
        variety: share of crops that give way to sounds of `timbres`, and share that get an effect.
    """
    if variety and rng.random() < variety:
        sound = timbres.phrase(len(sound), rng)
    if variety and rng.random() < variety:
        sound = timbres.effect(sound, rng)
    chance = rng.random(4)
    if chance[0] < 0.12:
        sound = random_notes(len(sound), rng)
    if chance[1] < 0.25:
        sound = sound + np.float32(10 ** rng.uniform(-0.6, 0)) * other
    if chance[2] < 0.4:
        sound = tilted(sound, rng.uniform(-3, 3), rng)
    if chance[3] < 0.2:
        level = np.sqrt(np.mean(sound**2)) * 10 ** rng.uniform(-2.5, -1.2)
        sound = sound + np.float32(level) * rng.standard_normal(len(sound), dtype=np.float32)
    peak = max(float(np.abs(sound).max()), 1e-4)
    level = min(10 ** rng.uniform(-0.9, 0.15), 0.99 / peak)
    return (sound * np.float32(level * rng.choice([-1, 1]))).astype(np.float32)


def tilted(sound: np.ndarray, slope: float, rng: np.random.Generator) -> np.ndarray:
    """`sound` with `slope` dB an octave around a random corner, at most 12 dB either way."""
    spectrum = np.fft.rfft(sound)
    frequency = np.fft.rfftfreq(len(sound), 1 / synth.RATE)
    octaves = np.log2(np.maximum(frequency, 20) / rng.uniform(300, 3000))
    gain = 10 ** (np.clip(slope * octaves, -12, 12) / 20)
    return np.fft.irfft(spectrum * gain, len(sound)).astype(np.float32)


def random_notes(samples: int, rng: np.random.Generator) -> np.ndarray:
    """A few notes of one random instrument, at random times and pitches."""
    track = np.zeros(samples, np.float32)
    seconds = samples / synth.RATE
    role = str(rng.choice(["bass", "chords", "lead"]))
    low, high = {"bass": (28, 48), "chords": (45, 75), "lead": (60, 90)}[role]
    voice = synth.timbre(rng, role)
    for _ in range(rng.integers(1, 7)):
        pitch = 440 * 2 ** ((rng.uniform(low, high) - 69) / 12)
        sound = synth.note(voice, pitch, rng.uniform(0.1, 1.0) * seconds, rng)
        synth.place(track, sound, rng.uniform(0, 0.5) * seconds, rng.uniform(0.5, 1))
    return 0.1 * synth.filtered(track, 30, voice["cutoff"])
