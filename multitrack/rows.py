"""What a predicted edit comes to: one row of sums, as `metrics.LAYOUT` has them.

`T` frames, `K` tracks, `N` cells (frame, track) that are on, `R` numbers a row. What hangs on the
truth alone is worked out once for all that predict it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from multitrack.edit.geometry import iou, rectangles
from multitrack.edit.timeline import SAMPLES_PER_SECOND
from multitrack.metrics import BINS, LAYOUT, NEAR, OFFSETS, RULES, TOLERANCES

APART = max(TOLERANCES) + 1  # frames between the tracks where all lie on one line of time


def matches(said: Sequence[int], true: Sequence[int], tolerance: int) -> list[int]:
    """The true times that are met, one to one, within `tolerance` (greedy is optimal here)."""
    hits, i, j = [], 0, 0
    while i < len(said) and j < len(true):
        gap = said[i] - true[j]
        if abs(gap) <= tolerance:
            hits.append(true[j])
            i, j = i + 1, j + 1
        elif gap < 0:
            i += 1
        else:
            j += 1
    return hits


def edges(active: np.ndarray, score: np.ndarray) -> tuple[list[int], list[int]]:
    """Onsets and offsets of all tracks on one line of time, track after track; (T, K) each.

    Only between two scored frames. Tracks are so far apart that their edges never match.
    """
    both = score[1:] & score[:-1]
    now, before = active[1:], active[:-1]
    return _line(now & ~before & both), _line(before & ~now & both)


def _line(flags: np.ndarray) -> list[int]:
    track, frame = np.nonzero(flags.T)
    return (track * (len(flags) + 1 + APART) + frame + 1).tolist()


@dataclass
class Truth:
    """An edit, and what every prediction of it is held against.

    values: (T, K, 9); score: (T, K) which cells count; sizes: (T, K, 2) of the sources; canvas:
    (2,) pixels; clip_age: (T, K) frames since each cell's clip came on, or took over from another
    one; age: (T, K) frames since what a cell is told from; rules: (T, K, 2) the rule, counted from
    1 in RULES, of the onset and of the offset at each cell, 0 where none is known.
    """

    values: np.ndarray
    score: np.ndarray
    sizes: np.ndarray
    canvas: np.ndarray
    clip_age: np.ndarray
    age: np.ndarray
    rules: np.ndarray

    @cached_property
    def active(self) -> np.ndarray:
        return self.values[..., 0] > 0.5

    @cached_property
    def on(self) -> np.ndarray:
        return self.active & self.score

    @cached_property
    def at(self) -> np.ndarray:
        """The cells that are on, as flat indices: (N,)."""
        return np.flatnonzero(self.on)

    @cached_property
    def here(self) -> np.ndarray:
        """(N, 9): their values."""
        return self.values.reshape(-1, 9)[self.at]

    @cached_property
    def alive(self) -> np.ndarray:
        """(T, K): on, and on in the frame before."""
        out = self.on.copy()
        out[1:] &= self.active[:-1]
        out[:1] = False
        return out

    @cached_property
    def running(self) -> np.ndarray:
        """(T, K): alive, and seen for two frames at least when it is foretold."""
        return self.alive & (self.clip_age > self.age)

    @cached_property
    def moving(self) -> dict[str, np.ndarray]:
        """Of the cells that are on: (N,) flags by `kind_what` of LAYOUT."""
        before = self.values.reshape(-1, 9)[np.maximum(self.at - self.on.shape[1], 0)]
        drift = np.abs(self.here - before)
        moves = {"scale": drift[:, 2] > 1e-3, "position": (drift[:, 3:5] > 1e-5).any(-1)}
        kinds = {"moving": self.alive.ravel()[self.at], "running": self.running.ravel()[self.at]}
        return {
            f"{kind}_{what}": moved & cells
            for what, moved in moves.items()
            for kind, cells in kinds.items()
        }

    @cached_property
    def boxes(self) -> torch.Tensor:
        """The clips' rectangles on the canvas: (N, 4)."""
        return self.rectangles(self.here, np.ones(len(self.at), bool))

    def rectangles(self, values: np.ndarray, chosen: np.ndarray) -> torch.Tensor:
        """Of `values` in the `chosen` of the cells that are on; sources of no size fill it."""
        found, canvas = torch.from_numpy(values), torch.from_numpy(self.canvas)
        source = torch.from_numpy(self.sizes.reshape(-1, 2)[self.at[chosen]])
        source = torch.where(source > 0, source, canvas)
        return rectangles(found[:, 2], found[:, 3:5], found[:, 5:], source, canvas)

    @cached_property
    def still(self) -> np.ndarray:
        """The first of three frames in which the clip runs and nothing moves: flat indices."""
        tracks, flat = self.on.shape[1], self.values.reshape(-1, 9)
        at = np.flatnonzero(self.alive[1:-1] & self.alive[2:])
        one, two, three = (flat[at + step * tracks, 2:] for step in range(3))
        rests = (np.abs(two - one) < 1e-6).all(-1) & (np.abs(three - two) < 1e-6).all(-1)
        return at[rests]

    @cached_property
    def edges(self) -> tuple[list[int], list[int]]:
        return edges(self.active, self.score)

    def ruled(self, kind: int, times: Sequence[int]) -> np.ndarray:
        """How many of the edges at `times`, onsets (0) or offsets (1), are of each rule."""
        track, frame = np.divmod(np.asarray(times, np.int64), len(self.on) + APART)
        found = self.rules[frame, track, kind].astype(np.int64)
        return np.bincount(found, minlength=len(RULES) + 1)[1:]


