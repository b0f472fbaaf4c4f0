"""What one hears in 24 kHz mono audio, as numbers: onsets, pitch classes, brightness, level.

Analyses are librosa's. Audio is (samples,) or (1, samples), numpy or torch. Where nothing is to be
compared, two silences agree fully (1) and silence agrees with sound not at all (0).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch import Tensor

from jingle.sound.compiled import librosa

RATE = 24_000
ONSET_HOP = 240  # 100 frames a second
# Mean rise over mel bands. librosa takes peaks relative to the strongest, so that it finds onsets
# in a steady tone too; those lie near 0.1 dB, real ones (of the embedded corpus) above 1.7 dB.
ONSET_DB = 0.5
CHROMA_HOP = 1024
FLOOR_DB = -120.0  # the level of silence
SILENT = 1e-5  # RMS, -100 dB


@dataclass(frozen=True)
class Features:
    """The analysis of a piece, made once and compared with several others."""

    envelope: np.ndarray  # (frames,) onset strength, 100 a second
    onsets: np.ndarray  # seconds
    chroma: np.ndarray  # (12, frames) power by pitch class
    loudness: np.ndarray  # (frames,) RMS in the frames of `chroma`
    level: float  # dB of full scale
    centroid: float  # Hz


def mono(audio: np.ndarray | Tensor) -> np.ndarray:
    """`audio` as a float32 array (samples,)."""
    if isinstance(audio, Tensor):
        audio = audio.detach().cpu().float().numpy()
    return np.ascontiguousarray(audio, dtype=np.float32).reshape(-1)


def analyse(audio: np.ndarray | Tensor) -> Features:
    """Every feature of `audio` at 24 kHz."""
    audio = mono(audio)
    envelope = onset_envelope(audio)
    chroma, loudness = pitch_classes(audio)
    return Features(
        envelope, onset_times(envelope), chroma, loudness, level(audio), spectral_centroid(audio)
    )


def onset_envelope(audio: np.ndarray | Tensor) -> np.ndarray:
    """Onset strength (spectral flux over mel bands), (frames,) at 100 a second.

    The ends are mirrored: the start of a crop is no onset.
    """
    audio = mono(audio)
    if not audio.any():
        return np.zeros(1 + len(audio) // ONSET_HOP, np.float32)
    padded = np.pad(audio, (0, max(0, 1024 - len(audio))))
    envelope = librosa.onset.onset_strength(
        y=padded, sr=RATE, n_fft=1024, hop_length=ONSET_HOP, pad_mode="reflect"
    )
    blind = 1 + 1024 // (2 * ONSET_HOP)  # frames that librosa leaves at 0 for want of a past
    if len(envelope) > blind:
        envelope[:blind] = envelope[blind:].mean()
    return envelope


def onset_times(envelope: np.ndarray) -> np.ndarray:
    """Onsets in seconds: librosa's peaks of an onset envelope, of at least `ONSET_DB`."""
    if envelope.max(initial=0.0) <= 0:
        return np.zeros(0)
    frames = librosa.onset.onset_detect(
        onset_envelope=envelope, sr=RATE, hop_length=ONSET_HOP, units="frames"
    )
    return frames[envelope[frames] >= ONSET_DB] * (ONSET_HOP / RATE)


def matches(reference: np.ndarray, estimate: np.ndarray, tolerance: float) -> int:
    """The greatest number of one-to-one pairs of times that lie within `tolerance` seconds.

    On a line, taking the earliest possible partner each time is optimal.
    """
    reference, estimate = np.sort(reference), np.sort(estimate)
    i = j = count = 0
    while i < len(reference) and j < len(estimate):
        difference = estimate[j] - reference[i]
        if abs(difference) <= tolerance:
            i, j, count = i + 1, j + 1, count + 1
        elif difference < 0:
            j += 1
        else:
            i += 1
    return count


def onset_f1(reference: np.ndarray, estimate: np.ndarray, tolerance: float = 0.05) -> float:
    """F1 of onset times in seconds, within `tolerance`: 1 where both are empty, 0 where one is."""
    if len(reference) + len(estimate) == 0:
        return 1.0
    return 2.0 * matches(reference, estimate, tolerance) / (len(reference) + len(estimate))


