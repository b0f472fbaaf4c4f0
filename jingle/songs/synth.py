"""Instruments of the embedded corpus: one drum hit, one note, one room, as plain numpy.

Times in seconds, frequencies in hertz, everything at 24 kHz mono float32.
"""

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

RATE = 24_000
TABLE = 2048


def seconds_axis(seconds: float) -> np.ndarray:
    """Time stamps of `seconds` of sound."""
    return np.arange(max(1, round(seconds * RATE)), dtype=np.float32) / RATE


def filtered(audio: np.ndarray, low: float | None, high: float | None) -> np.ndarray:
    """Second-order Butterworth high-pass at `low` and/or low-pass at `high` (None: neither)."""
    if low is not None:
        audio = sosfilt(butter(2, low, "highpass", fs=RATE, output="sos"), audio)
    if high is not None:
        audio = sosfilt(butter(2, min(high, 11_500), "lowpass", fs=RATE, output="sos"), audio)
    return audio.astype(np.float32)


def kick(rng: np.random.Generator) -> np.ndarray:
    """A sine that falls to its pitch, with a click."""
    t = seconds_axis(rng.uniform(0.2, 0.4))
    pitch, sweep, fall = rng.uniform(42, 65), rng.uniform(60, 220), rng.uniform(25, 60)
    phase = 2 * np.pi * (pitch * t + sweep / fall * (1 - np.exp(-fall * t)))
    body = np.sin(phase) * np.exp(-t * rng.uniform(9, 18))
    click = filtered(rng.standard_normal(len(t)), 600, 3500) * np.exp(-t * 250)
    return (body + rng.uniform(0.2, 0.6) * click).astype(np.float32)


def snare(rng: np.random.Generator) -> np.ndarray:
    """Two tones and a burst of band-limited noise."""
    t = seconds_axis(rng.uniform(0.15, 0.3))
    pitch = rng.uniform(150, 240)
    tone = np.sin(2 * np.pi * pitch * t) + 0.5 * np.sin(2 * np.pi * pitch * 1.59 * t)
    noise = filtered(rng.standard_normal(len(t)), rng.uniform(400, 1200), rng.uniform(3000, 7500))
    tone *= np.exp(-t * rng.uniform(20, 40))
    return (0.5 * tone + rng.uniform(0.8, 1.4) * noise * np.exp(-t * rng.uniform(14, 30))).astype(
        np.float32
    )


def clap(rng: np.random.Generator) -> np.ndarray:
    """Three bursts of noise close together and a tail."""
    t = seconds_axis(0.22)
    noise = filtered(rng.standard_normal(len(t)), 700, rng.uniform(2500, 5000))
    gap = rng.uniform(0.008, 0.013)
    bursts = sum(np.where(t >= k * gap, np.exp(-(t - k * gap) * 160), 0.0) for k in range(3))
    tail = np.where(t >= 2 * gap, np.exp(-(t - 2 * gap) * rng.uniform(18, 35)), 0.0)
    return (1.6 * noise * (0.7 * bursts + 0.6 * tail)).astype(np.float32)


def hat(rng: np.random.Generator, opened: bool = False) -> np.ndarray:
    """High noise with metallic partials; `opened` rings longer."""
    t = seconds_axis(0.35 if opened else 0.09)
    noise = filtered(rng.standard_normal(len(t)), rng.uniform(4000, 6500), None)
    partials = rng.uniform(4000, 9000, 5)[:, None]
    metal = np.sign(np.sin(2 * np.pi * partials * t)).mean(axis=0)
    decay = rng.uniform(9, 16) if opened else rng.uniform(45, 90)
    return ((0.7 * noise + 0.25 * metal) * np.exp(-t * decay)).astype(np.float32)


def tom(rng: np.random.Generator) -> np.ndarray:
    """A short falling sine, higher than the kick."""
    t = seconds_axis(0.3)
    pitch = rng.uniform(85, 190)
    phase = 2 * np.pi * (pitch * t + pitch * 0.02 * (1 - np.exp(-20 * t)))
    return (np.sin(phase) * np.exp(-t * rng.uniform(9, 16))).astype(np.float32)


def shaker(rng: np.random.Generator) -> np.ndarray:
    """Soft noise that swells and fades."""
    t = seconds_axis(0.1)
    noise = filtered(rng.standard_normal(len(t)), rng.uniform(2500, 4500), rng.uniform(7000, 11000))
    return (noise * np.minimum(1, t / 0.015) * np.exp(-t * 35)).astype(np.float32)


