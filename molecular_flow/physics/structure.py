"""Reads a chemist's structure file and makes it fit a force field, saying what it changed."""

import io
import random
from pathlib import Path

from experiments.shared.errors import InputError
from experiments.shared.reading import regular

MOST_BYTES = 1 << 28
WATER = ("HOH", "WAT", "H2O", "SOL", "TIP", "TIP3", "TP3", "TIP4", "TP4", "SPC", "OPC", "DOD")
IONS = ("NA", "NA+", "SOD", "CL", "CL-", "CLA", "K", "K+", "POT", "MG", "MG2", "CA2", "CAL", "ZN",
        "ZN2", "LI", "LI+", "CS", "CES", "BR", "BR-", "RB")  # fmt: skip
SOLVENT = frozenset(WATER + IONS)

# Names that OpenMM's tables lack: CHARMM's protonation states, and D-amino acids, whose force
# field is that of their mirror images.
RESIDUES = {
    "HSD": "HID", "HSE": "HIE", "HSP": "HIP", "DAL": "ALA", "DAR": "ARG", "DSG": "ASN",
    "DAS": "ASP", "DCY": "CYS", "DGN": "GLN", "DGL": "GLU", "DHI": "HIS", "DIL": "ILE",
    "DLE": "LEU", "DLY": "LYS", "MED": "MET", "DPN": "PHE", "DPR": "PRO", "DSN": "SER",
    "DTH": "THR", "DTR": "TRP", "DTY": "TYR", "DVA": "VAL",
}  # fmt: skip

# CHARMM's caps are patches: their atoms lie in the residue that they cap.
ACETYL = {"CAY": "CH3", "HY1": "H1", "HY2": "H2", "HY3": "H3", "CY": "C", "OY": "O"}
AMIDE = {"NT": "N", "HNT": "H", "CAT": "C", "HT1": "H1", "HT2": "H2", "HT3": "H3"}


def read(path: Path, app):
    """Topology, positions and notes of a PDB or mmCIF file, without water and ions.

    `app` is `openmm.app`. Of several models it is the first.

    Raises:
        InputError: not there, no such format, unreadable, or nothing but solvent.
    """
    regular(path, "a PDB or mmCIF file: data.pdb, or where a checkpoint is used --pdb", MOST_BYTES)
    if path.suffix.lower() not in (".pdb", ".ent", ".cif", ".mmcif"):
        raise InputError(
            f"expected a structure as .pdb or .cif, got {path}: write it as PDB, with hydrogens"
        )
    cif = path.suffix.lower() in (".cif", ".mmcif")
    notes: list[str] = []
    try:
        if cif:
            found = app.PDBxFile(str(path))
        else:
            text, notes = translated(path.read_text(errors="replace"))
            found = app.PDBFile(io.StringIO(text))
    except Exception as error:  # OpenMM's parsers raise whatever the broken line provokes
        kind = "an mmCIF" if cif else "a PDB"
        raise InputError(f"{path} cannot be read as {kind} file ({error})") from error
    model = app.Modeller(found.topology, found.positions)
    drop = [residue for residue in model.topology.residues() if residue.name in SOLVENT]
    if drop:
        model.delete(drop)
        notes.append(f"{len(drop)} molecules of water and ions left out: the solvent is implicit")
    if model.topology.getNumAtoms() < 4:
        raise InputError(f"{path}: expected a molecule of 4 or more atoms")
    return model.topology, model.positions, [f"{path}: {note}" for note in notes]


def translated(text: str) -> tuple[str, list[str]]:
    """PDB text in OpenMM's names, and notes: CHARMM's caps and states, names of D-amino acids."""
    lines = text.splitlines()
    is_atom = [line.startswith(("ATOM", "HETATM")) and len(line) > 53 for line in lines]
    names = {}  # by residue
    for line, atom in zip(lines, is_atom, strict=True):
        if atom:
            names.setdefault(line[21:27], set()).add(line[12:16].strip())
    found, renamed, caps = [], set(), set()
    for line, atom in zip(lines, is_atom, strict=True):
        if not atom:
            if not line.startswith("CONECT") or not caps:
                found.append(line)
            continue
        name, residue, place = line[12:16].strip(), line[17:20].strip(), line[21:27]
        start, end = "CY" in names[place], {"NT", "CAT"} <= names[place]
        cap, new = "", name
        if start and name in ACETYL:
            cap, new = "ACE", ACETYL[name]
        elif end and name in AMIDE:
            cap, new = "NME", AMIDE[name]
        if cap:
            caps.add(cap)
            insertion = "A" if cap == "ACE" else "Z"
            line = f"{line[:12]} {new:<3s} {cap}{line[20:26]}{insertion}{line[27:]}"
        elif residue in RESIDUES:
            renamed.add(residue)
            line = f"{line[:17]}{RESIDUES[residue]:>3s}{line[20:]}"
        found.append(line)
    notes = [f"{name} read as {RESIDUES[name]}" for name in sorted(renamed)]
    if caps:
        notes.append(f"CHARMM's caps read as {' and '.join(sorted(caps))}")
    return "\n".join([*found, ""]), notes


def with_hydrogens(topology, positions, field, openmm, app):
    """Topology and positions with the hydrogens of pH 7 that were missing; and how many."""
    model = app.Modeller(topology, positions)
    before = topology.getNumAtoms()
    state = random.getstate()
    random.seed(0)  # addHydrogens scatters the new atoms with the global generator
    try:
        # The default platform has threads, whose order of summation differs from run to run.
        reference = openmm.Platform.getPlatformByName("Reference")
        model.addHydrogens(field, pH=7.0, platform=reference)
    finally:
        random.setstate(state)
    return model.topology, model.positions, model.topology.getNumAtoms() - before


def remedy(topology, error: Exception) -> str:
    """What to do about a residue that the force field has no template for."""
    ends = [list(chain.residues())[-1] for chain in topology.chains()]
    starts = [next(iter(chain.residues())) for chain in topology.chains()]
    for residue in ends:
        atoms = {atom.name for atom in residue.atoms()}
        if {"N", "CA", "C", "O"} <= atoms and "OXT" not in atoms:
            return (
                f"the chain ends at {residue.name} {residue.id} without OXT and without a cap: add "
                "OXT, or NME"
            )
    for residue in starts:
        atoms = {atom.name: atom for atom in residue.atoms()}
        if {"N", "CA", "C", "O"} <= set(atoms) and "OXT" not in atoms and len(starts) > 1:
            return "several chains: give one molecule"
    reason = str(error).split("For more information")[0].strip().rstrip(".")
    return f"{reason}; complete it (with PDBFixer, say), or name a force field that has it"
