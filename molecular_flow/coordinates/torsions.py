"""Which of a map's torsions is which: their names, and the two of the Ramachandran plot."""

from dataclasses import dataclass

from molecular_flow.coordinates.internal import InternalCoordinates
from molecular_flow.physics.molecule import Molecule


@dataclass(frozen=True)
class Plane:
    """Places of phi and psi among the torsions, and their residues, counted from 0."""

    phi: int
    psi: int
    phi_residue: int
    psi_residue: int


def names(coordinates: InternalCoordinates, molecule: Molecule) -> list[str]:
    """A name for each torsion: its four atoms, residues counted from 1."""
    return [
        "-".join(f"{molecule.atoms[a].name}{molecule.atoms[a].residue + 1}" for a in quad)
        for quad in coordinates.dihedral_atoms[coordinates.free].tolist()
    ]


def ramachandran(coordinates: InternalCoordinates, molecule: Molecule) -> Plane | None:
    """Phi and psi of the first residue that has both, else those about the first peptide bond.

    A zwitterionic dipeptide has only the latter: psi of its first residue, phi of its second. None
    where the molecule is no peptide.
    """
    found = names(coordinates, molecule)
    places = {name: place for place, name in enumerate(found)}
    places |= {"-".join(reversed(name.split("-"))): place for name, place in places.items()}
    count = 1 + max(atom.residue for atom in molecule.atoms)
    phi = {r: places.get(f"C{r}-N{r + 1}-CA{r + 1}-C{r + 1}") for r in range(count)}
    psi = {r: places.get(f"N{r + 1}-CA{r + 1}-C{r + 1}-N{r + 2}") for r in range(count)}
    both = [(r, r) for r in range(count)] + [(r + 1, r) for r in range(count - 1)]
    for one, other in both:
        if phi[one] is not None and psi[other] is not None:
            return Plane(phi[one], psi[other], one, other)
    return None
