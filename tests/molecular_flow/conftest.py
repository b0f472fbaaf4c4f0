"""Molecules and a tiny simulated ladder, made once per test session."""

import io

import pytest
import torch

from molecular_flow.physics import molecule as molecules
from molecular_flow.physics.peptide import peptide_pdb
from molecular_flow.simulate import Plan, simulate


@pytest.fixture(scope="session")
def dipeptide():
    return molecules.build("AA")


@pytest.fixture(scope="session")
def capped_alanine(tmp_path_factory):
    """A PDB file of Ace-Ala-Nme."""
    _, app, _ = molecules.openmm_modules()
    heavy = app.PDBFile(io.StringIO(peptide_pdb("ace-A-nme")))
    model = app.Modeller(heavy.topology, heavy.positions)
    model.addHydrogens(app.ForceField(*molecules.FORCE_FIELD))
    path = tmp_path_factory.mktemp("capped") / "ala.pdb"
    with path.open("w") as file:
        app.PDBFile.writeFile(model.topology, model.positions, file)
    return path


@pytest.fixture(scope="session")
def tiny_plan() -> Plan:
    return Plan(
        temperatures=(300.0, 450.0), ladders=8, frames=12, spacing_ps=0.04, equilibrate_ps=0.2
    )


@pytest.fixture(scope="session")
def tiny_ladder(tmp_path_factory, tiny_plan):
    """Eight ladders of 12 frames at 300 and 450 K."""
    path = tmp_path_factory.mktemp("ladder") / "ladder.npz"
    simulate(tiny_plan, path)
    return path


@pytest.fixture
def noisy(dipeptide) -> torch.Tensor:
    """Sixteen frames (16, 23, 3) nm, 0.04 A of noise about the minimum, float64."""
    generator = torch.Generator().manual_seed(3)
    rest = torch.tensor(dipeptide.positions)[None]
    return rest + 0.004 * torch.randn(16, 23, 3, generator=generator, dtype=torch.float64)
