"""Crops of an input, a target and their blend, as a dataset."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from jingle.pairs.cache import LatentStore


@dataclass(frozen=True)
class Triple:
    """Cache keys of an input, a target and their blend; `matched`: the target is the pair's own."""

    pair: int
    input: str
    target: str
    blend: str
    matched: bool


def crop(store: LatentStore, triple: Triple, frames: int, where: float) -> dict[str, Tensor]:
    """`frames` of the three arrays from the same place, `where` in [0, 1) of what is possible."""
    arrays = {name: store.get(getattr(triple, name)) for name in ("input", "target", "blend")}
    spare = min(len(array) for array in arrays.values()) - frames
    start = int(where * (spare + 1))
    return {
        # torch widens half precision six times faster than numpy; the batch makes it contiguous
        name: torch.from_numpy(np.array(array[start : start + frames])).T.float()  # (128, T)
        for name, array in arrays.items()
    }


class TrainTriples(Dataset):
    """Item (epoch, index): {"input", "target", "blend"}: float32 raw latents (128, T).

    Which of the input's partners and which crop follows from (seed, epoch, index) alone.
    """

    def __init__(self, store: LatentStore, choices: list[list[Triple]], frames: int, seed: int):
        self.store, self.choices, self.frames, self.seed = store, choices, frames, seed

    def __len__(self) -> int:
        return len(self.choices)

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Tensor]:
        epoch, index = item
        rng = np.random.default_rng((self.seed, epoch, index))
        choices = self.choices[index]
        return crop(self.store, choices[rng.integers(len(choices))], self.frames, rng.random())


class EvalTriples(Dataset):
    """Item: as in training, from the middle of the songs, and "matched": bool, "pair": int64."""

    def __init__(self, store: LatentStore, triples: list[Triple], frames: int):
        self.store, self.triples, self.frames = store, triples, frames

    def __len__(self) -> int:
        return len(self.triples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        triple = self.triples[index]
        return crop(self.store, triple, self.frames, 0.5) | {
            "matched": torch.tensor(triple.matched),
            "pair": torch.tensor(triple.pair),
        }


def draw_partners(size: int, partners: int, seed: int) -> list[list[int]]:
    """For each of `size` pairs, `partners` different others (fewer where there are not enough)."""
    drawn = []
    for index in range(size):
        rng = np.random.default_rng((seed, index))
        others = rng.permutation(size - 1)[:partners]
        drawn.append([int(other + (other >= index)) for other in others] or [index])
    return drawn
