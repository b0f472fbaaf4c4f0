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


def quads(coordinates: InternalCoordinates, molecule: Molecule) -> list[str]:
    """Each torsion's four atoms, residues counted from 1."""
    return [
        "-".join(f"{molecule.atoms[a].name}{molecule.atoms[a].residue + 1}" for a in quad)
        for quad in coordinates.dihedral_atoms[coordinates.free].tolist()
    ]


def names(coordinates: InternalCoordinates, molecule: Molecule) -> list[str]:
    """A name for each torsion: phi, psi or omega and its residue, else its four atoms.

    Omega is that of the peptide bond in front of its residue (IUPAC 1970 counts it to the one
    before; most programs do as here).
    """
    known = {}
    for r in range(1, 2 + max(atom.residue for atom in molecule.atoms)):
        known[f"C{r - 1}-N{r}-CA{r}-C{r}"] = f"phi {r}"
        known[f"N{r}-CA{r}-C{r}-N{r + 1}"] = f"psi {r}"
        known[f"CA{r - 1}-C{r - 1}-N{r}-CA{r}"] = f"omega {r}"
    known |= {"-".join(reversed(quad.split("-"))): name for quad, name in known.items()}
    return [known.get(quad, quad) for quad in quads(coordinates, molecule)]


def ramachandran(coordinates: InternalCoordinates, molecule: Molecule) -> Plane | None:
    """Phi and psi of the first residue that has both, else those about the first peptide bond.

    A zwitterionic dipeptide has only the latter: psi of its first residue, phi of its second. None
    where the molecule is no peptide.
    """
    found = quads(coordinates, molecule)
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
