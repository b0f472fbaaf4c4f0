"""Fresh training frames: ladders that run on while the flow trains, so that no frame comes twice.

Axes: `B` batch, `N` atoms, `M` recorded frames.
"""

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Dataset

from experiments.shared.errors import InputError
from molecular_flow.coordinates.internal import InternalCoordinates, internal
from molecular_flow.physics.dynamics import Ladders
from molecular_flow.physics.molecule import Molecule

ENDS = ("source", "target")


class FreshFrames(Dataset):
    """Training batches as those of `data.Frames`, whose frames are simulated when they are drawn.

    `blocks` sets of B pairs of replicas start from `recorded` frames (2, M, N, 3) in nm at the two
    temperatures. A draw lets the set whose turn it is run for `steps` time steps of `step_ps`
    picoseconds, torsion moves and swaps included, and takes its frames. So successive batches are
    of different replicas, and a set's own batches are blocks x steps x step_ps of everybody's
    simulated time apart.
    """

    def __init__(
        self,
        molecule: Molecule,
        temperatures: tuple[float, float],
        recorded: Tensor,
        *,
        batch: int,
        draws: int,
        blocks: int,
        steps: int,
        step_ps: float,
        seed: tuple[int, ...],
        device: torch.device | str = "cpu",
    ):
        self.draws, self.steps, self.drawn = draws, steps, 0
        self.coordinates = InternalCoordinates(molecule).float().to(device)
        self.blocks = []
        for block in range(blocks):
            rng = np.random.default_rng((*seed, block))
            ladders = Ladders(
                molecule,
                list(temperatures),
                batch,
                int(rng.integers(2**31)),
                step_ps=step_ps,
                device=device,
            )
            chosen = rng.integers(recorded.shape[1], size=batch)
            ladders.place(recorded[:, chosen].flatten(0, 1))
            self.blocks.append(ladders)

    def __len__(self) -> int:
        return self.draws

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        """The next batch, whatever the key: what has been simulated so far decides it."""
        ladders = self.blocks[self.drawn % len(self.blocks)]
        self.drawn += 1
        ladders.advance(self.steps)
        for works in ladders.works:
            works.clear()  # for free energies of an exchange: here they would only pile up
        z, labels, gradient = internal(self.coordinates, ladders.x, ladders.gradient)
        parts = {"": z, "_energy": ladders.u.clone(), "_labels": labels, "_gradient": gradient}
        return {
            f"{name}{part}": value.chunk(2)[row]
            for row, name in enumerate(ENDS)
            for part, value in parts.items()
        }

    def state(self) -> dict:
        """All that a continued run needs, of every rank; plain tensors and numbers."""
        own = {"drawn": self.drawn, "blocks": [ladders.state_dict() for ladders in self.blocks]}
        if not dist.is_initialized():
            return {"ranks": [own]}
        ranks = [None] * dist.get_world_size()
        dist.all_gather_object(ranks, own)
        return {"ranks": ranks}

    def restore(self, state: dict) -> None:
        """Continue from `state`, bit for bit.

        Raises:
            InputError: it is of another number of processes or of other sizes.
        """
        world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
        saved = state["ranks"]
        if len(saved) != world:
            raise InputError(
                f"expected fresh frames of {world} processes, the checkpoint has {len(saved)}: "
                "resume on as many devices"
            )
        mine = saved[rank]
        if [b["x"].shape for b in mine["blocks"]] != [b.x.shape for b in self.blocks]:
            raise InputError(
                "the checkpoint's fresh frames are of another data.batch_size or "
                "data.fresh.blocks: resume with those it was trained with"
            )
        self.drawn = mine["drawn"]
        for ladders, block in zip(self.blocks, mine["blocks"], strict=True):
            ladders.load_state_dict(block)
