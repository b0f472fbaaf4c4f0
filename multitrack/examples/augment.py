"""Changes to an edit that leave it an edit: all on values (T, K, 9), before windows and states."""

import numpy as np

from multitrack.edit.timeline import REST


def mirror(values: np.ndarray) -> np.ndarray:
    """Left and right exchanged: x -> -x, left crop <-> right crop."""
    out = values.copy()
    out[..., 3] = -values[..., 3]
    out[..., 5], out[..., 6] = values[..., 6], values[..., 5]
    return out


def noise(values: np.ndarray, rng: np.random.Generator, size: float = 1.0) -> np.ndarray:
    """Each track's active cells get one factor and offset: scale +-5 %, place +-2 %."""
    tracks = values.shape[1]
    out, on = values.copy(), values[..., :1] > 0.5
    factor = 1 + 0.05 * size * rng.uniform(-1, 1, tracks)
    shift = 0.02 * size * rng.uniform(-1, 1, (tracks, 2))
    out[..., 2] *= factor
    out[..., 3:5] += shift
    return np.where(on, out, values).astype(values.dtype)


def drop_tracks(values: np.ndarray, rng: np.random.Generator, share: float = 0.15) -> np.ndarray:
    """Tracks emptied at random, never the lowest one."""
    gone = rng.random(values.shape[1]) < share
    gone[0] = False
    out = values.copy()
    out[:, gone] = REST
    return out


def jitter(values: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Each track moved by `shift` (K,) frames, later if positive; its edge frame is held."""
    frames = len(values)
    at = np.clip(np.arange(frames)[:, None] - shift[None], 0, frames - 1)
    return values[at, np.arange(values.shape[1])[None]]


def stretch(values: np.ndarray, factor: float) -> np.ndarray:
    """The same edit `factor` times as long (nearest frame)."""
    count = max(2, round(len(values) * factor))
    return values[np.minimum((np.arange(count) / factor).astype(int), len(values) - 1)]


def augment(values: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """A random mixture of noise, lost tracks and mirroring; whether it was mirrored."""
    out = values
    if rng.random() < 0.5:
        out = noise(out, rng)
    if rng.random() < 0.3:
        out = drop_tracks(out, rng)
    if rng.random() < 0.15:
        out = jitter(out, rng.integers(-1, 2, values.shape[1]))
    mirrored = bool(rng.random() < 0.5)
    return (mirror(out) if mirrored else out), mirrored
