"""The spanning tree behind the internal coordinates: who is placed from whom, and what turns."""

from dataclasses import dataclass, replace

import numpy as np

from molecular_flow.physics.molecule import Molecule

BACKBONE = ("N", "CA", "C")
RING = 40  # atoms of the largest ring that is kept closed: disulfides, too
PLANAR = 0.015  # nm: a centre this near its neighbours' plane; an amine's nitrogen is at 0.03


@dataclass(frozen=True)
class Placement:
    """Atom placed by its distance to `parent`, angle to `grand` and dihedral to `great`.

    `first` is the sibling whose dihedral is a torsion and which this one's dihedral is relative to;
    the atom itself if it is that sibling; None where the dihedral is an improper one.
    """

    atom: int
    parent: int
    grand: int
    great: int
    first: int | None


@dataclass(frozen=True)
class Closure:
    """A bond `x` - `y` that closes a ring and is none of the tree; x is placed from `p`.

    `stage`: closures of one stage do not move one another's atoms, those of a later one do not
    move an earlier one's.
    """

    x: int
    y: int
    p: int
    stage: int


@dataclass(frozen=True)
class Tree:
    """Root path `a - b - c`, the other atoms by level, groups of like end atoms, closed rings.

    A group (CH3, NH3+, COO-, a planar NH2) is a tuple of atoms on one centre with nothing else on
    it, alike in element and parameters, first the one that carries the torsion. Turning them by one
    place is a symmetry of the energy (for COO- nearly: its improper torsion is written for
    one order).
    """

    root: tuple[int, int, int]
    levels: tuple[tuple[Placement, ...], ...]
    groups: tuple[tuple[int, ...], ...]
    closures: tuple[Closure, ...] = ()

    @property
    def placements(self) -> list[Placement]:
        return [placement for level in self.levels for placement in level]

    @property
    def torsions(self) -> list[Placement]:
        """Placements whose dihedral is a free torsion, in order of placement."""
        return [p for p in self.placements if p.first == p.atom]

    def moved_by(self, torsion: Placement) -> list[int]:
        """The atoms that turn about the axis grand - parent."""
        moved, front = [], {torsion.parent}
        for placement in self.placements:
            if placement.parent in front:
                moved.append(placement.atom)
                front.add(placement.atom)
        return moved


def distances(neighbours: list[list[int]], start: set[int]) -> dict[int, int]:
    """How many bonds each atom is from the nearest of `start`."""
    found, front = dict.fromkeys(start, 0), list(start)
    for atom in front:
        for other in neighbours[atom]:
            if other not in found:
                found[other] = found[atom] + 1
                front.append(other)
    return found


def _root(molecule: Molecule, neighbours: list[list[int]]) -> tuple[int, int, int]:
    """The path of three heavy atoms with the least depth around it: fewest levels to build."""
    paths = [
        (a, b, c) for b, around in enumerate(neighbours) for a in around for c in around if a < c
    ]

    def rank(path):
        light = sum(molecule.atoms[atom].element == 1 for atom in path)
        return light, max(distances(neighbours, set(path)).values()), path

    return min(paths, key=rank)


def build_tree(molecule: Molecule, root: tuple[int, int, int] | None = None) -> Tree:
    """The spanning tree of `molecule` (four atoms or more), the same for the same molecule.

    `root`: three atoms in a row that it starts from; None: those with the least depth around them.
    """
    neighbours = molecule.neighbours
    a, b, c = root or _root(molecule, neighbours)
    sizes: dict[int, int] = {}

    parents = {a: b, b: c, c: b}
    order = [a, c, b]
    for atom in order:
        for other in neighbours[atom]:
            if other not in parents:
                parents[other] = atom
                order.append(other)
    for atom in reversed(order):
        sizes[atom] = 1 + sum(sizes[o] for o in order if parents[o] == atom and o in sizes)

    def rank(atom: int):
        info = molecule.atoms[atom]
        return info.name not in BACKBONE, info.element == 1, -sizes[atom], atom

    references = {a: (b, c), c: (b, a), b: (c, a)}
    levels, front = [], [a, c, b]
    while front:
        level = []
        for parent in front:
            grand, great = references[parent]
            children = sorted(
                (o for o in order if parents[o] == parent and o not in (a, b, c)), key=rank
            )
            for child in children:
                first = None if parent == b else children[0]
                level.append(Placement(child, parent, grand, great, first))
                references[child] = (parent, grand)
        front = [placement.atom for placement in level]
        if level:
            levels.append(tuple(level))
    closures = _closures(molecule, parents, levels, (a, b, c))
    closing = {closure.x for closure in closures}
    hinges = closing | {closure.y for closure in closures}

    def hung(p: Placement) -> Placement:
        # What hangs on a closing bond turns with it: no torsion of its own, no sibling's either.
        first = p.atom if p.atom in closing else None if p.parent in hinges else p.first
        return replace(p, first=first)

    levels = [tuple(map(hung, level)) for level in levels]
    return Tree((a, b, c), tuple(levels), _groups(molecule, neighbours, levels), closures)


