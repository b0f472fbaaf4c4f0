"""Internal coordinates of a molecule: bonds, angles, dihedrals, with frame and exact Jacobian.

Axes: `B` batch, `N` atoms, `D` = 3 N - 6 internal coordinates: first the stiff ones (N - 1 bonds in
nm, N - 2 angles and the relative dihedrals in radians), then the `K` torsions (radians). Angles of
rotation follow IUPAC: 0 is cis, positive is clockwise along the axis.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from molecular_flow.coordinates.geometry import angle, dihedral, wrap
from molecular_flow.coordinates.kinematics import Kinematics
from molecular_flow.coordinates.rings import Rings
from molecular_flow.physics.molecule import Molecule
from molecular_flow.physics.tree import build_tree


class InternalCoordinates(nn.Module):
    """The bijection between positions (B, N, 3) and (internal coordinates, rigid frame).

    The dihedral of an atom's first child is a torsion; its siblings follow by relative dihedrals,
    which are stiff and keep the chirality. Of a group of n like end atoms (CH3, NH3+, COO-) the
    torsion is the mean over the group, with period 2 pi / n under turning the labels by one.
    With a `root` (see `build_tree`) they are counted from ideal angles instead of from the
    molecule's minimised structure: alike for what is alike in several molecules.
    """

    def __init__(self, molecule: Molecule, root: tuple[int, int, int] | None = None):
        super().__init__()
        self.tree = tree = build_tree(molecule, root)
        self.molecule_label = molecule.label
        placements = tree.placements
        a, b, c = tree.root
        self.atoms = len(molecule.atoms)
        free = [p for p in placements if p.first == p.atom]
        bound = [p for p in placements if p.first != p.atom]
        self.stiff, self.torsions = 2 * self.atoms - 3 + len(bound), len(free)
        self.size = self.stiff + self.torsions
        self._index("bond_atoms", [(a, b), (b, c)] + [(p.atom, p.parent) for p in placements])
        self._index("angle_atoms", [(a, b, c)] + [(p.atom, p.parent, p.grand) for p in placements])
        self._index("dihedral_atoms", [(p.atom, p.parent, p.grand, p.great) for p in placements])
        rank = {p.atom: n for n, p in enumerate(placements)}
        self._index("free", [rank[p.atom] for p in free])
        self._index("bound", [rank[p.atom] for p in bound])
        # A relative dihedral is counted from its sibling; an improper one from nothing (-1).
        self._index("sibling", [-1 if p.first is None else rank[p.first] for p in bound])
        rest = torch.tensor(molecule.positions)[None]
        turned = dihedral(rest, *self.dihedral_atoms.T)[0]
        reference = turned[self.bound] - turned[self.sibling] * (self.sibling >= 0)
        reference = ideal(reference) if root else reference
        mean = torch.zeros(len(free), len(bound), dtype=torch.float64)
        period = torch.full((len(free),), 2 * math.pi, dtype=torch.float64)
        self.groups = tree.groups
        for group in tree.groups:
            row = [p.atom for p in free].index(group[0])
            period[row] = 2 * math.pi / len(group)
            for member in group[1:]:
                column = [p.atom for p in bound].index(member)
                mean[row, column] = 1 / len(group)
                # Exactly 120 or 180 degrees, or turning the labels would not be a symmetry.
                step = wrap(reference[column]).item()
                reference[column] = math.copysign(period[row].item(), step)
        # Kept in checkpoints, for another machine may minimise to another structure.
        self._keep("reference", wrap(reference), persistent=True)
        self._keep("mean", mean)  # (K, bound): share of each deviation in the torsion
        self._keep("period", period)
        self._index("group_row", [[p.atom for p in free].index(g[0]) for g in tree.groups])
        self.kinematics = Kinematics(tree)
        # Dihedrals (B, N - 3) of relative ones and torsions, but for the former's reference.
        self._keep("mixing", self._mixing(len(placements)))
        columns = [*self.bound.tolist(), *self.free.tolist()]  # of the dihedrals, by rank
        first = 2 * self.atoms - 3
        self.rings = Rings(
            tree, {placements[rank].atom: first + n for n, rank in enumerate(columns)}, rest
        )
        if root:
            self.rings.home.copy_(ideal(self.rings.home))
        rest_z = self.encode(rest)[0]
        if root:  # a staggered CH3 or NH3+, a COO- or NH2 along its bond
            sizes = torch.tensor([len(group) for group in tree.groups])
            homes = torch.where(sizes == 3, math.pi / 3, 0.0).double()
            rest_z[0, self.stiff + self.group_row] = homes
        self._keep("rest", rest_z[0], persistent=True)  # (D,): the minimised structure

    def _index(self, name: str, value) -> None:
        tensor = torch.as_tensor(np.asarray(value, dtype=np.int64))
        self.register_buffer(name, tensor, persistent=False)

    def _keep(self, name: str, value: Tensor, persistent: bool = False) -> None:
        self.register_buffer(name, value, persistent=persistent)

    def _mixing(self, dihedrals: int) -> Tensor:
        """(N - 3, N - 3): each relative dihedral's and torsion's part in every dihedral."""
        turned = torch.zeros(dihedrals, dihedrals, dtype=torch.float64)
        bound = len(self.bound)
        turned[bound + torch.arange(len(self.free)), self.free] = 1
        turned[:bound, self.free] = -self.mean.T
        relative = turned[:, self.sibling] * (self.sibling >= 0)
        relative[torch.arange(bound), torch.arange(bound)] += 1
        turned[:, self.bound] = relative
        return turned

    def encode(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Positions (B, N, 3) to coordinates (B, D), frame (origin (B, 3), axes (B, 3, 3))."""
        i, j = self.bond_atoms.T
        bonds = (x[:, i] - x[:, j]).norm(dim=-1)
        angles = angle(x, *self.angle_atoms.T)
        turned = dihedral(x, *self.dihedral_atoms.T)
        sibling = turned[:, self.sibling] * (self.sibling >= 0)
        bound = wrap(turned[:, self.bound] - sibling - self.reference)
        free = wrap(turned[:, self.free] + bound @ self.mean.T)
        a, b, c = (x[:, atom] for atom in self.tree.root)
        first = nn.functional.normalize(a - b, dim=-1)
        third = nn.functional.normalize(torch.linalg.cross(first, c - b), dim=-1)
        axes = torch.stack([first, torch.linalg.cross(third, first), third], dim=-1)
        return self.rings.close(torch.cat([bonds, angles, bound, free], 1), x), (b, axes)

    def decode(self, z: Tensor, frame: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Coordinates (B, D) to positions (B, N, 3) nm, in `frame` or in the molecule's own."""
        x = self._place(self.rings.open(z, self._place)[0])
        if frame is None:
            return x
        origin, axes = frame
        return origin[:, None] + x @ axes.mT

    def _place(self, z: Tensor) -> Tensor:
        """Positions (B, N, 3) in the molecule's own frame, of coordinates with open rings."""
        bonds, angles, turned = z.split((self.atoms - 1, self.atoms - 2, self.atoms - 3), 1)
        reference = turned.new_zeros(self.atoms - 3).index_copy(0, self.bound, self.reference)
        return self.kinematics(bonds, angles, torch.addmm(reference, turned, self.mixing))

    def log_volume(self, z: Tensor) -> Tensor:
        """Log |dx/dz| (B,) at a fixed frame: 2 ln r of all bonds and ln sin of all angles.

        Of open coordinates; closed ones bring the share of `rings.Rings.open`.
        """
        n = self.atoms
        z, log = self.rings.open(z, self._place)
        bonds, angles = z[:, : n - 1], z[:, n - 1 : 2 * n - 3]
        return 2 * bonds.log().sum(1) + angles.sin().log().sum(1) + log

    def log_volume_gradient(self, z: Tensor) -> Tensor:
        """The derivative (B, D) of `log_volume` by the coordinates."""
        n = self.atoms
        if self.rings.rings:
            with torch.enable_grad():
                leaf = z.detach().requires_grad_(True)
                return torch.autograd.grad(self.log_volume(leaf).sum(), leaf)[0]
        bonds, angles, turned = z[:, : n - 1], z[:, n - 1 : 2 * n - 3], z[:, 2 * n - 3 :]
        return torch.cat([2 / bonds, 1 / angles.tan(), torch.zeros_like(turned)], 1)

    def canonical_labels(self, x: Tensor) -> Tensor:
        """For each frame the order (B, N) of atoms that turns every group into its home sector."""
        order = torch.arange(self.atoms, device=x.device).repeat(len(x), 1)
        if not self.groups:
            return order
        z, _ = self.encode(x)
        torsion, home = z[:, self.stiff :], self.rest[self.stiff :]
        steps = torch.floor((torsion - home) / self.period + 0.5).long()
        for group, row in zip(self.groups, self.group_row.tolist(), strict=True):
            members = torch.tensor(group, device=x.device)
            # The labels turn with the sign of the first relative dihedral.
            turn = 1 if self._handed(group) > 0 else -1
            places = torch.arange(len(group), device=x.device)
            places = (places - turn * steps[:, row, None]) % len(group)
            order[:, members] = members[places]
        return order

    def _handed(self, group: tuple[int, ...]) -> float:
        """The sign of the step from the group's first member to its second."""
        atoms = self.dihedral_atoms[self.bound, 0].tolist()
        return self.reference[atoms.index(group[1])].item()


def ideal(angle: Tensor) -> Tensor:
    """Angles in radians at the nearest multiple of 60 degrees."""
    return torch.round(angle / (math.pi / 3)) * (math.pi / 3)


def reorder(x: Tensor, order: Tensor) -> Tensor:
    """Frames (B, N, 3) with atom n taken from place order[b, n]."""
    return torch.take_along_dim(x, order[:, :, None], 1)


def restore(x: Tensor, order: Tensor) -> Tensor:
    """The inverse of `reorder`."""
    return torch.take_along_dim(x, order.argsort(1)[:, :, None], 1)


def internal(
    coordinates: InternalCoordinates, x: Tensor, gradient: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Canonical coordinates (M, D) of frames (M, N, 3), their labels (M, N), a gradient (M, D).

    `gradient` (M, N, 3) is an energy's by positions, of the frames with their own labels; it comes
    back as the one by the coordinates (M, D), or None.
    """
    order = coordinates.canonical_labels(x)
    z, (_, axes) = coordinates.encode(reorder(x, order))
    if gradient is None:
        return z, order, None
    with torch.enable_grad():
        leaf = z.detach().requires_grad_(True)
        placed = coordinates.decode(leaf)
    return z, order, *torch.autograd.grad(placed, leaf, reorder(gradient, order) @ axes)
