"""Trajectories in the field's own formats (PDB, mmCIF, DCD, XTC, NetCDF, HDF5), through mdtraj.

A file holds the frames of one temperature. Axes: `F` frames, `N` atoms; positions in nm.
"""

import warnings
from pathlib import Path

import numpy as np

from experiments.shared import writing
from experiments.shared.errors import InputError
from experiments.shared.reading import regular
from molecular_flow.physics.force_field import INSTALL
from molecular_flow.physics.molecule import Molecule
from molecular_flow.physics.structure import SOLVENT

WITH_ATOMS = (".pdb", ".cif", ".h5")  # these name their atoms
WITHOUT = (".dcd", ".xtc", ".nc")  # these are read and written with a topology beside
SUFFIXES = WITH_ATOMS + WITHOUT
MOST_TEXT = 2 << 30  # bytes of frames as text


def mdtraj():
    """The module `mdtraj`.

    Raises:
        InputError: it is not installed.
    """
    try:
        import mdtraj as found
    except ImportError as error:
        raise InputError(
            f"expected mdtraj for {', '.join(SUFFIXES)}, got none ({error}): {INSTALL}, "
            "or give .npz"
        ) from error
    return found


def load(
    path: Path, molecule: Molecule, topology: Path | None = None
) -> tuple[np.ndarray, list[str]]:
    """Frames (F, N, 3) in nm, float32, in the molecule's order; and notes on what was done to them.

    Files without atom names are taken to be in the molecule's order, or in that of `topology` (a
    PDB, mmCIF or HDF5 file), which is needed where they hold solvent, too. Water and ions are left
    out, atoms are put in order by their names, and a molecule that a periodic box cut is made whole
    where the file has the box.

    Raises:
        InputError: mdtraj is absent, the file cannot be read, or holds another molecule.
    """
    library, found, notes = mdtraj(), _read(path, molecule, topology), []
    if found.topology is not None and (topology is not None or path.suffix in WITH_ATOMS):
        kept = [a.index for a in found.topology.atoms if a.residue.name not in SOLVENT]
        if len(kept) < found.n_atoms:
            notes.append(f"{path}: {found.n_atoms - len(kept)} atoms of water and ions left out")
            found = found.atom_slice(kept)
        order = _order(found.topology, molecule, path)
        if order is not None:
            notes.append(f"{path}: atoms put in the order of {molecule.label}, by their names")
            found = library.Trajectory(
                found.xyz[:, order], _topology(molecule), None,
                found.unitcell_lengths, found.unitcell_angles,
            )  # fmt: skip
    if found.n_atoms == len(molecule.atoms) and found.unitcell_vectors is not None:
        found.topology = _topology(molecule)
        before = found.xyz.copy()
        found.make_molecules_whole(inplace=True, sorted_bonds=_outwards(molecule))
        whole = np.abs(found.xyz - before).max((1, 2)) > 1e-3
        if whole.any():
            notes.append(f"{path}: {whole.sum()} frames that the periodic box cut were made whole")
    return np.ascontiguousarray(found.xyz, dtype=np.float32), notes


def save(path: Path, positions: np.ndarray, molecule: Molecule) -> list[Path]:
    """Write frames (F, N, 3) in nm; beside a format without atom names also `<stem>.pdb`.

    Returns the files written.

    Raises:
        InputError: mdtraj is absent, or the format is unknown or cannot be written here.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"expected a file ending in .npz or {', '.join(SUFFIXES)}, got {path}")
    frames = mdtraj().Trajectory(np.asarray(positions, np.float32), _topology(molecule))
    files = [path]
    _write(frames, path)
    if path.suffix in WITHOUT:
        files.append(path.with_suffix(".pdb"))
        _write(frames[0], files[-1])
    return files


def _write(frames, path: Path) -> None:
    try:
        with writing.replacing(path) as scratch, warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*netCDF4.*")  # scipy does as well
            frames.save(str(scratch))
    except ImportError as error:
        raise InputError(f"{path} cannot be written: {_missing(path)}") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise writing.cannot(path, error) from error


def _read(path: Path, molecule: Molecule, topology: Path | None):
    library = mdtraj()
    if topology is not None:
        regular(topology, "a topology (.pdb, .cif, .h5)")
    regular(path, "frames", MOST_TEXT if path.suffix in (".pdb", ".cif") else None)
    top = str(topology) if topology else _topology(molecule)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix in WITH_ATOMS:
                return library.load(str(path))
            return library.load(str(path), top=top)
    except ImportError as error:
        raise InputError(f"{path} cannot be read: {_missing(path)}") from error
    except Exception as error:  # mdtraj's readers raise whatever the broken bytes provoke
        raise InputError(
            f"{path} cannot be read as frames of {molecule.label} ({_first_line(error)}): if it "
            "holds other atoms, too, give the --topology (a PDB file) that it was written with"
        ) from error


def _missing(path: Path) -> str:
    package = {".h5": "PyTables: pip install tables"}.get(
        path.suffix, "a package that is not there"
    )
    return f"{path.suffix} wants {package}; or take .nc or .dcd"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _topology(molecule: Molecule):
    """The molecule as an mdtraj topology."""
    library = mdtraj()
    made = library.Topology()
    chain, residues, atoms = made.add_chain(), {}, []
    for atom in molecule.atoms:
        if atom.residue not in residues:
            residues[atom.residue] = made.add_residue(
                atom.residue_name, chain, resSeq=atom.residue + 1
            )
        element = library.element.Element.getByAtomicNumber(atom.element)
        atoms.append(made.add_atom(atom.name, element, residues[atom.residue]))
    for i, j in molecule.bonds:
        made.add_bond(atoms[i], atoms[j])
    return made


def _outwards(molecule: Molecule) -> np.ndarray:
    """Bonds (N - 1, 2) along which every atom is reached from one that was reached before."""
    seen, front, bonds = {0}, [0], []
    for atom in front:
        for other in molecule.neighbours[atom]:
            if other not in seen:
                seen.add(other)
                front.append(other)
                bonds.append((atom, other))
    return np.array(bonds, dtype=np.int32)


def _order(topology, molecule: Molecule, path: Path) -> list[int] | None:
    """Which of the file's atoms is each of the molecule's; None where they are in order already."""
    first = min((a.residue.index for a in topology.atoms), default=0)
    theirs = [(a.residue.index - first, a.name) for a in topology.atoms]
    ours = [(a.residue, a.name) for a in molecule.atoms]
    if theirs == ours:
        return None
    if sorted(theirs) == sorted(ours) and len(set(ours)) == len(ours):
        place = {name: n for n, name in enumerate(theirs)}
        return [place[name] for name in ours]
    elements = [a.element.atomic_number if a.element else 0 for a in topology.atoms]
    if elements == [a.element for a in molecule.atoms]:
        return None  # other names in, as it seems, the same order: the bonds will tell
    raise InputError(
        f"{path}: expected the {len(ours)} atoms of {molecule.label}, got {len(theirs)}, of which "
        f"{len(set(ours) - set(theirs))} of ours are missing: give data.sequence or data.pdb of "
        "the molecule in the file"
    )
