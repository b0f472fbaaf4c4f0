"""Torsions have their names, and the plot's two are phi and psi."""

import pytest
import torch

from molecular_flow.coordinates import torsions
from molecular_flow.coordinates.internal import InternalCoordinates
from molecular_flow.physics import molecule as molecules


def dihedral(x: torch.Tensor) -> torch.Tensor:
    """Of four points (4, 3), in radians, IUPAC's sign."""
    first, axis, last = x[1:] - x[:-1]
    one, two = torch.linalg.cross(first, axis), torch.linalg.cross(axis, last)
    return torch.atan2((first * two).sum() * axis.norm(), (one * two).sum())


@pytest.mark.parametrize(
    ("sequence", "residues"), [("AA", (1, 0)), ("AAA", (1, 1)), ("capped", (1, 1))]
)
def test_the_plane_is_phi_and_psi(sequence, residues, capped_alanine):
    pdb = str(capped_alanine) if sequence == "capped" else None
    molecule = molecules.build(None if pdb else sequence, pdb)
    coordinates = InternalCoordinates(molecule).double()
    plane = torsions.ramachandran(coordinates, molecule)
    assert (plane.phi_residue, plane.psi_residue) == residues
    x = torch.tensor(molecule.positions)
    angles = coordinates.encode(x[None])[0][0, coordinates.stiff :]
    phi, psi = residues
    for place, atoms in (
        (plane.phi, [(phi - 1, "C"), (phi, "N"), (phi, "CA"), (phi, "C")]),
        (plane.psi, [(psi, "N"), (psi, "CA"), (psi, "C"), (psi + 1, "N")]),
    ):
        points = x[[molecule.find(*atom) for atom in atoms]]
        assert angles[place].item() == pytest.approx(dihedral(points).item(), abs=1e-9)
    names = torsions.names(coordinates, molecule)
    assert len(set(names)) == len(names) == len(angles)
    assert names[plane.phi] == f"phi {phi + 1}"
    assert names[plane.psi] == f"psi {psi + 1}"
    for name in names:  # every omega is a peptide bond, and at the minimum trans
        if name.startswith("omega"):
            assert abs(angles[names.index(name)].cos().item() + 1) < 0.1
