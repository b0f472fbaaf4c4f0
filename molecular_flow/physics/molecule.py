"""The molecule: topology, force field and a minimised structure, from a sequence or a PDB file."""

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from experiments.shared.errors import InputError
from molecular_flow.physics import chirality, force_field, structure
from molecular_flow.physics.force_field import FORCE_FIELD, openmm_modules
from molecular_flow.physics.peptide import peptide_pdb


@dataclass(frozen=True)
class Atom:
    """One atom; `residue` counts from 0, `element` is the atomic number."""

    name: str
    residue: int
    residue_name: str
    element: int


@dataclass(frozen=True)
class Molecule:
    """N atoms, their bonds (pairs of indices), an OpenMM system as XML and a minimised structure.

    `positions` is (N, 3) in nm; `parameters` are charge (e), sigma (nm) and well depth (kJ/mol) of
    each atom; `constraints` counts the constrained distances of the system; `notes` say what was
    changed in the file that it came from.
    """

    label: str
    atoms: tuple[Atom, ...]
    bonds: tuple[tuple[int, int], ...]
    system_xml: str = field(repr=False)
    positions: np.ndarray = field(repr=False)
    parameters: tuple[tuple[float, ...], ...] = field(repr=False)
    constraints: int = 0
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A hash of atoms, bonds and force-field parameters: what a trained flow depends on."""
        # Another version of OpenMM writes the same system.
        system = re.sub(r' openmmVersion="[^"]*"', "", self.system_xml)
        text = repr((self.atoms, self.bonds)) + system
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def neighbours(self) -> list[list[int]]:
        """The bonded atoms of each atom, in increasing order."""
        found: list[list[int]] = [[] for _ in self.atoms]
        for i, j in sorted(self.bonds):
            found[i].append(j)
            found[j].append(i)
        return [sorted(others) for others in found]

    def find(self, residue: int, name: str) -> int | None:
        """The index of an atom by residue number and name, or None."""
        for index, atom in enumerate(self.atoms):
            if atom.residue == residue and atom.name == name:
                return index
        return None


@lru_cache(maxsize=8)
def _build(
    sequence: str | None,
    pdb: str | None,
    names: tuple[str, ...],
    constraints: bool,
    system_file: str | None,
) -> Molecule:
    openmm, app, _ = openmm_modules()
    notes: list[str] = []
    if system_file is not None:
        topology, positions, notes = structure.read(Path(pdb), app)
        system = force_field.read_system(Path(system_file), topology.getNumAtoms(), pdb)
        return _made(Path(pdb).stem, topology, positions, system, notes)
    field_ = force_field.load(names)
    if pdb is None:
        source = app.PDBFile(io.StringIO(peptide_pdb(sequence)))
        topology, positions, label = source.topology, source.positions, sequence
    else:
        topology, positions, notes = structure.read(Path(pdb), app)
        label = Path(pdb).stem
    try:
        if pdb is None or field_.getUnmatchedResidues(topology):
            topology, positions, added = structure.with_hydrogens(
                topology, positions, field_, openmm, app
            )
            if pdb and added:
                notes.append(f"{pdb}: {added} missing hydrogens added, as at pH 7")
        system = force_field.create_system(field_, topology, label, names, constraints=constraints)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        known = "does not know this molecule" if "template" in str(error) else "cannot be taken"
        remedy = structure.remedy(topology, error) if "template" in str(error) else error
        raise InputError(
            f"{pdb or sequence}: the force field {list(names)} {known}: {remedy}"
            + ("" if "template" in str(error) else f"; {force_field.FITS}")
        ) from error
    return _made(label, topology, positions, system, notes)


def _made(label: str, topology, positions, system, notes: Sequence[str]) -> Molecule:
    """The molecule of an OpenMM topology, positions and system; minimised."""
    _, _, unit = openmm_modules()
    atoms = tuple(
        Atom(a.name, a.residue.index, a.residue.name, a.element.atomic_number if a.element else 0)
        for a in topology.atoms()
    )
    bonds = tuple((a.index, b.index) for a, b in topology.bonds())
    start = np.array(positions.value_in_unit(unit.nanometer))
    nonbonded = next((f for f in system.getForces() if f.getName() == "NonbondedForce"), None)
    if nonbonded is None:
        raise InputError(f"{label}: it has no NonbondedForce: {force_field.FITS}")
    parameters = tuple(
        tuple(value._value for value in nonbonded.getParticleParameters(n))
        for n in range(len(atoms))
    )
    found = _minimise(system, start)
    count = system.getNumConstraints()
    made = Molecule(label, atoms, bonds, _xml(system), found, parameters, count, tuple(notes))
    _check_minimum(made, start)
    return made


def _check_minimum(molecule: Molecule, start: np.ndarray) -> None:
    """Stop unless minimising the given positions (N, 3) nm ended in a molecule of the same hand."""
    first, second = np.array(molecule.bonds).reshape(-1, 2).T
    lengths = np.linalg.norm(molecule.positions[first] - molecule.positions[second], axis=1)
    if not np.isfinite(molecule.positions).all() or (lengths > 0.3).any():
        raise InputError(
            f"{molecule.label}: expected a structure that can be minimised, got one whose atoms "
            "clash or lie on one another: mend the coordinates of data.pdb"
        )
    places = chirality.centres(molecule.neighbours, [atom.element for atom in molecule.atoms])
    turned = chirality.hands(start, places) != chirality.hands(molecule.positions, places)
    if turned.any():
        atom = molecule.atoms[places[turned][0, 0]]
        raise InputError(
            f"{molecule.label}: expected centres that keep their hand, but minimising turned "
            f"{atom.name} of {atom.residue_name} {atom.residue + 1} over: its atoms lie in a plane "
            "or clash; mend the coordinates of data.pdb"
        )


def _xml(system) -> str:
    openmm, _, _ = openmm_modules()
    return openmm.XmlSerializer.serialize(system)


def load_system(molecule: Molecule):
    """The OpenMM System of `molecule`."""
    openmm, _, _ = openmm_modules()
    return openmm.XmlSerializer.deserialize(molecule.system_xml)


def _minimise(system, positions: np.ndarray) -> np.ndarray:
    """Positions (N, 3) nm at the nearest minimum of the potential energy."""
    openmm, _, unit = openmm_modules()
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
    context.setPositions(positions)
    openmm.LocalEnergyMinimizer.minimize(context, 1.0, 1000)
    found = context.getState(positions=True).getPositions(asNumpy=True)
    return np.array(found.value_in_unit(unit.nanometer))


def build(
    sequence: str | None = "AA",
    pdb: str | None = None,
    force_field: Sequence[str] = FORCE_FIELD,
    constraints: bool = False,
    system: str | None = None,
) -> Molecule:
    """The molecule of a peptide `sequence` (`peptide.peptide_pdb`; pH 7), or of a PDB file.

    With `system`, a file of an OpenMM System (`XmlSerializer.serialize`), that is the force field
    of the PDB file as it is: for molecules that were parametrised elsewhere, ligands say.

    A PDB (or mmCIF) file must hold every heavy atom. Water and ions are left out, missing hydrogens
    added, CHARMM's names understood: `notes` say so. Without `constraints` all bonds are flexible,
    which the flow's target needs: with bonds to hydrogen held, their springs are missing from the
    energy and the loss has no lower bound.

    Raises:
        InputError: neither or an unusable source; OpenMM absent; an unknown residue or atom.
    """
    if pdb is None and not sequence:
        raise InputError("expected data.sequence or data.pdb, got neither: give one")
    if system and not pdb:
        raise InputError(
            "expected data.pdb with data.system, for the atoms and bonds of that system"
        )
    molecule = _build(
        sequence, str(pdb) if pdb else None, tuple(force_field), constraints,
        str(system) if system else None,
    )  # fmt: skip
    check_connected(molecule)
    return molecule


def check_connected(molecule: Molecule) -> None:
    """Stop unless the bonds make one molecule.

    Raises:
        InputError: several molecules, or a PDB without its bonds.
    """
    neighbours = molecule.neighbours
    seen, queue = {0}, [0]
    while queue:
        for other in neighbours[queue.pop()]:
            if other not in seen:
                seen.add(other)
                queue.append(other)
    if len(seen) != len(molecule.atoms):
        raise InputError(
            f"{molecule.label}: expected one connected molecule, got {len(seen)} of "
            f"{len(molecule.atoms)} atoms in the first piece: give one molecule, and CONECT records"
        )