def envelope_correlation(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Pearson correlation of two onset envelopes over their common length, in [-1, 1].

    Both are smoothed over 50 ms, the tolerance of `onset_f1`. An envelope without variation is
    silence: 1 where both are, 0 where one is.
    """
    length = min(len(reference), len(estimate))
    if length < 10:
        return float(np.array_equal(reference[:length], estimate[:length]))
    pair = [np.convolve(e[:length], np.ones(5) / 5, mode="valid") for e in (reference, estimate)]
    pair = [e - e.mean() for e in pair]
    sizes = [float(np.sqrt((e**2).sum())) for e in pair]
    still = [size < 1e-6 for size in sizes]
    if any(still):
        return float(all(still))
    return float(np.clip(pair[0] @ pair[1] / (sizes[0] * sizes[1]), -1.0, 1.0))


def pitch_classes(audio: np.ndarray | Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Power by pitch class (12, frames) and RMS (frames,), 23 frames a second, windows of 171 ms.

    Tuning is taken as A = 440 Hz, so that two pieces stand on the same grid; a flat spectrum gives
    equal power in all classes.
    """
    audio = mono(audio)
    padded = np.pad(audio, (0, max(0, 4096 - len(audio))))
    power = np.abs(librosa.stft(padded, n_fft=4096, hop_length=CHROMA_HOP)) ** 2
    chroma = chroma_filters() @ power
    loudness = librosa.feature.rms(y=padded, frame_length=4096, hop_length=CHROMA_HOP)[0]
    return chroma, loudness


@lru_cache(maxsize=1)
def chroma_filters() -> np.ndarray:
    """Weights (12, 2049) from power spectrum to pitch classes, each class summing to one."""
    filters = librosa.filters.chroma(sr=RATE, n_fft=4096, tuning=0.0)
    return filters / filters.sum(axis=1, keepdims=True)


def chroma_similarity(reference: Features, estimate: Features) -> float:
    """How well pitch classes agree frame by frame, in [-1, 1]; frames weighted by the reference.

    The cosine of two chroma vectors less their means: unrelated harmony and noise give about 0,
    where the plain cosine of what is never negative gives 0.7. A frame counts as its RMS in
    the reference; a silent frame of the estimate against sound counts 0.
    """
    length = min(len(reference.loudness), len(estimate.loudness))
    weights = np.where(reference.loudness > SILENT, reference.loudness, 0.0)[:length]
    if weights.sum() == 0:
        return float((estimate.loudness[:length] <= SILENT).all())
    pair = [f.chroma[:, :length] - f.chroma[:, :length].mean(0) for f in (reference, estimate)]
    sizes = [np.sqrt((c**2).sum(0)) for c in pair]
    product = sizes[0] * sizes[1]
    cosine = np.where(
        product > 0, (pair[0] * pair[1]).sum(0) / np.where(product > 0, product, 1), 0
    )
    cosine = np.where(estimate.loudness[:length] > SILENT, cosine, 0.0)
    return float((weights * cosine).sum() / weights.sum())


def spectral_centroid(audio: np.ndarray | Tensor) -> float:
    """Mean frequency in Hz weighted by magnitude over the whole piece; 0 for silence."""
    audio = mono(audio)
    padded = np.pad(audio, (0, max(0, 2048 - len(audio))))
    magnitude = np.abs(librosa.stft(padded, n_fft=2048, hop_length=1024)).sum(1)
    if magnitude.sum() <= 0:
        return 0.0
    return float(magnitude @ librosa.fft_frequencies(sr=RATE, n_fft=2048) / magnitude.sum())


def level(audio: np.ndarray | Tensor) -> float:
    """RMS in dB of full scale, at least -120."""
    audio = mono(audio).astype(np.float64)
    rms = np.sqrt((audio**2).mean()) if len(audio) else 0.0
    return float(max(FLOOR_DB, 20 * np.log10(max(rms, 1e-12))))


def compare(piece: Features, a: Features, b: Features) -> dict[str, float]:
    """What a piece kept of A (its rhythm) and used of B (its harmony), its level and brightness."""
    return {
        "rhythm_f1": onset_f1(a.onsets, piece.onsets),
        "rhythm_correlation": envelope_correlation(a.envelope, piece.envelope),
        "harmony": chroma_similarity(b, piece),
        "level_db": piece.level,
        "centroid_hz": piece.centroid,
    }
