"""The trivial predictors and, where the corpus tells, the best possible one.

`T` frames, `K` tracks. All of them fill (T, K, 9) from what `tasks.example` gives.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from multitrack.cutting.switch import turns
from multitrack.edit.timeline import ASSETS
from multitrack.networks.cell import REACH

NAMES = ("persistence", "linear", "prior")


def persistence(example: dict[str, Tensor]) -> Tensor:
    """The past, carried on."""
    return example["past"]


def linear(example: dict[str, Tensor]) -> Tensor:
    """Activity and asset as persistence, geometry extrapolated with its last speed."""
    reach = torch.tensor(REACH, dtype=example["past"].dtype)
    ahead = (example["velocity"] * example["age"][..., None]).clamp(-reach, reach)
    past = example["past"].clone()
    past[..., 2:] += ahead
    return past


def prior(example: dict[str, Tensor], typical: Tensor) -> Tensor:
    """The training set's constant of each track (K, 9): on or off, most frequent asset, medians."""
    return typical.expand_as(example["past"])


def rule(holder: np.ndarray) -> list[int]:
    """Ticks at which the switcher cuts, by who has the floor (T,): one constant for all editors.

    Half a second after the floor has passed, in shots of at least 1.5 s; a turn that is over 0.9 s
    after it began is skipped. It is what AutoPod and its like do.
    """
    return [tick for tick, _ in turns(holder, lag=5, shortest=15)[1:]]


def previous(true: Tensor, first: Tensor) -> Tensor:
    """The frame before, of (T, K, 9); the very first frame is `first`'s."""
    return torch.cat([first[:1], true[:-1]])


def typical(values: np.ndarray) -> np.ndarray:
    """(K, 9) from training frames (T, K, 9): activity's rate, asset's mode, geometry's medians."""
    out = np.zeros(values.shape[1:], np.float32)
    out[:, 2] = 100
    for track in range(values.shape[1]):
        on = values[:, track, 0] > 0.5
        out[track, 0] = on.mean()
        if on.any():
            cells = values[on, track]
            out[track, 1] = np.bincount(cells[:, 1].astype(int)).argmax()
            out[track, 2:] = np.median(cells[:, 2:], 0)
    return out


def as_output(prediction: Tensor) -> dict[str, Tensor]:
    """A prediction (T, K, 9), activity as a probability, in the shape of a model's output."""
    sure = prediction[..., 0].clamp(1e-3, 1 - 1e-3)
    # The published targets of an empty cell are of class 0.
    shown = (prediction[..., 1] * (prediction[..., 0] > 0.5)).long()
    kinds = F.one_hot(shown, len(ASSETS)) * 0.99 + 1e-3
    return {
        "active": torch.stack([(1 - sure).log(), sure.log()], -1),
        "asset": kinds.log(),
        "values": prediction[..., 2:],
    }


def reference(values: np.ndarray, rules: list[dict], horizon: int, driven: bool) -> np.ndarray:
    """What an editor's own rules allow to know: each edge as soon as it could be known.

    values (T, K, 9); rules: the corpus's clips with the ticks at which their edges were decided. An
    edge decided at d from the edit's history shows at max(edge, d + horizon): an undecided one at
    edge + horizon, as in persistence. Of a chance continuation (a next sticker) it is told, so it
    is a little better than possible.
    """
    frames = len(values)
    out = np.zeros_like(values)
    out[..., 2] = 100

    def seen(edge: int, history: int | None, signals: int | None) -> int:
        shown = max(edge, (edge if history is None else history) + horizon)
        return min(shown, max(edge, signals)) if driven and signals is not None else shown

    for rule in sorted(rules, key=lambda r: r["from"]):
        track, first, last = rule["track"], rule["from"], rule["to"]
        begin = seen(first, rule["start"], rule["start_driven"])
        stop = min(frames, seen(last, rule["end"], rule["end_driven"]))
        if begin < stop and last <= frames:
            now = np.arange(begin, stop).clip(first, last - 1)
            out[begin:stop, track] = values[now, track]
    return out
