"""Harmonic/percussive separation by running medians, as librosa's, some ten times faster.

After Fitzgerald 2010: along time a median keeps what lasts, along frequency what is broad. The
median's window is kept sorted, so that a step costs one insertion instead of a selection.
"""

import numba
import numpy as np

from jingle.sound.compiled import librosa


@numba.njit(cache=True, nogil=True)
def running_median(rows: np.ndarray, size: int) -> np.ndarray:
    """Medians over `size` (odd) neighbours along each row of (R, N), mirrored at the ends.

    Equal to `scipy.ndimage.median_filter(rows, (1, size), mode="reflect")`. No NaN.
    """
    count, length = rows.shape
    half, period = size // 2, 2 * length
    mirror = np.empty(length + 2 * half, np.int64)
    for i in range(len(mirror)):
        place = (i - half) % period
        mirror[i] = place if place < length else period - 1 - place
    found = np.empty_like(rows)
    window = np.empty(size, rows.dtype)
    for r in range(count):
        row = rows[r]
        for i in range(size):
            window[i] = row[mirror[i]]
        window.sort()
        found[r, 0] = window[half]
        for n in range(1, length):
            old, new = row[mirror[n - 1]], row[mirror[n + size - 1]]
            low, high = 0, size - 1
            while low < high:
                middle = (low + high) // 2
                if window[middle] < old:
                    low = middle + 1
                else:
                    high = middle
            while low + 1 < size and window[low + 1] < new:
                window[low] = window[low + 1]
                low += 1
            while low > 0 and window[low - 1] > new:
                window[low] = window[low - 1]
                low -= 1
            window[low] = new
            found[r, n] = window[half]
    return found


def percussive_mask(magnitude: np.ndarray, kernel: int) -> np.ndarray:
    """The share of the percussive part in each cell of a spectrogram (F, T), a Wiener mask.

    Where both medians are 0 each part gets half.
    """
    lasting = running_median(magnitude, kernel)
    broad = np.ascontiguousarray(running_median(np.ascontiguousarray(magnitude.T), kernel).T)
    loudest = np.maximum(lasting, broad)
    empty = loudest < np.finfo(magnitude.dtype).tiny
    loudest[empty] = 1
    lasting, broad = np.square(lasting / loudest), np.square(broad / loudest)
    lasting[empty] = broad[empty] = 1
    return broad / (lasting + broad)


def separate(
    audio: np.ndarray, *, window: int, hop: int, kernel: int
) -> tuple[np.ndarray, np.ndarray]:
    """Percussive and harmonic part of `audio` (samples,), float32; they add up to it."""
    spectrum = librosa.stft(audio, n_fft=window, hop_length=hop)
    share = percussive_mask(np.abs(spectrum), kernel)
    percussive = librosa.istft(spectrum * share, n_fft=window, hop_length=hop, length=len(audio))
    return percussive, audio - percussive
