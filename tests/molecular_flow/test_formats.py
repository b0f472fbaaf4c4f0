"""Frames go out in the field's formats and come back; atoms are found by name, water left out."""

import mdtraj
import numpy as np
import pytest

from experiments.shared.errors import InputError
from molecular_flow.data import MolecularData
from molecular_flow.physics import formats, series, trajectory
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics.trajectory import read


@pytest.fixture(scope="module")
def capped(capped_alanine):
    return molecules.build(pdb=capped_alanine)


@pytest.fixture(scope="module")
def frames(capped):
    noise = np.random.default_rng(0).normal(0, 0.002, (6, len(capped.atoms), 3))
    return (capped.positions + noise).astype(np.float32)


@pytest.mark.parametrize("suffix", [".pdb", ".cif", ".dcd", ".xtc", ".nc"])
def test_there_and_back(tmp_path, capped, frames, suffix):
    files = formats.save(tmp_path / f"x{suffix}", frames, capped)
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted(f.name for f in files)
    found, notes = formats.load(files[0], capped)
    assert notes == []
    assert np.abs(found - frames).max() < 6e-4  # XTC's grid is 0.001 nm
    if suffix in (".dcd", ".xtc"):  # as a chemist reads it
        assert mdtraj.load(str(files[0]), top=str(files[1])).n_frames == 6


def test_hdf5_works_or_says_what_it_wants(tmp_path, capped, frames):
    try:
        import tables  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="pip install tables"):
            formats.save(tmp_path / "x.h5", frames, capped)
        assert not list(tmp_path.iterdir())
    else:
        formats.save(tmp_path / "x.h5", frames, capped)
        assert np.array_equal(formats.load(tmp_path / "x.h5", capped)[0], frames)


def solvated(capped, frames, order=None):
    """The frames as mdtraj's, atoms in another order within residues, with a water and a box."""
    made = mdtraj.Topology()
    chain = made.add_chain()
    order = list(range(len(capped.atoms))) if order is None else order
    residues = {}
    for place in order:
        atom = capped.atoms[place]
        if atom.residue not in residues:
            residues[atom.residue] = made.add_residue(atom.residue_name, chain)
        element = mdtraj.element.Element.getByAtomicNumber(atom.element)
        made.add_atom(atom.name, element, residues[atom.residue])
    water = made.add_residue("HOH", made.add_chain())
    for name, element in (("O", mdtraj.element.oxygen), ("H1", mdtraj.element.hydrogen)):
        made.add_atom(name, element, water)
    positions = np.concatenate([frames[:, order], np.ones_like(frames[:, :2])], 1)
    size = len(frames)
    return mdtraj.Trajectory(positions, made, unitcell_lengths=np.full((size, 3), 3.0),
                             unitcell_angles=np.full((size, 3), 90.0))  # fmt: skip


def test_water_is_left_out_and_atoms_are_put_in_order(tmp_path, capped, frames):
    residue = [atom.residue for atom in capped.atoms]
    order = sorted(range(len(residue)), key=lambda n: (residue[n], capped.atoms[n].name))
    theirs = solvated(capped, frames, order)
    theirs.save(str(tmp_path / "x.dcd"))
    theirs[0].save(str(tmp_path / "top.pdb"))
    found, notes = formats.load(tmp_path / "x.dcd", capped, tmp_path / "top.pdb")
    assert np.abs(found - frames).max() < 1e-5
    assert any("2 atoms of water" in note for note in notes)
    assert any("in the order of" in note for note in notes)
    with pytest.raises(InputError, match="--topology"):
        formats.load(tmp_path / "x.dcd", capped)


def test_a_molecule_that_the_box_cut_is_made_whole(tmp_path, capped, frames):
    cut = solvated(capped, frames)
    cut.xyz[2:4, : len(capped.atoms)] -= cut.xyz[2:4, 8:9]
    cut.xyz %= 3.0
    cut.save(str(tmp_path / "x.dcd"))
    cut[0].save(str(tmp_path / "top.pdb"))
    found, notes = formats.load(tmp_path / "x.dcd", capped, tmp_path / "top.pdb")
    assert any("made whole" in note for note in notes)
    first, second = np.array(capped.bonds).T
    lengths = np.linalg.norm(found[:, first] - found[:, second], axis=-1)
    expected = np.linalg.norm(frames[:, first] - frames[:, second], axis=-1)
    assert np.abs(lengths - expected).max() < 1e-5


def test_what_cannot_be_read(tmp_path, capped, frames, dipeptide):
    (tmp_path / "x.dcd").write_bytes(b"no trajectory" * 20)
    with pytest.raises(InputError, match=r"x\.dcd cannot be read"):
        formats.load(tmp_path / "x.dcd", capped)
    formats.save(tmp_path / "x.pdb", frames, capped)
    with pytest.raises(InputError, match="23 atoms of AA, got 22"):
        formats.load(tmp_path / "x.pdb", dipeptide)
    with pytest.raises(InputError, match="names its temperatures"):
        read(tmp_path / "x.pdb", capped)
    with pytest.raises(InputError, match=r"ending in \.npz or \.pdb"):
        formats.save(tmp_path / "x.gro", frames, capped)


@pytest.mark.parametrize("suffix", [".dcd", ".xtc", ".nc", ".pdb", ".cif", ".h5"])
def test_a_folder_of_trajectories_is_training_data(tmp_path, dipeptide, tiny_ladder, suffix):
    if suffix == ".h5":
        pytest.importorskip("tables")
    with np.load(tiny_ladder) as file:
        positions = file["positions_nm"]
    for temperature, row in zip((300, 450), positions, strict=True):
        for number, frames in enumerate(row[:4]):
            formats.save(tmp_path / f"run{number}_{temperature}K{suffix}", frames, dipeptide)
    data = MolecularData(root=str(tmp_path), eval_frames=100)
    data.setup()
    assert data.describe()["sizes"] == {"train": 24, "val": 12, "test": 12}
    assert data.describe()["temperatures_kelvin"] == [300.0, 450.0]
    expected = sum(trajectory.frame_energies(dipeptide, positions[:1, :2]).ravel())
    found = data._tables["train"]["source_energy"].sum().item()
    assert found == pytest.approx(expected, rel=0.05 if suffix == ".xtc" else 1e-2)


def test_a_folder_that_lacks_something(tmp_path, dipeptide, tiny_ladder):
    with np.load(tiny_ladder) as file:
        frames = file["positions_nm"][0, 0]
    formats.save(tmp_path / "a_300K.dcd", frames, dipeptide)
    with pytest.raises(InputError, match="two temperatures or more"):
        series.read(tmp_path, dipeptide)
    formats.save(tmp_path / "a_450K.dcd", frames[:5], dipeptide)
    with pytest.raises(InputError, match="cut them to one length"):
        series.read(tmp_path, dipeptide)
