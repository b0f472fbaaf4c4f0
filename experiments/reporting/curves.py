"""A scalar over training, and what can be done with it: merged, thinned, smoothed."""

import itertools
from dataclasses import dataclass

import numpy as np

# These tags are written once, at a step of their own, and say nothing about where a file begins.
OUTSIDE_TRAINING = ("test/", "hparams/", "baseline/")


@dataclass(frozen=True)
class Curve:
    """One scalar over training: `steps` (N,) strictly rising, `values` (N,), perhaps not finite."""

    steps: np.ndarray
    values: np.ndarray

    def finite(self) -> "Curve":
        """The same without NaN and Inf."""
        keep = np.isfinite(self.values)
        return Curve(self.steps[keep], self.values[keep])


def latest(steps: np.ndarray, values: np.ndarray) -> Curve:
    """Order by step; of equal steps keep the one written last."""
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    keep = np.append(steps[1:] != steps[:-1], True) if len(steps) else np.zeros(0, bool)
    return Curve(steps[keep], values[keep])


def merge(older: dict[str, Curve], newer: dict[str, Curve]) -> dict[str, Curve]:
    """The curves of a run and of its resumption: from the newer's first step on, only the newer.

    What the older wrote beyond the checkpoint was undone by the resume, also where the newer has
    not yet written that tag again.
    """
    training = [c for tag, c in newer.items() if not tag.startswith(OUTSIDE_TRAINING)]
    starts = [curve.steps[0] for curve in training if len(curve.steps)]
    start = min(starts, default=np.iinfo(np.int64).max)
    merged = {}
    for tag in {**older, **newer}:
        parts = []
        if tag in older:
            keep = older[tag].steps < start
            parts.append((older[tag].steps[keep], older[tag].values[keep]))
        if tag in newer:
            parts.append((newer[tag].steps, newer[tag].values))
        steps, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        if len(steps):
            merged[tag] = latest(steps, values)
    return merged


def downsample(curve: Curve, points: int) -> Curve:
    """At most about `points` points, with each bin's least and greatest: for plots."""
    size = len(curve.steps)
    if size <= points:
        return curve
    edges = np.linspace(0, size, points // 2 + 1).astype(int)
    keep = set()
    for first, last in itertools.pairwise(edges):
        piece = curve.values[first:last]
        keep.update((first + int(np.argmin(piece)), first + int(np.argmax(piece))))
    index = np.array(sorted(keep | {0, size - 1}))
    return Curve(curve.steps[index], curve.values[index])


def smooth(curve: Curve, window: int) -> Curve:
    """A centred moving average over `window` points, shorter at both ends."""
    if window < 2 or len(curve.values) < 3:
        return curve
    sums = np.concatenate([[0.0], np.cumsum(curve.values)])
    centre = np.arange(len(curve.values))
    first = np.maximum(0, centre - window // 2)
    last = np.minimum(len(curve.values), centre + window // 2 + 1)
    return Curve(curve.steps, (sums[last] - sums[first]) / (last - first))
