"""Batches of recorded frames at both temperatures, as a dataset."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from molecular_flow.fresh import ENDS


class Frames(Dataset):
    """Batches of frames of both temperatures.

    An item is a whole batch, a dictionary, for `name` in source, target:
    `<name>` (B, D) internal coordinates with canonical labels (nm, radians); `<name>_energy` (B,)
    kJ/mol, with the frame's own labels, which `<name>_labels` (B, N) restores;
    `<name>_gradient` (B, D) of that energy by the coordinates (training only); `ladder` (B,), the
    number of the pair's ladder (evaluation only).
    Training batches are drawn from (seed, epoch, index), each temperature by itself; evaluation
    batches are the frames in order, so that row b of both is a pair of one ladder and time.
    """

    def __init__(self, tables: dict[str, Tensor], batch: int, draws: int | None, seed: int):
        self.tables, self.batch, self.draws, self.seed = tables, batch, draws, seed
        self.sizes = {name: len(tables[name]) for name in ENDS}

    def __len__(self) -> int:
        return self.draws or -(-self.sizes["source"] // self.batch)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        epoch, index = key
        if self.draws:
            rng = np.random.default_rng((self.seed, epoch, index))
            rows = {
                name: torch.from_numpy(rng.integers(self.sizes[name], size=self.batch))
                for name in ENDS
            }
        else:
            here = torch.arange(
                index * self.batch, min((index + 1) * self.batch, min(self.sizes.values()))
            )
            rows = dict.fromkeys((*ENDS, "ladder"), here)
        return {key: table[rows[key.split("_")[0]]] for key, table in self.tables.items()}
