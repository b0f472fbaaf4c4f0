"""The blend that the cascade learns: the percussion of A with the harmony of B, equally loud."""

import warnings

import numpy as np
import torch
import torchaudio

from jingle.sound import loudness_rule as rule
from jingle.sound import medians
from jingle.sound.audio import RATE, peak_safe

# Part of every blend's cache key: change it whenever the sound of a blend changes.
RECIPE = {"hpss": [2048, 512, 31], "match": "BS.1770", "gain_db": rule.MOST_DB, "ceiling": 0.99}
DRUMLESS_DB = 10.0
REMARK = ", residue of a drumless song raised by"


def apart(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Percussive and harmonic part of mono 24 kHz `audio`, by median filters; they add up to it.

    Harmonic/percussive source separation after Fitzgerald 2010 with soft masks: windows of 85 ms,
    medians over 0.66 s and 363 Hz. Within 1e-6 of `librosa.decompose.hpss`.
    """
    window, hop, kernel = RECIPE["hpss"]
    if not audio.any() or len(audio) < window:  # masks of silence are 0/0
        return np.zeros_like(audio), audio.copy()
    return medians.separate(audio, window=window, hop=hop, kernel=kernel)


def separate(audio: np.ndarray, part: str) -> np.ndarray:
    """The "percussive" or "harmonic" part of mono 24 kHz `audio`, see `apart`."""
    return apart(audio)[0 if part == "percussive" else 1]


def loudness(audio: np.ndarray) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4, torchaudio); -inf for silence."""
    least = int(0.4 * RATE)  # the standard's gating block
    if len(audio) < least:
        audio = np.pad(audio, (0, least - len(audio)))
    if not audio.any():
        return -np.inf
    # A validation in bf16 would have the filter, too, in a precision that it has not.
    with warnings.catch_warnings(), torch.autocast("cpu", enabled=False):
        warnings.simplefilter("ignore")
        value = torchaudio.functional.loudness(
            torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32))[None], RATE
        )
    return float(value) if torch.isfinite(value) else -np.inf


def gain(audio: np.ndarray, level: float) -> float:
    """The factor that brings `audio` to `level` LUFS, within +-12 dB; 1 where either is silent."""
    own = loudness(audio)
    if own < rule.QUIET or level < rule.QUIET:
        return 1.0
    limit = RECIPE["gain_db"]
    return float(10 ** (np.clip(level - own, -limit, limit) / 20))


def common_level(input_level: float, target_level: float) -> float:
    """The loudness to which both parts of a blend are brought, in LUFS; -inf for two silences."""
    levels = [level for level in (input_level, target_level) if level >= rule.QUIET]
    return float(np.mean(levels)) - rule.LOWER_DB if levels else -np.inf


def raised(percussive: np.ndarray, input_level: float, target_level: float) -> float:
    """By how many dB a blend raises the percussive part of its input.

    From `DRUMLESS_DB` on it is no drums but what separation leaves of a song that has none.
    """
    return float(20 * np.log10(gain(percussive, common_level(input_level, target_level))))


def remark(percussive: np.ndarray, input_level: float, target_level: float) -> str:
    """What to know of a blend whose separated drums are `raised` too far; else ""."""
    found = raised(percussive, input_level, target_level)
    return f"{REMARK} {found:.1f} dB" if found >= DRUMLESS_DB else ""


def blend(
    percussive: np.ndarray, harmonic: np.ndarray, input_level: float, target_level: float
) -> np.ndarray:
    """Percussion of A plus harmony of B over their common length, at most 0.99 in amplitude.

    Both parts are brought to the mean loudness of the two songs less 3 dB, so that their sum is
    about as loud as the songs; a silent song leaves the other's level alone.

    Args:
        percussive: (samples,) of A.
        harmonic: (samples,) of B.
        input_level: loudness of song A in LUFS.
        target_level: loudness of song B in LUFS.
    """
    length = min(len(percussive), len(harmonic))
    level = common_level(input_level, target_level)
    parts = [part[:length] * np.float32(gain(part, level)) for part in (percussive, harmonic)]
    return peak_safe((parts[0] + parts[1]).astype(np.float32), RECIPE["ceiling"])
