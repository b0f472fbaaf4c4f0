"""A peptide's heavy atoms from its sequence, with or without caps at its ends."""

import io
import re

import numpy as np

from experiments.shared.errors import InputError
from molecular_flow.physics.force_field import INSTALL

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
LONGEST = 1000  # residues
CAPPED = re.compile(r"(?i:(ace-)?)([^-]*)(?i:(-nme)?)")
# A cap is what is left of an alanine in its place.
ACETYL = {"CA": "CH3", "C": "C", "O": "O"}
AMIDE = {"N": "N", "CA": "C"}


def peptide_pdb(sequence: str) -> str:
    """PDB text with the heavy atoms of a peptide in an extended conformation.

    `sequence`: one-letter residues, whose free ends are charged, or with an acetyl in front
    (`ace-`), a methyl amide behind (`-nme`): `AA`, `ace-A-nme`.

    Raises:
        InputError: an unknown residue letter, fewer than two residues (caps count), PeptideBuilder
            absent.
    """
    caps = CAPPED.fullmatch(sequence)
    start, letters, end = caps.groups() if caps else (None, sequence, None)
    unknown = sorted(set(letters) - set(LETTERS))
    whole = "A" * bool(start) + letters + "A" * bool(end)
    if unknown or not letters or not 2 <= len(whole) <= LONGEST:
        shown = sequence if len(sequence) < 80 else f"{sequence[:20]}... of {len(sequence)}"
        raise InputError(
            f"expected a sequence of 2 to {LONGEST} one-letter residues of {LETTERS}, with caps as "
            f"in ace-A-nme or without, got {shown!r} (unknown: {unknown}): mend data.sequence "
            "(--sequence) or give data.pdb"
        )
    try:
        import PeptideBuilder
        from Bio.PDB import PDBIO
    except ImportError as error:
        raise InputError(f"expected PeptideBuilder, got none ({error}): {INSTALL}") from error
    bends = len(whole) - 1
    structure = PeptideBuilder.make_structure(whole, [-120.0] * bends, [140.0] * bends)
    if not end:
        with np.errstate(invalid="ignore"):  # a flat end's dihedral has no sign, which it asks for
            PeptideBuilder.add_terminal_OXT(structure)
    writer, text = PDBIO(), io.StringIO()
    writer.set_structure(structure)
    writer.save(text)
    names = {1: ("ACE", ACETYL)} if start else {}
    if end:
        names[len(whole)] = ("NME", AMIDE)
    lines = (_capped(line, names) for line in text.getvalue().splitlines())
    return "\n".join([*filter(None, lines), ""])


def _capped(line: str, names: dict[int, tuple[str, dict[str, str]]]) -> str | None:
    """A line of a PDB file, of a cap's residue with the cap's names; None if it has no such atom.

    `names`: by the residue's number the cap's name and its atoms' by those of an alanine.
    """
    if not line.startswith("ATOM") or int(line[22:26]) not in names:
        return None if line.startswith("TER") else line
    cap, atoms = names[int(line[22:26])]
    name = atoms.get(line[12:16].strip())
    return f"{line[:12]} {name:<3s} {cap}{line[20:]}" if name else None