def _closures(molecule: Molecule, parents, levels, root) -> tuple[Closure, ...]:
    """The bonds that the tree left open in rings of up to `RING` atoms."""
    depth = {p.atom: n for n, level in enumerate(levels) for p in level}

    def ancestors(atom: int) -> list[int]:
        found = [atom]
        while parents[found[-1]] not in found:
            found.append(parents[found[-1]])
        return found

    found: list[Closure] = []
    taken: set[int] = set()
    for i, j in sorted(molecule.bonds, key=lambda bond: max(depth.get(a, -1) for a in bond)):
        if parents[i] == j or parents[j] == i or {i, j} <= set(root):
            continue
        x, y = (i, j) if depth.get(i, -1) >= depth.get(j, -1) else (j, i)
        ring = set(ancestors(x)) ^ set(ancestors(y))
        clash = taken & {x, y, parents[x]} or any(parents[c.x] in (x, y) for c in found)
        if len(ring) + 1 > RING or x in root or y in ancestors(x) or clash:
            continue
        stage = 0
        for other in found:
            turned = {other.x} | {
                a for a, parent in parents.items() if parent in (other.x, other.y)
            }
            if turned & ({*ancestors(x), *ancestors(y)} - {x}):
                stage = max(stage, other.stage + 1)
        taken |= {x, y}
        found.append(Closure(x, y, parents[x], stage))
    return tuple(found)


def separate(torsions: list[Placement], neighbours: list[list[int]], count: int) -> list[list[int]]:
    """Numbers of the torsions in `count` sets, each with as few neighbours in it as can be helped.

    Torsions whose axes share an atom count as twice as near as those whose axes are bonded.
    """
    sets: list[list[int]] = [[] for _ in range(count)]
    axes = [{torsion.grand, torsion.parent} for torsion in torsions]
    for number, axis in enumerate(axes):
        around = axis.union(*(neighbours[atom] for atom in axis))

        def nearness(members, axis=axis, around=around) -> tuple[int, int]:
            near = sum(bool(axis & axes[m]) + bool(around & axes[m]) for m in members)
            return near, len(members)

        min(sets, key=nearness).append(number)
    return [members for members in sets if members]


def _height(molecule: Molecule, centre: int) -> float:
    """How far the centre lies above the plane of its three neighbours, in nm."""
    a, b, c = (molecule.positions[other] for other in molecule.neighbours[centre])
    normal = np.cross(b - a, c - a)
    return abs(float((molecule.positions[centre] - a) @ normal / np.linalg.norm(normal)))


def _groups(molecule: Molecule, neighbours, levels) -> tuple[tuple[int, ...], ...]:
    siblings: dict[int, list[int]] = {}
    for placement in (p for level in levels for p in level):
        if placement.first is not None:
            siblings.setdefault(placement.first, []).append(placement.atom)
    groups = []
    for members in siblings.values():
        centre = next(iter(neighbours[members[0]]))
        kinds = {(molecule.atoms[m].element, molecule.parameters[m]) for m in members}
        ends = all(neighbours[m] == [centre] for m in members)
        alone = len(neighbours[centre]) == len(members) + 1
        if len(members) not in (2, 3) or not (ends and alone and len(kinds) == 1):
            continue
        if len(members) == 3 or _height(molecule, centre) < PLANAR:
            groups.append(tuple(members))
    return tuple(groups)
