"""A conditioner that is local in the molecule: every torsion's site has a network of its own.

Axes: `B` batch, `G` sites with outputs, `I` inputs, `W` width, `V` visible torsions, `F` features
of one, `O` outputs (coordinates to be set), `P` parameters of one.

A site is a torsion with the atoms that are placed by it. Its network sees the torsions and stiff
coordinates of the nearest sites one by one, and the whole molecule through a few units that all
share. So the number of weights that a coordinate depends on does not grow with the molecule.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from molecular_flow.flow.conditioner import FEATURES
from molecular_flow.physics.molecule import Molecule
from molecular_flow.physics.tree import Tree, distances


@dataclass(frozen=True)
class Sites:
    """`of`: the torsion (number) that each atom (key) belongs to; `apart[i][j]`: bonds between."""

    of: dict[int, int]
    apart: list[list[int]]

    @classmethod
    def make(cls, tree: Tree, molecule: Molecule) -> "Sites":
        """Each atom to the torsion that places it, the others to the torsion that is nearest."""
        torsions = tree.torsions
        number = {torsion.atom: k for k, torsion in enumerate(torsions)}
        axes = [{torsion.grand, torsion.parent} for torsion in torsions]
        far = [distances(molecule.neighbours, axis) for axis in axes]
        apart = [[min(there[atom] for atom in axis) for axis in axes] for there in far]
        of = {p.atom: number[p.first] for p in tree.placements if p.first in number}
        for atom in range(len(molecule.atoms)):
            if atom not in of and torsions:
                of[atom] = min(range(len(axes)), key=lambda k, atom=atom: far[k][atom])
        return cls(of, apart)


class LocalMLP(nn.Module):
    """Two hidden layers for each site, the first over what lies within its window.

    `visible`, `moved`, `stiff`: the sites of the visible torsions, of the outputs and of the
    visible stiff coordinates; `window`: how many torsions a site sees one by one; `shared`: units
    that see everything.
    """

    def __init__(
        self,
        sites: Sites,
        visible: Sequence[int],
        moved: Sequence[int],
        parameters: int,
        *,
        width: int,
        window: int = 8,
        shared: int = 32,
        stiff: Sequence[int] = (),
    ):
        super().__init__()
        groups = sorted(set(moved))
        slots = [moved[:n].count(site) for n, site in enumerate(moved)]
        size = max(slots) + 1
        place = [groups.index(site) * size + slot for site, slot in zip(moved, slots, strict=True)]
        self.register_buffer("place", torch.tensor(place), persistent=False)
        self.parameters_each, self.size = parameters, size
        inputs = len(visible) * FEATURES + len(stiff) + 2
        mask = torch.zeros(len(groups), inputs)
        for row, site in enumerate(groups):
            near = sorted(set(visible), key=lambda other, site=site: sites.apart[site][other])
            reach = near[:window]
            bound = max((sites.apart[site][other] for other in reach), default=0)
            kept = [site_ in reach for site_ in visible]
            mask[row] = torch.tensor(
                [float(k) for k in kept for _ in range(FEATURES)]
                + [float(sites.apart[site][other] <= min(bound, 2)) for other in stiff]
                + [1.0, 1.0]
            )
        self.register_buffer("mask", mask.repeat_interleave(width, 0), persistent=False)
        fan = mask.sum(1).clamp_min(1).sqrt().repeat_interleave(width)[:, None]
        self.first = nn.Parameter((torch.rand(len(groups) * width, inputs) * 2 - 1) / fan)
        self.first_bias = nn.Parameter((torch.rand(len(groups) * width) * 2 - 1) / fan[:, 0])
        self.whole = nn.Linear(inputs, shared)
        scale = 1 / math.sqrt(width + shared)
        self.second = nn.Parameter((torch.rand(len(groups), width, width) * 2 - 1) * scale)
        self.second_bias = nn.Parameter((torch.rand(len(groups), 1, width) * 2 - 1) * scale)
        self.join = nn.Linear(shared, len(groups) * width, bias=False)
        self.last = nn.Parameter(torch.zeros(len(groups), width, size * parameters))
        self.bias = nn.Parameter(torch.zeros(len(moved), parameters))

    @property
    def last_bias(self) -> Tensor:
        """What the parameters are (O, P) before anything is learned."""
        return self.bias

    def forward(self, seen: Tensor, temperatures: Tensor, stiff: Tensor | None = None) -> Tensor:
        """Parameters (B, O, P) of features (B, V, F), (B, 2) temperatures, stiff coordinates."""
        parts = [seen.flatten(1)] + ([] if stiff is None else [stiff]) + [temperatures]
        inputs = torch.cat(parts, 1)
        groups, width = self.second.shape[:2]
        act = nn.functional.silu
        hidden = act(nn.functional.linear(inputs, self.first * self.mask, self.first_bias))
        hidden = hidden.unflatten(1, (groups, width)).transpose(0, 1)  # (G, B, W)
        joined = self.join(act(self.whole(inputs))).unflatten(1, (groups, width)).transpose(0, 1)
        hidden = act(torch.baddbmm(joined + self.second_bias, hidden, self.second))
        out = torch.bmm(hidden, self.last)  # (G, B, slots P)
        out = out.unflatten(2, (self.size, -1)).transpose(0, 1).flatten(1, 2)  # (B, G slots, P)
        return out.index_select(1, self.place) + self.bias
