"""Reads, checks and writes audio files; inside this package audio is 24 kHz mono in [-1, 1]."""

import hashlib
import math
import struct
from pathlib import Path

import numpy as np
import soundfile
import soxr

from experiments.shared.errors import InputError

RATE = 24_000
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
BLOCK = 65_536  # libsndfile crashes when a long Vorbis file is written in one call
LOUDEST = 16.0  # beyond this a float file holds integers, not samples within [-1, 1]


def at_rate(samples: int, rate: int) -> int:
    """How many samples at 24 kHz `samples` at `rate` become."""
    return math.ceil(samples * RATE / rate)


def read(file: Path, start: float = 0.0, seconds: float | None = None) -> np.ndarray:
    """Audio of `file`, mixed down to mono and resampled to 24 kHz: float32 (samples,).

    Args:
        file: anything that libsndfile opens (wav, flac, ogg, mp3), any rate and channel count.
        start: where to begin, in seconds.
        seconds: how much to read; None reads to the end.

    Raises:
        InputError: missing, not audio, empty, truncated, or with samples that are no numbers.
    """
    file = Path(file)
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    if file.stat().st_size == 0:
        raise InputError(f"{file}: the file is empty (0 bytes); replace or delete it")
    missing = missing_wav_bytes(file)
    if missing:
        raise InputError(
            f"{file}: truncated, {missing} bytes fewer than its header says; copy it again"
        )
    try:
        with soundfile.SoundFile(file) as stream:
            rate, whole = stream.samplerate, stream.frames
            first = round(start * rate)
            wanted = whole - first if seconds is None else round(seconds * rate)
            wanted = max(0, min(wanted, whole - first))
            stream.seek(min(first, whole))
            samples = stream.read(wanted, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = str(error).removeprefix(f"Error opening {str(file)!r}: ").rstrip(".")
        if "does not exist" in reason:  # what libsndfile says of an mp3 without a frame in it
            reason = "format not recognised"
        raise InputError(
            f"{file}: cannot be read as audio ({reason}); expected one of {', '.join(SUFFIXES)}"
        ) from error
    if whole == 0:
        raise InputError(f"{file}: holds no samples (length zero); replace or delete it")
    if len(samples) < wanted - rate // 20:  # decoders may lose a few padding samples at the end
        raise InputError(
            f"{file}: truncated, expected {wanted} samples, got {len(samples)}; copy it again"
        )
    mono = samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise InputError(f"{file}: holds samples that are NaN or infinite; export it again")
    peak = float(np.abs(mono).max(initial=0.0))
    if peak > LOUDEST:
        raise InputError(f"{file}: peak {peak:.3g}, expected samples within [-1, 1]; rescale it")
    return resample(mono, rate)


def missing_wav_bytes(file: Path) -> int:
    """How many bytes a RIFF file lacks by its own header; 0 for streams and other formats.

    libsndfile reads a truncated WAV silently as a shorter one, so that the header is the only
    witness. 0xFFFFFFFF and 0 are what streaming writers leave there.
    """
    with file.open("rb") as stream:
        head = stream.read(8)
    if len(head) < 8 or head[:4] != b"RIFF":
        return 0
    (claimed,) = struct.unpack("<I", head[4:])
    if claimed in (0, 0xFFFFFFFF):
        return 0
    # one byte of slack: some writers leave out the pad byte of an odd chunk
    missing = claimed + 8 - file.stat().st_size
    return missing if missing > 1 else 0


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
    """Write mono `audio` (16 bit where the format allows), in the format of the file's suffix.

    Raises:
        InputError: samples that are no numbers, an unknown suffix, or a place one cannot write.
    """
    file = Path(file)
    if file.suffix.lower() not in SUFFIXES:
        raise InputError(f"{file}: expected a name that ends in one of {', '.join(SUFFIXES)}")
    if not np.isfinite(audio).all():
        raise InputError(f"{file}: not written, the audio holds NaN or infinite samples")
    audio = np.clip(audio, -1.0, 1.0)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with soundfile.SoundFile(file, "w", samplerate=rate, channels=1) as stream:
            for first in range(0, len(audio), BLOCK):
                stream.write(audio[first : first + BLOCK])
    except (OSError, soundfile.LibsndfileError) as error:
        raise InputError(
            f"{file}: cannot be written ({error}); free space or choose another folder"
        ) from error
