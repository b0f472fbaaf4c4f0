"""Gives a mono piece at 24 kHz what the codec has no room for: width, and what lies above 12 kHz.

Axes: S samples, C channels, F frequencies, T frames.
"""

import numpy as np
import soxr
from scipy.ndimage import uniform_filter

from jingle.pairs import blend
from jingle.sound import medians
from jingle.sound.audio import RATE
from jingle.sound.compiled import librosa

WINDOW = 0.085  # seconds
SMOOTH = (9, 5)  # bins and frames over which a direction is taken


def finish(
    piece: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    rate: int,
    *,
    gains: tuple[float, float],
    stereo: bool,
) -> np.ndarray:
    """The piece at `rate`, (S,) or (S, 2), with the high band of its sources.

    Below 12 kHz it stays what it was: the mean of both channels is the mono piece.

    Args:
        piece: (samples,) at 24 kHz.
        a: song A as long as the piece, (S, C) at `rate`: lends its drums' high band and image.
        b: song B likewise: its harmony's.
        rate: in Hz, 24 kHz or more.
        gains: what A's percussive and B's harmonic part are multiplied by in a blend; the high band
            as a whole then goes on at the piece's own level.
        stereo: two channels, if a source has them.
    """
    size = window_at(rate)
    drums, chords = (separate(song, rate)[i] for i, song in enumerate((a, b)))
    wide = resampled(piece[:, None], RATE, rate, len(a))[:, 0]
    if stereo and max(a.shape[1], b.shape[1]) > 1:
        beat, tone = medians.separate(wide, window=size, hop=size // 4, kernel=31)
        wide = panned(beat, drums, size) + panned(tone, chords, size)
    else:
        wide = wide[:, None]
        drums, chords = (part.mean(axis=1, keepdims=True) for part in (drums, chords))
    if rate > RATE:
        high = gains[0] * drums + gains[1] * chords
        wide = wide + continued(wide, high, rate) * above(high, rate)
    return wide[:, 0] if wide.shape[1] == 1 else wide


def window_at(rate: int) -> int:
    """Samples of an analysis window, a multiple of 4."""
    return 4 * round(WINDOW * rate / 4)


def separate(song: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Percussive and harmonic part of a song (S, C) of one or two channels."""
    size = window_at(rate)
    if len(song) < size:
        return song * 0, song
    parts = [medians.separate(c, window=size, hop=size // 4, kernel=31) for c in song.T]
    percussive, harmonic = (np.stack(side, axis=1) for side in zip(*parts, strict=True))
    return percussive, harmonic


def panned(mono: np.ndarray, image: np.ndarray, size: int) -> np.ndarray:
    """`mono` (S,) placed as `image` (S, C) is, cell by cell of its spectrogram: (S, 2).

    Each side's share is that of its magnitude in the image, smoothed, so that the mean of both
    sides is `mono` again. Phases are left alone: no echo, no comb.
    """
    if image.shape[1] < 2 or len(mono) < size:
        return np.stack([mono, mono], axis=1)
    hop = size // 4
    left, right = (
        uniform_filter(np.abs(librosa.stft(side, n_fft=size, hop_length=hop)), SMOOTH)
        for side in np.ascontiguousarray(image[:, :2].T)
    )
    share = left / np.maximum(left + right, 1e-9)
    share[left + right < 1e-7] = 0.5
    spectrum = librosa.stft(mono, n_fft=size, hop_length=hop)
    one = librosa.istft(2 * share * spectrum, n_fft=size, hop_length=hop, length=len(mono))
    return np.stack([one, 2 * mono - one], axis=1)


def continued(piece: np.ndarray, sources: np.ndarray, rate: int) -> float:
    """The factor that brings `sources` (S, C) to the level of the piece below 12 kHz, at most 2.

    Taken from 7 to 11 kHz, so that the high band goes on where the piece ends.
    """
    frequency = np.fft.rfftfreq(len(piece), 1 / rate)
    band = (frequency > 7_000) & (frequency < 11_000)
    powers = [
        float(np.square(np.abs(np.fft.rfft(x.mean(axis=1))[band])).sum()) for x in (piece, sources)
    ]
    return min(2.0, (powers[0] / powers[1]) ** 0.5) if powers[1] > 0 else 0.0


def above(song: np.ndarray, rate: int) -> np.ndarray:
    """What of a song (S, C) its copy at 24 kHz lacks."""
    return song - resampled(resampled(song, rate, RATE), RATE, rate, len(song))


def resampled(song: np.ndarray, rate: int, to: int, length: int | None = None) -> np.ndarray:
    """A song (S, C) at another rate, cut or padded to `length`."""
    made = song if rate == to else soxr.resample(song, rate, to).astype(np.float32, copy=False)
    if length is None:
        return made
    return np.pad(made[:length], ((0, max(0, length - len(made))), (0, 0)))


def gains_of(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """What A's percussive and B's harmonic part are multiplied by in a blend of the two.

    Args:
        a: song A, mono at 24 kHz.
        b: song B likewise.
    """
    parts = blend.separate(a, "percussive"), blend.separate(b, "harmonic")
    level = blend.common_level(blend.loudness(a), blend.loudness(b))
    return blend.gain(parts[0], level), blend.gain(parts[1], level)