def row(said: np.ndarray, sure: np.ndarray, truth: Truth) -> np.ndarray:
    """The sums of one prediction: (R,).

    said: (T, K, 9) with 0/1 activity; sure: (T, K) probability of being active. Cuts are told by no
    cell: `scoring` adds them.
    """
    sums: dict[str, np.ndarray | float] = {}
    on, score, yes = truth.on, truth.score, said[..., 0] > 0.5
    tracks = on.shape[1]
    for key, cells in (
        ("tp", on & yes), ("fp", yes & score & ~truth.active), ("fn", on & ~yes),
    ):  # fmt: skip
        sums[key] = np.pad(cells.sum(0), (0, LAYOUT[key] - tracks))
    there = int(score.any(1).sum())
    sums |= {"frames": there, "minutes": there / SAMPLES_PER_SECOND / 60, "on": len(truth.at)}
    sums |= _errors(said.reshape(-1, 9)[truth.at], truth)
    sums["shown"] = ((on | yes) & score).sum()
    sums |= _met(yes, truth)
    sums |= _jitter(said.reshape(-1, 9), truth)
    sums |= _calibration(sure[score], yes[score], truth.active[score])
    out = np.zeros(sum(LAYOUT.values()))
    for key, value in sums.items():
        out[OFFSETS[key] : OFFSETS[key] + LAYOUT[key]] = value
    return out


def _errors(said: np.ndarray, truth: Truth) -> dict[str, float]:
    """Of the cells that are on: (N, 9)."""
    error = np.abs(said - truth.here).astype(np.float64)
    pixels, yes = (error[:, 3:5] * truth.canvas).mean(-1), said[:, 0] > 0.5
    sums = {
        "asset_right": (said[:, 1].round() == truth.here[:, 1]).sum(),
        "scale": error[:, 2].sum(),
        "position": pixels.sum(),
        "crop": error[:, 5:].mean(-1).sum(),
        "iou": float(iou(truth.rectangles(said[yes], yes), truth.boxes[yes]).sum()),
    }
    for key, cells in truth.moving.items():
        value = error[:, 2] if key.endswith("scale") else pixels
        sums[key], sums[f"{key}_cells"] = value[cells].sum(), cells.sum()
    return sums


def _met(yes: np.ndarray, truth: Truth) -> dict[str, np.ndarray | float]:
    """Of onsets and offsets: how many are said, true, met; by rule, too."""
    sums: dict[str, np.ndarray | float] = {"flips_said": 0, "flips_true": 0}
    for number, (kind, told, fact) in enumerate(
        zip(("onset", "offset"), edges(yes, truth.score), truth.edges, strict=True)
    ):
        met = [matches(told, fact, tolerance) for tolerance in TOLERANCES]
        sums[f"{kind}_hit"] = np.array([len(times) for times in met])
        for what, times in (("said", told), ("true", fact)):
            sums[f"{kind}_{what}"] = len(times)
            sums[f"flips_{what}"] += len(times)
        for what, times in (("hit", met[NEAR]), ("true", fact)):
            sums[f"{kind}_{what}_ruled"] = truth.ruled(number, times)
        if kind == "onset":
            track = np.asarray(fact, np.int64) // (len(yes) + APART)
            sums["clips"] = np.bincount(track, minlength=LAYOUT["clips"])
    return sums


def _jitter(said: np.ndarray, truth: Truth) -> dict[str, float]:
    """How far what stands still is said to bend, pixels a frame²; said (T x K, 9)."""
    tracks = truth.on.shape[1]
    at = truth.still
    at = at[(said[at[:, None] + tracks * np.arange(3), 0] > 0.5).all(-1)]
    one, two, three = (
        said[at + step * tracks, 3:5].astype(np.float64) * truth.canvas for step in range(3)
    )
    bend, running = np.abs(three - 2 * two + one).mean(-1), truth.running.ravel()[at]
    return {
        "jitter": bend.sum(), "still": len(at),
        "running_jitter": bend[running].sum(), "running_still": running.sum(),
    }  # fmt: skip


def _calibration(sure: np.ndarray, yes: np.ndarray, active: np.ndarray) -> dict:
    """Of the cells that count, (cells,) each."""
    confident = np.maximum(sure, 1 - sure)
    index = ((confident - 0.5) * 2 * BINS).astype(np.int64).clip(0, BINS - 1)
    return {
        "brier": ((sure - active.astype(np.float64)) ** 2).sum(), "cells": len(sure),
        "bin_count": np.bincount(index, minlength=BINS),
        "bin_sure": np.bincount(index, confident, BINS),
        "bin_right": np.bincount(index, yes == active, BINS),
    }  # fmt: skip
