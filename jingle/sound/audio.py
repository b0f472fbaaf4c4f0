"""Reads, checks and writes audio files; inside this package audio is 24 kHz mono in [-1, 1]."""

import hashlib
import math
import os
from pathlib import Path

import numpy as np
import soundfile
import soxr

from experiments.shared import writing
from experiments.shared.errors import InputError
from experiments.shared.reading import regular
from jingle.sound import intake

RATE = 24_000
WRITTEN = (".wav", ".flac", ".ogg", ".mp3")
BLOCK = 65_536  # libsndfile crashes when a long Vorbis file is written in one call
MOST_BYTES = 16 << 30  # of a file
LOUDEST = 16.0  # beyond this a float file holds integers, not samples within [-1, 1]
RATES = (1_000, 1_000_000)  # Hz; outside, a header is wrong
ANTIPHASE = 1e-3  # power of the sum over that of the channels, below which they cancel


def at_rate(samples: int, rate: int) -> int:
    """How many samples at 24 kHz `samples` at `rate` become."""
    return math.ceil(samples * RATE / rate)


def read(
    file: Path, start: float = 0.0, seconds: float | None = None, notes: list[str] | None = None
) -> np.ndarray:
    """Audio of `file`, mixed down to mono and resampled to 24 kHz: float32 (samples,).

    Args:
        file: anything that libsndfile opens (`intake.SUFFIXES`), any rate and channel count.
        start: where to begin, in seconds.
        seconds: how much to read; None reads to the end.
        notes: gets a line for each thing that was changed or is lacking and that one should know.

    Raises:
        InputError: missing, not audio, empty, truncated, or with samples that are no numbers.
    """
    samples, rate = load(file, start, seconds, notes)
    return resample(mix_down(samples, file, notes), rate)


def load(
    file: Path, start: float = 0.0, seconds: float | None = None, notes: list[str] | None = None
) -> tuple[np.ndarray, int]:
    """As `read`, but as it is in the file: float32 (samples, channels) and the sample rate in Hz.

    What peaks above 1 (float files may) is turned down as a whole.
    """
    file, notes = Path(file), [] if notes is None else notes
    if regular(file, "a song", MOST_BYTES).stat().st_size == 0:
        raise InputError(f"{file}: the file is empty (0 bytes); replace or delete it")
    if problem := intake.fault(file, whole=start == 0 and seconds is None):
        raise InputError(f"{file}: {problem}")
    try:
        # as bytes, because a name need not be valid UTF-8
        with soundfile.SoundFile(os.fsencode(file)) as stream:
            rate, whole = stream.samplerate, stream.frames
            if not RATES[0] <= rate <= RATES[1]:
                raise InputError(f"{file}: sample rate {rate} Hz, expected {RATES[0]} or more")
            first = round(start * rate)
            wanted = whole - first if seconds is None else round(seconds * rate)
            wanted = max(0, min(wanted, whole - first))
            stream.seek(min(first, whole))
            samples = stream.read(wanted, dtype="float32", always_2d=True)
            ogg = stream.format == "OGG"
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = str(error).split(": ")[-1].rstrip(". ") or "format not recognised"
        if "does not exist" in reason:  # what libsndfile says of an mp3 without a frame in it
            reason = "format not recognised"
        raise InputError(
            f"{file}: cannot be read as audio ({reason}); expected one of "
            f"{', '.join(intake.SUFFIXES)}, so {intake.CONVERT}"
        ) from error
    if whole == 0:
        raise InputError(f"{file}: holds no samples (length zero); replace or delete it")
    lacking = wanted - len(samples)
    if lacking > rate // 20 and ogg and len(samples) > wanted // 2:
        notes.append(f"{file}: has gaps, {lacking / rate:.2f} s are missing; what is there is used")
    elif lacking > rate // 20:  # decoders may lose a few padding samples at the end
        raise InputError(
            f"{file}: truncated, expected {wanted} samples, got {len(samples)}; copy it again"
        )
    return _within(samples, file, notes), rate


def _within(samples: np.ndarray, file: Path, notes: list[str]) -> np.ndarray:
    """`samples`, turned down as a whole if they peak above 1."""
    if not np.isfinite(samples).all():
        raise InputError(f"{file}: holds samples that are NaN or infinite; export it again")
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > LOUDEST:
        raise InputError(f"{file}: peak {peak:.3g}, expected samples within [-1, 1]; rescale it")
    if peak <= 1:
        return samples
    if peak > 1.26:  # decoded MP3s overshoot by a decibel or two as a rule
        notes.append(f"{file}: peaks at {20 * math.log10(peak):+.1f} dB; turned down to 0 dB")
    return samples / np.float32(peak)


def mix_down(samples: np.ndarray, file: Path, notes: list[str] | None = None) -> np.ndarray:
    """The mean of the channels (samples, channels); of channels that cancel, the loudest one."""
    mono = samples.mean(axis=1)
    powers = np.square(samples, dtype=np.float64).mean(axis=0) if len(samples) else np.zeros(1)
    if samples.shape[1] == 1 or np.square(mono).mean() >= ANTIPHASE * powers.mean():
        return mono
    if notes is not None and powers.max() > 0:
        notes.append(f"{file}: its channels cancel each other; one of them is used")
    return samples[:, int(powers.argmax())]


def resample(audio: np.ndarray, rate: int) -> np.ndarray:
    """Mono `audio` at `rate` brought to 24 kHz, float32, exactly `at_rate` samples long."""
    if rate == RATE:
        return audio.astype(np.float32, copy=False)
    result = soxr.resample(audio, rate, RATE).astype(np.float32, copy=False)
    length = at_rate(len(audio), rate)
    return np.pad(result[:length], (0, max(0, length - len(result))))


def fingerprint(audio: np.ndarray) -> str:
    """Hash of the samples themselves: the same for a copy under another name or other tags."""
    return hashlib.sha256(np.ascontiguousarray(audio, dtype=np.float32)).hexdigest()[:16]


def peak_safe(audio: np.ndarray, ceiling: float = 0.99) -> np.ndarray:
    """`audio`, scaled down as a whole if its peak is above `ceiling`; never scaled up."""
    peak = float(np.abs(audio).max(initial=0.0))
    return audio * np.float32(ceiling / peak) if peak > ceiling else audio


def write(file: Path, audio: np.ndarray, rate: int = RATE) -> None:
    """Write `audio` (16 bit where the format allows), in the format of the file's suffix.

    What peaks above 1 is turned down as a whole.

    Args:
        file: its name says the format, one of `WRITTEN`.
        audio: (samples,) or (samples, channels).
        rate: in Hz.

    Raises:
        InputError: samples that are no numbers, an unknown suffix, or a place one cannot write.
    """
    file = Path(file)
    if file.suffix.lower() not in WRITTEN:
        raise InputError(f"{file}: expected a name that ends in one of {', '.join(WRITTEN)}")
    if not np.isfinite(audio).all():
        raise InputError(f"{file}: not written, the audio holds NaN or infinite samples")
    audio = peak_safe(audio, 1.0)
    channels = 1 if audio.ndim == 1 else audio.shape[1]
    try:
        with (
            writing.replacing(file) as scratch,
            soundfile.SoundFile(
                os.fsencode(scratch), "w", samplerate=rate, channels=channels
            ) as stream,
        ):
            for first in range(0, len(audio), BLOCK):
                stream.write(audio[first : first + BLOCK])
    except soundfile.LibsndfileError as error:
        raise writing.cannot(file, error) from error
