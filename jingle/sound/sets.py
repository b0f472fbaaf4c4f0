"""How far a set of sounds is from a reference set: a Frechet distance of log-mel windows.

As the Frechet audio distance (Kilgour et al. 2019), with an embedding that needs no weights: of
each half second the mean, deviation and mean rise of 40 mel bands. Audio is 24 kHz mono.
"""

from collections.abc import Iterable

import numpy as np

from jingle.sound.compiled import librosa

RATE, HOP, BANDS = 24_000, 240, 40
WINDOW, STEP = 50, 25  # frames: 0.5 s, half overlapping
DIRECTIONS = 24  # of the reference's principal components
FRACTIONS = (0.5, 0.625, 0.75, 0.875, 1.0)  # of the windows, for the extrapolation
DRAWS = 4


def windows(wave: np.ndarray) -> np.ndarray:
    """Features (windows, 120) of a wave (samples,); none of less than half a second."""
    mel = librosa.feature.melspectrogram(
        y=np.asarray(wave, np.float32), sr=RATE, n_fft=1024, hop_length=HOP, n_mels=BANDS
    )
    level = np.log10(mel + 1e-7)
    rise = np.maximum(0, np.diff(level, axis=1, prepend=level[:, :1]))
    return np.array(
        [
            np.concatenate(
                [
                    level[:, s : s + WINDOW].mean(1),
                    level[:, s : s + WINDOW].std(1),
                    rise[:, s : s + WINDOW].mean(1),
                ]
            )
            for s in range(0, level.shape[1] - WINDOW + 1, STEP)
        ]
    ).reshape(-1, 3 * BANDS)


class Reference:
    """A set of sounds that others are compared with; its features are whitened and reduced."""

    def __init__(self, waves: Iterable[np.ndarray]):
        features = np.concatenate([windows(wave) for wave in waves])
        self.mean, self.scale = features.mean(0), features.std(0) + 1e-6
        standard = (features - self.mean) / self.scale
        _, _, directions = np.linalg.svd(standard, full_matrices=False)
        self.directions = directions[:DIRECTIONS].T
        self.points = standard @ self.directions

    def distance(self, features: np.ndarray) -> tuple[float, float]:
        """Of a set given by its `windows`: the Frechet distance, and that of an infinite set.

        A finite set looks farther away than it is, by about a constant over its size: the second
        number extrapolates a line over 1 / size to 0 (Chong and Forsyth 2020).
        """
        points = (features - self.mean) / self.scale @ self.directions
        rng, sizes, found = np.random.default_rng(0), [], []
        for fraction in FRACTIONS:
            size = round(fraction * len(points))
            for _ in range(DRAWS if fraction < 1 else 1):
                chosen = rng.choice(len(points), size, replace=False)
                sizes.append(size)
                found.append(frechet(points[chosen], self.points))
        line = np.polyfit(1 / np.array(sizes), found, 1)
        return found[-1], float(line[1])


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Frechet distance of two sets of points (N, D) taken as normally distributed."""
    means = ((first.mean(0) - second.mean(0)) ** 2).sum()
    covariances = np.cov(first.T), np.cov(second.T)
    # the trace of a product's root is the sum of the roots of its eigenvalues, real and positive
    roots = np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(min=0) ** 0.5
    return float(means + np.trace(covariances[0] + covariances[1]) - 2 * roots.sum())
