"""Positions from bonds, angles and dihedrals along a tree, and forces back onto these.

Axes: `B` batch, `N` atoms. Every coordinate moves a part of the molecule as a rigid body, so that
the derivative of anything by it is the force on that part along a bond, or the torque on it about
an axis: two sums over atoms give them all, and no chain of placements has to be walked backwards
(Abe, Braun, Noguti, Go 1984).
"""

import numpy as np
import torch
from torch import Tensor, nn

from molecular_flow.physics.tree import Tree


class Kinematics(nn.Module):
    """Places a molecule's atoms; the root `a - b - c` has `b` in the origin, `a` on x, `c` in xy.

    A frame is a rotation whose columns are an atom's bond to its parent, the normal of the plane
    of that bond and the parent's, and (second) their cross product.
    """

    def __init__(self, tree: Tree):
        super().__init__()
        a, b, c = tree.root
        placed = tree.placements
        parent = {p.atom: p.parent for p in placed} | {a: b, c: b}
        atoms = len(parent) + 1
        carried = np.zeros((atoms, atoms))  # (mover, atom): what moves along with an atom
        for atom in range(atoms):
            mover = atom
            while mover != b:
                carried[mover, atom] = 1
                mover = parent[mover]
        # The root's angle turns all that does not hang on a.
        swung = 1 - carried[a]
        swung[b] = 0
        movers = [a, c, *(p.atom for p in placed)]
        self.register_buffer(
            "moves", torch.tensor(np.stack([*carried[movers], swung])), persistent=False
        )
        self.register_buffer(
            "pivots", torch.tensor([p.parent for p in placed], dtype=torch.long), persistent=False
        )
        self.levels, front = [], [a, c, b]
        for n, level in enumerate(tree.levels):
            within = torch.tensor([front.index(p.parent) for p in level])
            self.register_buffer(f"within{n}", within, persistent=False)
            self.levels.append((f"within{n}", len(level)))
            front = [p.atom for p in level]

    def forward(self, bonds: Tensor, angles: Tensor, dihedrals: Tensor) -> Tensor:
        """Positions (B, N, 3) in nm of bonds (B, N - 1), angles (B, N - 2), dihedrals (B, N - 3).

        Bonds: a - b, b - c, then one per placement. Angles: a - b - c, then likewise.
        """
        return _Place.apply(bonds, angles, dihedrals, self)

    def place(self, bonds: Tensor, angles: Tensor, dihedrals: Tensor) -> tuple[Tensor, ...]:
        """Positions; unit bonds (B, N - 1, 3); of the placed atoms axis and normal (B, N - 3, 3).

        An atom's dihedral turns it about its axis, its angle about minus its normal.
        """
        cosine, sine = angles.cos(), angles.sin()
        frames = _root_frames(cosine[:, 0], sine[:, 0])
        steps = _steps(cosine[:, 1:], sine[:, 1:], dihedrals)
        directions, axes, normals = [frames[:, :2, :, 0]], [], []
        start = 0
        for within, size in self.levels:
            before = frames.index_select(1, getattr(self, within))
            frames = before @ steps[:, start : start + size]
            start += size
            axes.append(before[..., 0])
            directions.append(frames[..., 0])
            normals.append(frames[..., 2])
        unit = torch.cat(directions, 1)
        x = self.moves[:-1].T @ (unit * bonds[..., None])
        return x, unit, torch.cat(axes, 1), torch.cat(normals, 1)

    def project(self, force: Tensor, x: Tensor, unit: Tensor, axis: Tensor, normal: Tensor):
        """A gradient (B, N, 3) by positions to those by bonds, angles and dihedrals.

        The rest is what `place` gave.
        """
        both = torch.cat([force, torch.linalg.cross(x, force)], -1)
        pull, torque = (self.moves @ both).split(3, -1)  # (B, N, 3): on each moved part
        by_bond = (unit * pull[:, :-1]).sum(-1)
        about = torque[:, 2:-1] - torch.linalg.cross(x[:, self.pivots], pull[:, 2:-1])
        by_angle = torch.cat([torque[:, -1:, 2], -(normal * about).sum(-1)], 1)
        return by_bond, by_angle, (axis * about).sum(-1)


def _root_frames(cosine: Tensor, sine: Tensor) -> Tensor:
    """Frames (B, 3, 3, 3) at a, c and b, for the atoms placed from a, b, c; c, b, a; b, c, a."""
    zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
    at_a = (one, zero, zero, zero, one, zero, zero, zero, one)
    at_c = (cosine, sine, zero, sine, -cosine, zero, zero, zero, -one)
    at_b = (-cosine, sine, zero, -sine, -cosine, zero, zero, zero, one)
    return torch.stack([*at_a, *at_c, *at_b], -1).unflatten(-1, (3, 3, 3))


def _steps(cosine: Tensor, sine: Tensor, dihedral: Tensor) -> Tensor:
    """Rotations (..., 3, 3) from an atom's frame to that of an atom placed from it."""
    along, across = dihedral.cos(), dihedral.sin()
    rows = (
        (-cosine, -sine, torch.zeros_like(sine)),
        (sine * along, -cosine * along, -across),
        (sine * across, -cosine * across, along),
    )
    return torch.stack([entry for row in rows for entry in row], -1).unflatten(-1, (3, 3))


class _Place(torch.autograd.Function):
    """Ties `Kinematics.place` into autograd by `Kinematics.project`."""

    @staticmethod
    def forward(ctx, bonds: Tensor, angles: Tensor, dihedrals: Tensor, tree: Kinematics) -> Tensor:
        x, *made_of = tree.place(bonds, angles, dihedrals)
        ctx.save_for_backward(x, *made_of)
        ctx.tree = tree
        return x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, force: Tensor) -> tuple[Tensor | None, ...]:
        return *ctx.tree.project(force, *ctx.saved_tensors), None