DRUMS = {
    "kick": kick,
    "snare": snare,
    "clap": clap,
    "hat": hat,
    "open_hat": lambda rng: hat(rng, opened=True),
    "tom": tom,
    "shaker": shaker,
}


def timbre(rng: np.random.Generator, role: str) -> dict:
    """A random instrument for `role` (bass, chords, lead): spectrum, envelope, vibrato, filter."""
    attack = {"bass": (0.002, 0.015), "chords": (0.003, 0.08), "lead": (0.003, 0.05)}[role]
    top = {"bass": (500, 2200), "chords": (1200, 4800), "lead": (1800, 6000)}[role]
    harmonics = np.arange(1, 41)
    slope = rng.uniform(0.8, 2.4)
    spectrum = harmonics**-slope * (1 - rng.uniform(0, 0.95) * (harmonics % 2 == 0))
    spectrum *= 1 + rng.uniform(0, 2) * np.exp(-(((harmonics - rng.uniform(2, 12)) / 2) ** 2))
    return {
        "spectrum": spectrum * rng.uniform(0.6, 1.4, len(harmonics)),
        "phases": rng.uniform(0, 2 * np.pi, len(harmonics)),
        "attack": rng.uniform(*attack),
        "decay": rng.uniform(0.8, 7.0),
        "sustain": rng.uniform(0.15, 0.8),
        "release": rng.uniform(0.02, 0.12),
        "detune": rng.choice([0.0, rng.uniform(0.001, 0.006)]),
        "vibrato": rng.uniform(0, 0.006) if role == "lead" else 0.0,
        "vibrato_rate": rng.uniform(4.5, 6.5),
        "cutoff": rng.uniform(*top),
        "breath": rng.choice([0.0, rng.uniform(0.005, 0.03)]) if role == "lead" else 0.0,
    }


def wavetable(voice: dict, pitch: float) -> np.ndarray:
    """One period of `voice`, without the harmonics that `pitch` would carry past 11 kHz."""
    spectrum = np.zeros(TABLE // 2 + 1, dtype=np.complex64)
    count = int(min(len(voice["spectrum"]), 11_000 // pitch))
    amplitude, phase = voice["spectrum"][:count], voice["phases"][:count]
    spectrum[1 : count + 1] = amplitude * np.exp(1j * phase)
    wave = np.fft.irfft(spectrum).astype(np.float32)
    return wave / np.sqrt(np.mean(wave**2))


def note(voice: dict, pitch: float, length: float, rng: np.random.Generator) -> np.ndarray:
    """A note of `voice`, `length` seconds from key down to key up, and its release after it."""
    t = seconds_axis(length + voice["release"])
    cycles = pitch * t
    if voice["vibrato"]:
        wobble = np.sin(2 * np.pi * voice["vibrato_rate"] * t) * np.minimum(1, t / 0.4)
        cycles = cycles + pitch * voice["vibrato"] / (2 * np.pi * voice["vibrato_rate"]) * wobble
    table = wavetable(voice, pitch)
    cycles = cycles + np.float32(rng.uniform())
    sound = table[(cycles * TABLE).astype(np.int64) % TABLE]
    if voice["detune"]:
        other = cycles * np.float32(1 + voice["detune"])
        sound = 0.7 * (sound + table[(other * TABLE).astype(np.int64) % TABLE])
    envelope = voice["sustain"] + (1 - voice["sustain"]) * np.exp(-voice["decay"] * t)
    envelope *= np.minimum(1, t / voice["attack"])
    envelope *= np.clip((length + voice["release"] - t) / voice["release"], 0, 1)
    if voice["breath"]:
        sound = sound + voice["breath"] * 4 * rng.standard_normal(len(t), dtype=np.float32)
    return (sound * envelope).astype(np.float32)


def room(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`audio` with a short reverberation: decaying noise as the impulse response."""
    t = seconds_axis(rng.uniform(0.25, 0.7))
    response = rng.standard_normal(len(t), dtype=np.float32) * np.exp(-t * 6.9 / t[-1])
    response = filtered(response, 150, rng.uniform(2500, 6000))
    response /= np.sqrt(np.sum(response**2))
    wet = fftconvolve(audio, response)[: len(audio)]
    return (audio + rng.uniform(0.05, 0.3) * wet).astype(np.float32)


def place(track: np.ndarray, sound: np.ndarray, start: float, gain: float) -> None:
    """Add `sound` to `track` in place, at `start` seconds; what hangs over the end is cut."""
    first = round(start * RATE)
    last = min(len(track), first + len(sound))
    if first < last:
        track[first:last] += np.float32(gain) * sound[: last - first]
