"""The work that a flow does on each frame, both ways, and the gradient that training follows.

Axes: `B` batch, `D` internal coordinates. See `losses` for what the work is.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from molecular_flow.coordinates.internal import restore
from molecular_flow.flow.transport import TransportFlow
from molecular_flow.fresh import ENDS
from molecular_flow.physics.energy import beta, capped

ROOM = 0.3  # radians: the width of a torsion
CAP = 1000.0  # kT above the minimum, where the energy starts to grow only logarithmically


class Direction(NamedTuple):
    """One direction's frames: all (B,) in nats, but `moved` and `pull` (B, D).

    work; reduced (beta U at the start); energy (beta U at the end); log_det (of positions); moved;
    capped (1 where the energy was); pull, the gradient of log q - log p at the moved frames.
    """

    work: Tensor
    reduced: Tensor
    energy: Tensor
    log_det: Tensor
    moved: Tensor
    capped: Tensor
    pull: Tensor | None = None


class Works:
    """Works of `flow` between the temperatures `pair` (kelvin) in the potential `energy` (kJ/mol).

    `lowest` is the energy's minimum, from which the cap is counted. Batches are `frames.Frames`'s;
    one that names its own `pair` is of that. `most_pull`: bound of `both_ways`' pulls, in thermal
    forces; None: none.
    """

    def __init__(
        self,
        flow: TransportFlow,
        energy: nn.Module,
        pair: tuple[float, float],
        lowest: float,
        most_pull: float | None = None,
    ):
        self.flow, self.energy, self.pair, self.lowest = flow, energy, pair, lowest
        self.betas = (beta(pair[0]), beta(pair[1]))
        self.most_pull = most_pull

    def _pair(self, batch: dict[str, Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """A batch's temperatures in kelvin, and their betas in mol/kJ."""
        if "pair" not in batch:
            return self.pair, self.betas
        pair = tuple(batch["pair"].tolist())
        return pair, tuple(beta(temperature) for temperature in pair)

    def reduced(
        self, z: Tensor, labels: Tensor, beta: float | Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of coordinates (B, D): beta U, log |dx/dz| and where the energy was capped, (B,) each.

        U with the labels (B, N) that the frames had before they were made canonical: for COO- it
        depends on them by up to some kJ/mol.
        """
        u = self.energy(restore(self.flow.coordinates.decode(z), labels))
        energy, over = capped(beta * u, beta * self.lowest + CAP)
        return energy, self.flow.coordinates.log_volume(z), over.float()

    def one_way(self, batch: dict[str, Tensor], backwards: bool) -> Direction:
        """The source's frames moved to the target, or `backwards`; automatic differentiation."""
        start, end = (1, 0) if backwards else (0, 1)
        z, (pair, betas) = batch[ENDS[start]], self._pair(batch)
        moved, log_z = self.flow(z, *pair, inverse=backwards)
        labels = batch[f"{ENDS[start]}_labels"]
        energy, volume, over = self.reduced(moved, labels, betas[end])
        before = betas[start] * batch[f"{ENDS[start]}_energy"]
        log_det = log_z + volume - self.flow.coordinates.log_volume(z)
        return Direction(energy - log_det - before, before, energy, log_det, moved, over)

    def ends(
        self,
        low: float,
        high: float,
        one: dict[str, Tensor],
        two: dict[str, Tensor],
        plain: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Works (M,) up and down between `low` and `high` kelvin; `plain`: of no map at all.

        `one`, `two`: coordinates z (M, D), labels (M, N) and energies (M,) in kJ/mol at each.
        """  # fmt: skip
        pair = torch.tensor([low, high], dtype=torch.float64)
        batch = {"pair": pair}
        for name, rung in zip(ENDS, (one, two), strict=True):
            batch |= {name: rung["z"], f"{name}_labels": rung["labels"],
                      f"{name}_energy": rung["energy"]}  # fmt: skip
        if plain:
            gap = beta(high) - beta(low)
            return gap * one["energy"], -gap * two["energy"]
        return self.one_way(batch, False).work, self.one_way(batch, True).work

    def _bounded(self, pull: Tensor) -> Tensor:
        """Pulls (B, D) of at most `most_pull` kT a coordinate's own width, root mean square.

        Thermal forces have 1; a frame in a clash feels thousands of times more, and would alone say
        where a step goes.
        """
        flow, most = self.flow, self.most_pull
        if most is None:
            return pull
        reach = torch.cat([flow.scale, torch.full_like(flow.centre, ROOM)])
        size = (pull * reach).norm(dim=1, keepdim=True) / math.sqrt(pull.shape[1])
        return pull * (most / size.clamp_min(most))

    def both_ways(self, batch: dict[str, Tensor]) -> tuple[Direction, Direction]:
        """Forward and backward with `pull`, for `losses.with_path_gradient`.

        pull is taken at the moved frames, through the map that undoes the move. Where the same map
        moves one direction's frames and undoes the other's, it runs once over both. Both ends have
        equally many frames.
        """
        z_s, z_t = (batch[name] for name in ENDS)
        size, (pair, both) = len(z_s), self._pair(batch)
        moved_t, _ = self.flow(z_t, *pair, inverse=True)
        leaf_t = moved_t.detach().requires_grad_(True)
        there, log_there = self.flow(torch.cat([z_s, leaf_t]), *pair)
        moved_s, back_t = there[:size], there[size:]
        leaf_s = moved_s.detach().requires_grad_(True)
        back_s, log_back_s = self.flow(leaf_s, *pair, inverse=True)

        leaf, moved = torch.cat([leaf_s, leaf_t]), torch.cat([moved_s, moved_t])
        back, log_back = torch.cat([back_s, back_t]), torch.cat([log_back_s, log_there[size:]])
        start = torch.cat([z_s, z_t])
        cold, hot = (z_s.new_full((size,), beta) for beta in both)
        betas = torch.cat([cold, hot])
        labels = torch.cat([batch[f"{name}_labels"] for name in ENDS])
        energy, volume, over = self.reduced(leaf, labels, torch.cat([hot, cold]))
        # The gradient of beta U - log |dx/dz| at the start.
        known = betas[:, None] * torch.cat([batch[f"{name}_gradient"] for name in ENDS])
        known = known - self.flow.coordinates.log_volume_gradient(start)
        ratio = energy - volume + log_back - (known * back).sum(1)
        pull = torch.autograd.grad(ratio.sum(), (leaf_s, leaf_t), retain_graph=True)
        pull = self._bounded(torch.cat(pull))

        before = betas * torch.cat([batch[f"{name}_energy"] for name in ENDS])
        log_det = volume - log_back - self.flow.coordinates.log_volume(start)
        log_det, energy = log_det.detach(), energy.detach()
        parts = (energy - log_det - before, before, energy, log_det, moved, over, pull)
        ahead, behind = zip(*(part.split(size) for part in parts), strict=True)
        return Direction(*ahead), Direction(*behind)
