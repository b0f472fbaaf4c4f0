"""The molecule: topology, force field and a minimised structure, from a sequence or a PDB file."""

import hashlib
import io
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from experiments.shared.errors import InputError

INSTALL = "install the extra: pip install 'ensemble-suite[molecular]'"
FORCE_FIELD = ("amber99sbildn.xml", "implicit/obc1.xml")
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


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
    each atom; `constraints` counts the constrained distances of the system.
    """

    label: str
    atoms: tuple[Atom, ...]
    bonds: tuple[tuple[int, int], ...]
    system_xml: str = field(repr=False)
    positions: np.ndarray = field(repr=False)
    parameters: tuple[tuple[float, ...], ...] = field(repr=False)
    constraints: int = 0

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


def openmm_modules():
    """The modules `(openmm, openmm.app, openmm.unit)`.

    Raises:
        InputError: OpenMM is not installed.
    """
    try:
        import openmm
        import openmm.app
        import openmm.unit
    except ImportError as error:
        raise InputError(
            f"expected OpenMM for the force field, got none ({error}): {INSTALL}"
        ) from error
    return openmm, openmm.app, openmm.unit


def peptide_pdb(sequence: str) -> str:
    """PDB text with the heavy atoms of a zwitterionic peptide in an extended conformation.

    Raises:
        InputError: an unknown residue letter, fewer than two residues, PeptideBuilder absent.
    """
    unknown = sorted(set(sequence) - set(LETTERS))
    if unknown or len(sequence) < 2:
        raise InputError(
            f"expected a sequence of two or more one-letter residues of {LETTERS}, got "
            f"{sequence!r} (unknown: {unknown}): mend data.sequence or give data.pdb"
        )
    try:
        import PeptideBuilder
        from Bio.PDB import PDBIO
    except ImportError as error:
        raise InputError(f"expected PeptideBuilder, got none ({error}): {INSTALL}") from error
    bends = len(sequence) - 1
    structure = PeptideBuilder.make_structure(sequence, [-120.0] * bends, [140.0] * bends)
    PeptideBuilder.add_terminal_OXT(structure)
    writer, text = PDBIO(), io.StringIO()
    writer.set_structure(structure)
    writer.save(text)
    return text.getvalue()


@lru_cache(maxsize=8)
def _build(
    sequence: str | None, pdb: str | None, force_field: tuple[str, ...], constraints: bool
) -> Molecule:
    openmm, app, unit = openmm_modules()
    try:
        field_ = app.ForceField(*force_field)
    except (ValueError, OSError) as error:
        raise InputError(
            f"expected OpenMM force-field files, got {list(force_field)} ({error}): mend "
            "data.force_field"
        ) from error
    if pdb is None:
        source = app.PDBFile(io.StringIO(peptide_pdb(sequence)))
        model = app.Modeller(source.topology, source.positions)
        state = random.getstate()
        random.seed(0)  # addHydrogens scatters the new atoms with the global generator
        # The default platform has threads, whose order of summation differs from run to run.
        reference = openmm.Platform.getPlatformByName("Reference")
        model.addHydrogens(field_, pH=7.0, platform=reference)
        random.setstate(state)
        topology, positions, label = model.topology, model.positions, sequence
    else:
        topology, positions = _read_pdb(Path(pdb), app)
        label = Path(pdb).stem
    try:
        system = field_.createSystem(
            topology,
            nonbondedMethod=app.NoCutoff,
            constraints=app.HBonds if constraints else None,
            rigidWater=False,
            removeCMMotion=False,
        )
    except ValueError as error:
        raise InputError(
            f"{pdb or sequence}: the force field {list(force_field)} does not know this molecule "
            f"({error}): add the missing atoms, or name a force field that has it"
        ) from error
    atoms = tuple(
        Atom(a.name, a.residue.index, a.residue.name, a.element.atomic_number if a.element else 0)
        for a in topology.atoms()
    )
    bonds = tuple((a.index, b.index) for a, b in topology.bonds())
    start = np.array(positions.value_in_unit(unit.nanometer))
    nonbonded = next(f for f in system.getForces() if f.getName() == "NonbondedForce")
    parameters = tuple(
        tuple(value._value for value in nonbonded.getParticleParameters(n))
        for n in range(len(atoms))
    )
    found = _minimise(system, start)
    count = system.getNumConstraints()
    return Molecule(label, atoms, bonds, _xml(system), found, parameters, count)


def _read_pdb(path: Path, app):
    if not path.is_file():
        raise InputError(
            f"expected a PDB file, got {path} which is not there: mend data.pdb, or where a "
            "checkpoint is used --pdb"
        )
    try:
        pdb = app.PDBFile(str(path))
    except Exception as error:  # OpenMM's parser raises whatever the broken line provokes
        raise InputError(f"{path} cannot be read as a PDB file ({error})") from error
    if pdb.topology.getNumAtoms() < 4:
        raise InputError(f"{path}: expected a molecule of 4 or more atoms")
    return pdb.topology, pdb.positions


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
) -> Molecule:
    """The molecule of a one-letter peptide `sequence` (zwitterion, pH 7), or of a PDB file.

    A PDB file must hold every atom, hydrogens too. Without `constraints` all bonds are flexible,
    which the flow's target needs: with bonds to hydrogen held, their springs are missing from the
    energy and the loss has no lower bound.

    Raises:
        InputError: neither or an unusable source; OpenMM absent; an unknown residue or atom.
    """
    if pdb is None and not sequence:
        raise InputError("expected data.sequence or data.pdb, got neither: give one")
    molecule = _build(sequence, str(pdb) if pdb else None, tuple(force_field), constraints)
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
