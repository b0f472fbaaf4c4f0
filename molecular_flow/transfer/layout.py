"""What each coordinate of a peptide is, chemically: the names by which molecules share weights.

Axes: `R` residues, `K` torsions, `S` stiff coordinates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.shared.errors import InputError
from molecular_flow.coordinates.internal import InternalCoordinates
from molecular_flow.physics.molecule import Molecule

BACKBONE = ("phi", "psi", "omega")  # a torsion's slot in its residue; then side0, side1, ...
SETS = 3  # torsions of one slot move together; slots next to one another are in different sets


def backbone_root(molecule: Molecule) -> tuple[int, int, int]:
    """N, CA and C of the first residue: the tree grows along the chain, whatever the sequence.

    Raises:
        InputError: the molecule has none.
    """
    found = tuple(molecule.find(0, name) for name in ("N", "CA", "C"))
    if None in found:
        raise InputError(
            f"{molecule.label}: expected a peptide whose first residue has N, CA and C, which a "
            "map for many molecules needs: give one without a cap, or train a map for it alone"
        )
    return found


@dataclass(frozen=True)
class Layout:
    """Names for one peptide's coordinates.

    `residues` (R): name and place along the chain (first, middle, last); `turning` (K): residue
    number and slot of each torsion, `sets` (K) the number of its set; `stiff` (S): residue number
    and name (kind and atom) of each stiff coordinate.
    """

    residues: tuple[tuple[str, str], ...]
    turning: tuple[tuple[int, str], ...]
    sets: tuple[int, ...]
    stiff: tuple[tuple[int, str], ...]

    @classmethod
    def make(cls, coordinates: InternalCoordinates, molecule: Molecule) -> "Layout":
        """Of coordinates whose tree starts at `backbone_root`."""
        atoms = molecule.atoms
        count = 1 + max(atom.residue for atom in atoms)
        names = {atom.residue: atom.residue_name for atom in atoms}
        places = ["first", *["middle"] * (count - 2), "last"][-count:]
        kinds = ("bond", coordinates.bond_atoms), ("angle", coordinates.angle_atoms)
        stiff = [(kind, row[0]) for kind, rows in kinds for row in rows.tolist()]
        turned = coordinates.dihedral_atoms[coordinates.bound][:, 0].tolist()
        stiff += [("dihedral", atom) for atom in turned]
        turning, sets = _turning(coordinates, molecule)
        return cls(
            tuple((names[r], places[r]) for r in range(count)),
            turning,
            sets,
            tuple((atoms[atom].residue, f"{kind} {atoms[atom].name}") for kind, atom in stiff),
        )

    def keys(self, residue: int) -> list[str]:
        """What weights of a residue are sums over: from what all share to what it has alone."""
        name, place = self.residues[residue]
        return ["all", place, name, f"{name} {place}"]

    def named(self, residue: int, what: str) -> list[str]:
        """The same of one of its coordinates."""
        name, place = self.residues[residue]
        return [what, f"{name} {what}", f"{name} {place} {what}"]


def _turning(
    coordinates: InternalCoordinates, molecule: Molecule
) -> tuple[tuple[tuple[int, str], ...], tuple[int, ...]]:
    """Residue and slot of each torsion, and its set."""
    atoms, found, sets = molecule.atoms, [], []
    number: dict[tuple[int, int], int] = {}  # (grand, parent) of the axis: its set
    sides: dict[int, int] = {}
    children: dict[int, int] = {}
    for torsion in coordinates.tree.torsions:
        axis = torsion.grand, torsion.parent
        one, two = (atoms[atom] for atom in axis)
        ends = {one.name, two.name}
        if one.residue != two.residue:
            slot, own = "omega", BACKBONE.index("omega")
        elif ends == {"N", "CA"}:
            slot, own = "phi", BACKBONE.index("phi")
        elif ends == {"CA", "C"}:
            slot, own = "psi", BACKBONE.index("psi")
        else:
            slot, own = "side", 0
        if slot == "side" or (two.residue, slot) in found:  # proline has two about N - CA
            slot = f"side{sides.setdefault(two.residue, 0)}"
            sides[two.residue] += 1
            before = [value for (_, parent), value in number.items() if parent == axis[0]]
            rank = children.get(axis[0], 0)
            children[axis[0]] = rank + 1
            root = one.name == "CA"
            own = 2 if root or not before else (before[0] + 1 + rank) % SETS
        number[axis] = own
        found.append((two.residue, slot))
        sets.append(own)
    return tuple(found), tuple(sets)


class Vocabulary:
    """Numbers for the chemical names in `layouts`: what a map knows.

    `residues`, `turning`, `stiff`: of what weights are sums over; `slots`: of torsions in a
    residue; `most`: stiff coordinates that the largest residue has.
    """

    def __init__(self, layouts: Sequence[Layout]):
        def numbered(names) -> dict[str, int]:
            return {name: n for n, name in enumerate(sorted(set(names)))}

        ends = [(layout, r) for layout in layouts for r in range(len(layout.residues))]
        self.residues = numbered(name for layout, r in ends for name in layout.keys(r))
        self.turning = numbered(
            name for layout in layouts for place in layout.turning for name in layout.named(*place)
        )
        self.stiff = numbered(
            name for layout in layouts for place in layout.stiff for name in layout.named(*place)
        )
        sides = {slot for layout in layouts for _, slot in layout.turning} - set(BACKBONE)
        self.slots = [*BACKBONE, *sorted(sides, key=lambda slot: int(slot[4:]))]
        self.most = 1 + max(max(ranks(layout.stiff)) for layout in layouts)


def ranks(places: Sequence[tuple[int, str]]) -> list[int]:
    """Each coordinate's rank in its residue."""
    found = [residue for residue, _ in places]
    return [found[:n].count(residue) for n, residue in enumerate(found)]
