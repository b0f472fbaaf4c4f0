"""Who speaks when, from the sound of each microphone: energy and voice activity, gated.

`T` ticks of 0.1 s, `M` microphones. Everybody is in every microphone (bleed): a voice counts where
it is loudest, each microphone measured by its own speech.
"""

import os
from pathlib import Path

import numpy as np
import soundfile
import soxr
import webrtcvad

from experiments.shared.errors import InputError
from experiments.shared.reading import regular

RATE = 16_000  # Hz, which the detector knows
FRAME = 480  # samples, 30 ms
TICK = RATE // 10
BLOCK = 1 << 20  # samples read at once
GATE = 6.0  # dB below the loudest microphone, at which a voice is somebody else's
AGGRESSIVE = 2  # of 0..3: how much the detector rejects


def voices(files: list[Path], ticks: int | None = None) -> np.ndarray:
    """Speech (T, M), 0 or 1, of one WAV (or FLAC, OGG, MP3) a microphone, all from one start.

    Raises:
        InputError: a file cannot be read or holds no sound.
    """
    heard = [activity(file) for file in files]
    total = ticks or max(len(level) for level, _ in heard)
    levels, talks = np.full((total, len(files)), -120.0), np.zeros((total, len(files)), bool)
    for mic, (level, voice) in enumerate(heard):
        count = min(total, len(level))
        levels[:count, mic], talks[:count, mic] = level[:count], voice[:count]
    return gated(levels, talks).astype(np.float32)


def activity(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Level in dB (T,) and whether there is a voice (T,), from the file's first channels' mean."""
    regular(file, "a microphone's sound")
    detector, level, voice = webrtcvad.Vad(AGGRESSIVE), [], []
    try:
        with soundfile.SoundFile(os.fsencode(file)) as sound:
            down = soxr.ResampleStream(sound.samplerate, RATE, 1, dtype="float32", quality="LQ")
            rest = np.zeros(0, np.float32)
            while True:
                block = sound.read(BLOCK, dtype="float32", always_2d=True)
                last = len(block) < BLOCK
                mono = down.resample_chunk(np.ascontiguousarray(block.mean(1)), last=last)
                rest = np.concatenate([rest, mono])
                whole = len(rest) if last else len(rest) // (3 * TICK) * 3 * TICK
                part, rest = rest[:whole], rest[whole:]
                _measure(part, detector, level, voice)
                if last:
                    break
    except (OSError, RuntimeError) as error:  # soundfile's own error is a RuntimeError
        raise InputError(
            f"{file}: expected sound that can be read (WAV, FLAC, OGG, MP3), got {error}"
        ) from None
    if not level:
        raise InputError(f"{file}: expected sound, got none")
    return np.concatenate(level), np.concatenate(voice)


def _measure(part: np.ndarray, detector: webrtcvad.Vad, level: list, voice: list) -> None:
    """Append level and voice of a stretch of 0.3 s units (the last may be shorter)."""
    padded = np.pad(part, (0, -len(part) % (3 * TICK)))
    if not len(padded):
        return
    pcm = (padded.clip(-1, 1) * 32767).astype("<i2").tobytes()
    said = [detector.is_speech(pcm[i : i + 2 * FRAME], RATE) for i in range(0, len(pcm), 2 * FRAME)]
    share = np.repeat(np.array(said, np.float32), 3).reshape(-1, 10).mean(1)  # 10 ms, then ticks
    ticks = -(-len(part) // TICK)
    power = (padded.reshape(-1, TICK).astype(np.float64) ** 2).mean(1)
    level.append(10 * np.log10(power[:ticks] + 1e-12))
    voice.append(share[:ticks] >= 0.5)


def gated(levels: np.ndarray, talks: np.ndarray) -> np.ndarray:
    """Where each microphone's own speaker talks: (T, M), from levels in dB and voices.

    A microphone is measured from its noise (its 10th percentile) to its speech: a quiet one is no
    less right than a loud one. A voice counts in the microphones within GATE of the loudest.
    """
    quiet = np.percentile(levels, 10, axis=0)
    loud = np.array(
        [
            np.percentile(level[talk], 90) if talk.any() else low + 30
            for level, talk, low in zip(levels.T, talks.T, quiet, strict=True)
        ]
    )
    relative = levels - loud
    own = talks & (levels > quiet + 0.25 * (loud - quiet))
    return own & (relative >= relative.max(1, keepdims=True) - GATE)
