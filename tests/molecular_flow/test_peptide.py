"""Peptides by their sequence, with charged ends or caps."""

import pytest

from experiments.shared.errors import InputError
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics.peptide import peptide_pdb


def test_a_capped_sequence_is_the_molecule_of_its_file(capped_alanine):
    built, read = molecules.build("ace-A-nme"), molecules.build(pdb=str(capped_alanine))
    assert {atom.residue_name for atom in built.atoms} == {"ACE", "ALA", "NME"}
    assert (built.atoms, built.parameters) == (read.atoms, read.parameters)
    assert {frozenset(b) for b in built.bonds} == {frozenset(b) for b in read.bonds}


@pytest.mark.parametrize("sequence", ["ace-AG", "AG-nme", "ACE-AG-NME", "AG"])
def test_each_end_is_capped_by_itself(sequence):
    names = [atom.residue_name for atom in molecules.build(sequence).atoms]
    assert ("ACE" in names, "NME" in names) == (
        sequence.lower().startswith("ace-"), sequence.lower().endswith("-nme"),
    )  # fmt: skip
    charge = sum(p[0] for p in molecules.build(sequence).parameters)
    assert charge == pytest.approx({"ace-AG": -1, "AG-nme": 1}.get(sequence, 0), abs=1e-4)


@pytest.mark.parametrize(
    "sequence", ["A", "ace-nme", "ace--nme", "ace-B-nme", "nme-A-ace", "", "-"]
)
def test_other_texts_are_refused(sequence):
    with pytest.raises(InputError, match=r"data\.sequence"):
        molecules.build(sequence)


def test_a_flat_end_is_built_in_silence(recwarn):
    assert " OXT VAL A   3" in peptide_pdb("SVV")
    assert not recwarn.list
