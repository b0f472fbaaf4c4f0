"""Crops of an input, a target and their blend, as a dataset."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from jingle.pairs import latents, levels
from jingle.pairs.cache import LatentStore
from jingle.pairs.scan import Pair

SIDES = ("input", "target")
LEVELS = tuple(f"{side}_levels" for side in SIDES)  # not in time: never cropped


@dataclass(frozen=True)
class Triple:
    """Cache keys of arrays by name, of one crop: an input, a target, their blend and perhaps more.

    `matched`: the target is the pair's own.
    """

    pair: int
    matched: bool
    keys: dict[str, str]


def triple(codec, pairs: list[Pair], i: int, j: int, *, parts: bool, hpss: bool) -> Triple:
    """Keys of the input of pair `i`, the target of pair `j` and their blend.

    Args:
        codec: whose latents they are.
        pairs: of one split.
        i: whose input.
        j: whose target.
        parts: whether to add the percussive and harmonic part of both, true ones where there are
            stems, what separation gives, `input_hpss`, percussive, and `target_hpss`, harmonic, and
            the levels of both songs, `input_levels` and `target_levels`.
        hpss: whether to add `hpss_mix`, the blend as where no stems are known.
    """
    a, b = pairs[i], pairs[j]
    keys = {
        "input": latents.song_key(codec, a.input),
        "target": latents.song_key(codec, b.target),
        "blend": latents.blend_key(codec, a, b),
    }
    if hpss:
        keys["hpss_mix"] = latents.blend_key(codec, a.without_stems(), b.without_stems())
    if parts:
        for pair, side in ((a, "input"), (b, "target")):
            own = {name: part for name, part in pair.parts().items() if name.startswith(side)}
            keys |= {name: latents.part_key(codec, *part) for name, part in own.items()}
        separated = a.separated() | {"target_hpss": b.separated()["target_hpss"]}
        keys |= {name: latents.part_key(codec, *part) for name, part in separated.items()}
        both = levels.sides(a)["input"], levels.sides(b)["target"]
        keys |= {f"{side}_levels": levels.key(*of) for side, of in zip(SIDES, both, strict=True)}
    return Triple(i, i == j, keys)


def crop(store: LatentStore, triple: Triple, frames: int, where: float) -> dict[str, Tensor]:
    """`frames` of each array from the same place, `where` in [0, 1) of what is possible.

    The levels of both songs come whole, (5, 1).
    """
    arrays = {name: store.get(key) for name, key in triple.keys.items()}
    spare = min(len(array) for name, array in arrays.items() if name not in LEVELS) - frames
    start = int(where * (spare + 1))
    spans = {name: slice(start, start + frames) for name in arrays} | dict.fromkeys(
        LEVELS, slice(1)
    )
    return {
        # torch widens half precision six times faster than numpy; the batch makes it contiguous
        name: torch.from_numpy(np.array(array[spans[name]])).T.float()  # (128, T); levels (5, 1)
        for name, array in arrays.items()
    }


class TrainTriples(Dataset):
    """Item (epoch, index): a triple's arrays by name, float32 raw latents (128, T).

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
