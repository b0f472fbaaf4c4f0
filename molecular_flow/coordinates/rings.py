"""Rings kept closed: the closing bond is a coordinate, as stiff as any other bond.

A tree leaves one bond of every ring open, whose length would follow from all other coordinates:
stretched one by one these would break it. So the atom `x` that closes a ring is placed by its
distances to both its neighbours, `p` (its parent) and `y`, and by the dihedral (flap) about p - y;
and what hangs on x and y turns along with the bond between these.

Axes: `B` batch, `D` coordinates, `N` atoms. Coordinates with the tree's own angle and dihedral of x
are called open, those with distance and flap closed. Units: nm, radians.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from molecular_flow.coordinates.geometry import angle, dihedral, wrap
from molecular_flow.physics.tree import Closure, Tree

Quad = tuple[int, int, int, int]
NOWHERE = -1e4
SMALL = 8  # atoms of a ring on whose far side from p's parent x always lies: its flap is near 180


@dataclass(frozen=True)
class Ring:
    """Columns among the coordinates and atoms of one closure.

    `bond`, `bend`, `turn`: x's distance to p, its angle and its dihedral, the latter two of the
    atoms `angle` and `dihedral`. `hanging`: the dihedral columns of the atoms on x and on y, each
    with the dihedral that the closing bond has there. `base`: what the flap is counted from, so
    that a flat ring or one that flips does not cross the end of the angle's range.
    """

    closure: Closure
    bond: int
    bend: int
    turn: int
    dihedral: Quad
    hanging: tuple[tuple[int, Quad], ...]
    base: float

    @property
    def flap(self) -> Quad:
        """The dihedral of the plane x - p - y with that of p's parent."""
        return self.closure.x, self.closure.p, self.closure.y, self.dihedral[2]

    @classmethod
    def make(cls, tree: Tree, closure: Closure, bend: int, columns: dict[int, int]) -> "Ring":
        """`columns`: of each atom's dihedral; x's bond is its place among the bonds."""
        placed = {p.atom: p for p in tree.placements}
        own = placed[closure.x]
        quads = {closure.x: (closure.y, closure.x, own.parent, own.grand)}
        hanging = []
        for child in tree.placements:
            if child.parent in (closure.x, closure.y):
                other = closure.y if child.parent == closure.x else closure.x
                quads[child.atom] = (other, child.parent, child.grand, child.great)
                hanging.append((columns[child.atom], quads[child.atom]))
        rank = [p.atom for p in tree.placements].index(closure.x)
        base = math.pi if _size(tree, closure) <= SMALL else 0.0
        return cls(closure, 2 + rank, bend + rank, columns[closure.x],
                   (own.atom, own.parent, own.grand, own.great), tuple(hanging), base)  # fmt: skip


def _size(tree: Tree, closure: Closure) -> int:
    """How many atoms the ring has."""
    a, b, c = tree.root
    parents = {p.atom: p.parent for p in tree.placements} | {a: b, c: b}
    ways = []
    for atom in (closure.x, closure.y):
        way = {atom}
        while atom in parents:
            atom = parents[atom]
            way.add(atom)
        ways.append(way)
    return len(ways[0] ^ ways[1]) + 1


def one(x: Tensor, quad: Quad) -> Tensor:
    """The dihedral (B,) of four atoms of x (B, N, 3)."""
    return dihedral(x, *([atom] for atom in quad))[:, 0]


class Rings(nn.Module):
    """The change between open and closed coordinates of all closures of `tree`.

    `rest` (1, N, 3): the structure at which hanging atoms have the same dihedral in both.
    """

    def __init__(self, tree: Tree, columns: dict[int, int], rest: Tensor):
        super().__init__()
        bends = len(columns) + 3  # after the N - 1 bonds comes the root's angle
        self.rings = [Ring.make(tree, closure, bends, columns) for closure in tree.closures]
        stages = sorted({ring.closure.stage for ring in self.rings})
        self.stages = [[r for r in self.rings if r.closure.stage == stage] for stage in stages]
        homes = [one(rest, quad) for ring in self.rings for _, quad in ring.hanging]
        home = torch.cat(homes) if homes else rest.new_zeros(0)
        # Kept in checkpoints, for another machine may minimise to another structure.
        self.register_buffer("home", home)

    def _homes(self, ring: Ring) -> Tensor:
        start = sum(len(r.hanging) for r in self.rings[: self.rings.index(ring)])
        return self.home[start : start + len(ring.hanging)]

    def close(self, z: Tensor, x: Tensor) -> Tensor:
        """Open coordinates (B, D) of positions x (B, N, 3) to closed ones."""
        changed = {}
        for ring in self.rings:
            changed[ring.bend] = (x[:, ring.closure.x] - x[:, ring.closure.y]).norm(dim=-1)
            changed[ring.turn] = wrap(one(x, ring.flap) - ring.base)
            for (column, quad), home in zip(ring.hanging, self._homes(ring), strict=True):
                changed[column] = wrap(z[:, column] - one(x, quad) + home)
        return _with(z, changed)

    def open(self, z: Tensor, place: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Closed coordinates (B, D) to open ones; and log |d open / d closed| (B,).

        `place` gives positions (B, N, 3) of open coordinates. Where three sides make no triangle
        there are no positions: the logarithm is `NOWHERE`, at which no exchange is accepted.
        """
        log = torch.zeros_like(z[:, 0])
        for stage in self.stages:
            x = place(z)
            changed = {}
            for ring in stage:
                moved, part = _placed(z, x, ring)
                bend = angle(moved, *([atom] for atom in ring.dihedral[:3]))[:, 0]
                changed[ring.bend] = bend
                changed[ring.turn] = one(moved, ring.dihedral)
                for (column, quad), home in zip(ring.hanging, self._homes(ring), strict=True):
                    changed[column] = wrap(z[:, column] + one(moved, quad) - home)
                log = log + part - bend.sin().log()
            z = _with(z, changed)
        return z, log


def _placed(z: Tensor, x: Tensor, ring: Ring) -> tuple[Tensor, Tensor]:
    """Positions with the ring's x at its distances and flap; and log of its solid angle's share.

    At distances r and s from points d apart, a volume is (r s / d) dr ds dflap: r^2 dr times the
    solid angle (s / (r d)) ds dflap.
    """
    here, there = x[:, ring.closure.p], x[:, ring.closure.y]
    side = x[:, ring.dihedral[2]] - here
    near, far, flap = z[:, ring.bond], z[:, ring.bend], z[:, ring.turn] + ring.base
    apart = (there - here).norm(dim=-1)
    axis = (there - here) / apart[:, None]
    across = nn.functional.normalize(side - (side * axis).sum(-1, keepdim=True) * axis, dim=-1)
    up = torch.linalg.cross(across, axis)
    along = (near.square() - far.square() + apart.square()) / (2 * apart)
    square = near.square() - along.square()
    height = square.clamp_min(1e-6).sqrt()
    turned = flap.cos()[:, None] * across + flap.sin()[:, None] * up
    position = here + along[:, None] * axis + height[:, None] * turned
    atom = ring.closure.x
    moved = torch.cat([x[:, :atom], position[:, None], x[:, atom + 1 :]], 1)
    share = far.log() - near.log() - apart.log()
    return moved, torch.where(square > 1e-6, share, NOWHERE)


def _with(z: Tensor, changed: dict[int, Tensor]) -> Tensor:
    """The coordinates (B, D) with some columns replaced."""
    if not changed:
        return z
    places = torch.tensor(list(changed), device=z.device)
    return z.index_copy(1, places, torch.stack(list(changed.values()), 1))
