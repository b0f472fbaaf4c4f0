"""A chemist's PDB file works, and what was changed in it is said; or it is one clear message."""

import io

import pytest
import torch

from experiments.shared.errors import InputError
from molecular_flow.coordinates.internal import InternalCoordinates
from molecular_flow.physics import chirality, structure
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics.peptide import peptide_pdb
from molecular_flow.physics.tree import build_tree

CHARMM = {
    "ACE": {new: old for old, new in structure.ACETYL.items()},
    "ALA": {"H": "HN"},
    "NME": {new: old for old, new in structure.AMIDE.items()},
}


def atoms_of(path):
    return [line for line in path.read_text().splitlines() if line[:6] in ("ATOM  ", "HETATM")]


def written(path, lines):
    path.write_text("\n".join([*lines, "END", ""]))
    return path


def mirrored(lines):
    return [f"{line[:30]}{-float(line[30:38]):8.3f}{line[38:]}" for line in lines]


def test_the_file_as_it_should_be_needs_no_note(capped_alanine):
    assert molecules.build(pdb=capped_alanine).notes == ()


def test_charmm_names(tmp_path, capped_alanine):
    lines = []
    for line in atoms_of(capped_alanine):
        residue, name = line[17:20], line[12:16].strip()
        name = CHARMM[residue].get(name, name)
        lines.append(f"{line[:12]} {name:<3s} ALA{line[20:22]}   1{line[26:]}")
    found = molecules.build(pdb=written(tmp_path / "charmm.pdb", lines))
    expected = molecules.build(pdb=capped_alanine)
    assert [a.residue_name for a in found.atoms] == [a.residue_name for a in expected.atoms]
    assert len(found.bonds) == len(expected.bonds)
    assert "CHARMM's caps read as ACE and NME" in found.notes[0]


def test_missing_hydrogens_are_added_and_counted(tmp_path, capped_alanine):
    heavy = [line for line in atoms_of(capped_alanine) if line[76:78].strip() != "H"]
    found = molecules.build(pdb=written(tmp_path / "heavy.pdb", heavy))
    assert len(found.atoms) == 22
    assert "12 missing hydrogens added" in found.notes[0]


def test_water_and_ions_are_left_out_and_counted(tmp_path, capped_alanine):
    solvent = [
        "HETATM  901  O   HOH W   1      10.000  10.000  10.000  1.00  0.00           O",
        "HETATM  902 CL    CL W   2      20.000  10.000  10.000  1.00  0.00          Cl",
    ]
    lines = capped_alanine.read_text().splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("TER")) + 1
    (tmp_path / "wet.pdb").write_text("\n".join([*lines[:place], *solvent, *lines[place:], ""]))
    found = molecules.build(pdb=tmp_path / "wet.pdb")
    assert len(found.atoms) == 22
    assert "2 molecules of water and ions left out" in found.notes[0]


def test_a_d_amino_acid_stays_one(tmp_path, capped_alanine):
    lines = [line.replace("ALA", "DAL") for line in mirrored(atoms_of(capped_alanine))]
    right = molecules.build(pdb=written(tmp_path / "d.pdb", lines))
    left = molecules.build(pdb=capped_alanine)
    assert any("DAL read as ALA" in note for note in right.notes)
    places = chirality.centres(left.neighbours, [a.element for a in left.atoms])
    centre = places[:, 0].tolist().index(left.find(1, "CA"))
    hands = [chirality.hands(m.positions, places)[centre] for m in (left, right)]
    assert hands[0] != hands[1]
    bare = [line for line in lines if line[76:78].strip() != "H"]
    again = molecules.build(pdb=written(tmp_path / "bare.pdb", bare))
    places = chirality.centres(again.neighbours, [a.element for a in again.atoms])
    centre = places[:, 0].tolist().index(again.find(1, "CA"))
    assert chirality.hands(again.positions, places)[centre] == hands[1]


@pytest.mark.parametrize("name", ["HSD", "HSE", "HSP"])
def test_protonation_states_of_histidine(name):
    lines = [
        line.replace("HIS", name)
        for line in peptide_pdb("AH").splitlines()
        if line.startswith("ATOM")
    ]
    text, notes = structure.translated("\n".join(lines))
    assert name not in text
    assert notes[0].startswith(f"{name} read as HI")


def test_a_pyramidal_amine_is_no_planar_group(tmp_path):
    """Lysine without its charge: half a turn of its two hydrogens is another conformation."""
    _, app, _ = molecules.openmm_modules()
    heavy = app.PDBFile(io.StringIO(peptide_pdb("NKA")))
    model = app.Modeller(heavy.topology, heavy.positions)
    model.addHydrogens(app.ForceField(*molecules.FORCE_FIELD), variants=[None, "LYN", None])
    with (tmp_path / "lyn.pdb").open("w") as file:
        app.PDBFile.writeFile(model.topology, model.positions, file)
    molecule = molecules.build(pdb=tmp_path / "lyn.pdb")
    assert molecule.notes == ()
    groups = [{molecule.atoms[a].name for a in g} for g in build_tree(molecule).groups]
    assert {"HD21", "HD22"} in groups
    assert not any({"HZ1", "HZ2", "HZ3"} & group for group in groups)
    coordinates = InternalCoordinates(molecule).double()
    x = torch.tensor(molecule.positions)[None]
    z, frame = coordinates.encode(x)
    assert (coordinates.decode(z, frame) - x).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [x for x in lines if x[17:20] != "NME"], "without OXT and without a cap"),
        (lambda lines: [x for x in lines if x[12:16].strip() != "CB"], "complete it"),
        (lambda lines: lines[:2], "4 or more atoms"),
        (lambda lines: [x[:30] + " 0.000   0.000   0.000" + x[54:] for x in lines], "clash|turned"),
    ],
)
def test_what_does_not_work_is_one_message(tmp_path, capped_alanine, change, message):
    path = written(tmp_path / "bad.pdb", change(atoms_of(capped_alanine)))
    with pytest.raises(InputError, match=message):
        molecules.build(pdb=path)


def test_other_formats_are_named(tmp_path):
    (tmp_path / "x.sdf").write_text("\n")
    with pytest.raises(InputError, match=r"\.pdb or \.cif"):
        molecules.build(pdb=tmp_path / "x.sdf")
