"""Recorded frames as tables of internal coordinates, and batches of two temperatures from them."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from molecular_flow.coordinates.internal import InternalCoordinates, internal
from molecular_flow.fresh import ENDS
from molecular_flow.physics.energy import TorchEnergy
from molecular_flow.physics.trajectory import Trajectory


class Frames(Dataset):
    """Batches of frames of two temperatures, of `rungs` (names in `tables` by kelvin, rising).

    An item is a whole batch, a dictionary, for `name` in source, target:
    `<name>` (B, D) internal coordinates with canonical labels (nm, radians); `<name>_energy` (B,)
    kJ/mol, with the frame's own labels, which `<name>_labels` (B, N) restores;
    `<name>_gradient` (B, D) of that energy by the coordinates (training only); `ladder` (B,), the
    number of the pair's ladder (evaluation only). With more than two rungs training batches have
    also `pair` (2,), their temperatures in kelvin, drawn anew for each.
    Training batches are drawn from (seed, epoch, index), each temperature by itself; evaluation
    batches are the frames of the outer two in order, so that row b of both is a pair of one ladder
    and time.
    """

    def __init__(
        self,
        tables: dict[str, Tensor],
        batch: int,
        draws: int | None,
        seed: int,
        rungs: dict[float, str],
    ):
        self.tables, self.batch, self.draws, self.seed = tables, batch, draws, seed
        self.rungs, self.size = list(rungs.items()), len(tables[ENDS[0]])

    def __len__(self) -> int:
        return self.draws or -(-self.size // self.batch)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        epoch, index = key
        pair, found = (self.rungs[0], self.rungs[-1]), {}
        if self.draws:
            rng = np.random.default_rng((self.seed, epoch, index))
            if len(self.rungs) > 2:
                pair = [self.rungs[n] for n in sorted(rng.choice(len(self.rungs), 2, False))]
                found["pair"] = torch.tensor([temperature for temperature, _ in pair]).double()
        else:
            end = min((index + 1) * self.batch, self.size)
            rows = torch.arange(index * self.batch, end)
            found["ladder"] = self.tables["ladder"][rows]
        for end, (_, name) in zip(ENDS, pair, strict=True):
            if self.draws:
                rows = torch.from_numpy(rng.integers(len(self.tables[name]), size=self.batch))
            for part in ("", "_energy", "_labels", "_gradient"):
                if name + part in self.tables:
                    found[end + part] = self.tables[name + part][rows]
        return found


def cuts(count: int) -> dict[str, slice]:
    """An eighth each, one at least, for validation and test; the rest to train."""
    few = max(1, count // 8)
    val, test = count - 2 * few, count - few
    return {"train": slice(0, val), "val": slice(val, test), "test": slice(test, count)}


def table(
    coordinates: InternalCoordinates,
    energy: TorchEnergy | None,
    trajectory: Trajectory,
    rows: dict[str, int],
    part: tuple[slice, slice],
    most: int | None,
) -> dict[str, Tensor]:
    """The table that `Frames` reads, of `part` (ladders, times) of a trajectory.

    `rows`: its temperatures by the names that they get. With `energy` also gradients. `most`: so
    many frames at most, evenly spread, with the numbers of their ladders; None: all.
    """
    found = {}
    for name, row in rows.items():
        # Time first, so that a stride over the frames keeps every ladder.
        x = trajectory.positions[row][part].swapaxes(0, 1)
        u = trajectory.energies[row][part].swapaxes(0, 1)
        count = x.shape[1]
        x, u = x.reshape(-1, *x.shape[2:]), u.reshape(-1)
        if most is not None:
            keep = np.linspace(0, len(x) - 1, min(len(x), most)).astype(int)
            x, u = x[keep], u[keep]
            found["ladder"] = torch.from_numpy(keep % count)
        blocks = []
        for block in torch.from_numpy(np.ascontiguousarray(x)).split(512):
            slope = energy.with_gradient(block)[1] if energy else None
            blocks.append(internal(coordinates, block, slope))
        z, labels, gradients = zip(*blocks, strict=True)
        found[name], found[f"{name}_energy"] = torch.cat(z), torch.from_numpy(u.copy()).float()
        found[f"{name}_labels"] = torch.cat(labels)
        if energy:
            found[f"{name}_gradient"] = torch.cat(gradients)
    return found
