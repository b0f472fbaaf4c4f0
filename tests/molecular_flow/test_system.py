"""An OpenMM System of one's own is the force field of its PDB file, as it is."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from molecular_flow import infer, simulate
from molecular_flow.data import MolecularData
from molecular_flow.physics import molecule as molecules
from tests.molecular_flow.untrained import saved

openmm, app, unit = molecules.openmm_modules()


@pytest.fixture(scope="module")
def files(capped_alanine, tmp_path_factory):
    """A PDB file and a System in which a charge is another than in any force field."""
    molecule = molecules.build(pdb=capped_alanine)
    system = molecules.load_system(molecule)
    force = next(f for f in system.getForces() if f.getName() == "NonbondedForce")
    charge, sigma, depth = force.getParticleParameters(0)
    force.setParticleParameters(0, charge + 0.05 * unit.elementary_charge, sigma, depth)
    path = tmp_path_factory.mktemp("system") / "own.xml"
    path.write_text(openmm.XmlSerializer.serialize(system))
    return str(capped_alanine), str(path)


def test_it_is_the_energy(files):
    pdb, system = files
    found, usual = molecules.build(pdb=pdb, system=system), molecules.build(pdb=pdb)
    assert found.fingerprint != usual.fingerprint
    assert found.bonds == usual.bonds
    assert found.parameters[0][0] == pytest.approx(usual.parameters[0][0] + 0.05)


def test_simulated_and_read_back(files, tmp_path, monkeypatch):
    pdb, system = files
    out = tmp_path / "x.npz"
    words = [out, "--pdb", pdb, "--system", system, "--ladders", 3, "--frames", 2, "--temperatures",
             300, 450, "--equilibrate-ps", 0.02, "--spacing-ps", 0.02]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["simulate", *map(str, words)])
    simulate.main()
    data = MolecularData(root=str(out), sequence=None, pdb=pdb, system=system)
    data.setup()
    assert data.notes == []  # no warning of another molecule
    assert data.molecule.fingerprint == str(np.load(out)["fingerprint"])


def test_what_is_no_system_of_the_molecule(files, tmp_path, dipeptide):
    pdb, system = files
    with pytest.raises(InputError, match=r"data\.pdb with data\.system"):
        molecules.build("AA", system=system)
    with pytest.raises(InputError, match="is not there"):
        molecules.build(pdb=pdb, system=str(tmp_path / "none.xml"))
    (tmp_path / "text.xml").write_text("no xml")
    with pytest.raises(InputError, match="cannot be read as an OpenMM System"):
        molecules.build(pdb=pdb, system=str(tmp_path / "text.xml"))
    (tmp_path / "other.xml").write_text(dipeptide.system_xml)
    with pytest.raises(InputError, match="23 particles"):
        molecules.build(pdb=pdb, system=str(tmp_path / "other.xml"))


def test_a_checkpoint_whose_files_have_moved(files, tmp_path):
    pdb, system = files
    path = saved(tmp_path / "flow.ckpt", 300.0, 450.0, sequence=None, pdb=pdb, system=system)
    checkpoint = torch.load(path, weights_only=True)
    gone = {"pdb": str(tmp_path / "gone.pdb"), "system": str(tmp_path / "gone.xml")}
    torch.save(checkpoint | {"hyper_parameters": checkpoint["hyper_parameters"] | gone}, path)
    with pytest.raises(InputError, match="--pdb"):
        infer.load(str(path))
    with pytest.raises(InputError, match="--system"):
        infer.load(str(path), pdb=Path(pdb))
    module = infer.load(str(path), pdb=Path(pdb), system=Path(system))
    assert module.molecule.fingerprint == checkpoint["molecule"]
