"""The batched force field is OpenMM's, term by term, and knows what it cannot be."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics import offsets
from molecular_flow.physics.energy import OpenMMEnergy, TorchEnergy, capped
from molecular_flow.physics.pairs import PairTerms

NATIVE_BORN = ("amber99sbildn.xml", "amber99_obc.xml")  # GBSAOBCForce
OBC2 = ("amber99sbildn.xml", "implicit/obc2.xml")
VACUUM = ("amber99sbildn.xml",)


@pytest.mark.parametrize(
    ("sequence", "force_field"),
    [
        ("AA", molecules.FORCE_FIELD),
        ("GW", molecules.FORCE_FIELD),
        ("PE", OBC2),
        ("AA", NATIVE_BORN),
        ("SK", VACUUM),
    ],
)
@pytest.mark.parametrize("noise_nm", [0.003, 0.02])
def test_energy_and_forces_are_openmms(sequence, force_field, noise_nm):
    molecule = molecules.build(sequence, force_field=force_field)
    rest = torch.tensor(molecule.positions)[None]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(6, *rest.shape[1:], generator=generator, dtype=torch.float64)
    x = rest + noise_nm * noise
    expected, slope = OpenMMEnergy(molecule).with_gradient(x)
    double = TorchEnergy(molecule).double()
    found, gradient = double.with_gradient(x)
    assert (found - expected).abs().max() < 1e-6
    assert (double(x) - expected).abs().max() < 1e-6  # the path without a derivative
    assert ((gradient - slope).norm() / slope.norm()).item() < 1e-9
    single, gradient = TorchEnergy(molecule).float().with_gradient(x.float())
    assert ((single - expected).abs() / expected.abs().clamp_min(100)).max() < 1e-5
    assert ((gradient - slope).norm() / slope.norm()).item() < 1e-5


def test_each_term_is_openmms(dipeptide, noisy):
    reference = OpenMMEnergy(dipeptide)
    terms = TorchEnergy(dipeptide).double().terms(noisy)
    names = {
        "bond": ["HarmonicBondForce"],
        "angle": ["HarmonicAngleForce"],
        "torsion": ["PeriodicTorsionForce"],
        "nonbonded": ["NonbondedForce", "CustomGBForce"],
    }
    for term, forces in names.items():
        expected = sum(reference.with_gradient(noisy, force)[0] for force in forces)
        assert (terms[term] - expected).abs().max() < 1e-6, term


def test_torsions_of_any_phase(dipeptide, noisy):
    """Amber's phases are 0 and 180 degrees: no sine, so that here they are turned."""
    openmm, _, _ = molecules.openmm_modules()
    system = molecules.load_system(dipeptide)
    (force,) = (f for f in system.getForces() if f.getName() == "PeriodicTorsionForce")
    for n in range(force.getNumTorsions()):
        *place, phase, height = force.getTorsionParameters(n)
        force.setTorsionParameters(n, *place, phase + 0.1 * n * phase.unit, height)
    turned = replace(dipeptide, system_xml=openmm.XmlSerializer.serialize(system))
    expected, slope = OpenMMEnergy(turned).with_gradient(noisy)
    found, gradient = TorchEnergy(turned).double().with_gradient(noisy)
    assert (found - expected).abs().max() < 1e-6
    assert ((gradient - slope).norm() / slope.norm()).item() < 1e-9


def test_derivative_of_pairs_that_overlap():
    """The solvent's derivative is that of its energy, also where one atom lies in another."""
    born = {
        "charge": np.array([0.5, -0.8, 0.3]),
        "reduced": np.array([0.03, 0.12, 0.15]),
        "scaled": np.array([0.025, 0.2, 0.1]),
        "offset": 0.009,
        "tanh": (1.0, -0.8, 4.85),
        "coulomb": 138.9,
        "dielectric": 0.98,
        "surface": 28.0,
    }
    pairs = PairTerms(*np.zeros((3, 3, 3)), born).double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 3, 400, generator=generator, dtype=torch.float64)
    x = x * torch.linspace(0.003, 0.6, 400, dtype=torch.float64)
    _, slope = pairs(x, derivative=True)
    step = 1e-6
    for axis, atom in np.ndindex(3, 3):
        by = torch.zeros_like(x)
        by[axis, atom] = step
        (more, _), (less, _) = pairs(x + by, derivative=False), pairs(x - by, derivative=False)
        expected = (more - less) / (2 * step)
        assert ((slope[axis, atom] - expected).abs() / (1 + expected.abs())).max() < 1e-6


@pytest.mark.parametrize("atoms", [1, 2, 3, 6, 7])
def test_pairs_by_offset_are_all_pairs(atoms):
    first, second, share = offsets.pairs(atoms)
    count = np.zeros((atoms, atoms))
    np.add.at(count, (first, second), share)
    assert (count + count.T == 1 - np.eye(atoms)).all()
    values = torch.randn(atoms, 5, dtype=torch.float64)
    place, found = offsets.twice(values), []
    for rows in offsets.ranges(atoms, 2):
        assert (offsets.of_second(place, rows) == values[second[rows]]).all()
        found.append(offsets.between(torch.sub, place, rows))
        assert (found[-1] == values[first[rows]] - values[second[rows]]).all()
    total = torch.zeros_like(place)
    for rows, difference in zip(offsets.ranges(atoms, 2), found, strict=True):
        weighed = difference * torch.tensor(share)[rows, :, None]
        offsets.add_first(total, weighed)
        offsets.add_second(total, weighed, rows, -1)
    expected = atoms * values - values.sum(0)
    assert torch.allclose(offsets.fold(total), expected)


@pytest.mark.parametrize("sequence", ["GW", "PE"])  # an even and an odd number of atoms
def test_parts_of_a_batch_and_of_the_pairs_change_nothing(monkeypatch, sequence):
    molecule = molecules.build(sequence)
    energy = TorchEnergy(molecule).double()
    rest = torch.tensor(molecule.positions)[None]
    x = rest + 0.003 * torch.randn(7, *rest.shape[1:], dtype=torch.float64)
    whole, slope = energy.with_gradient(x)
    monkeypatch.setattr("molecular_flow.physics.pairs.FRAMES", 3)
    monkeypatch.setattr("molecular_flow.physics.pairs.IN_CACHE", 300)
    found, gradient = energy.with_gradient(x)
    assert (found - whole).abs().max() < 1e-9
    assert (gradient - slope).abs().max() < 1e-8


def test_simulated_frames_of_both_temperatures(dipeptide, tiny_ladder):
    with np.load(tiny_ladder) as file:
        x = torch.tensor(file["positions_nm"][:, ::2, ::4].reshape(-1, 23, 3)).double()
    expected, _ = OpenMMEnergy(dipeptide).with_gradient(x)
    assert (TorchEnergy(dipeptide).double()(x) - expected).abs().max() < 1e-6


def test_invariant_under_rotation_and_translation(dipeptide, noisy):
    energy = TorchEnergy(dipeptide).double()
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    moved = noisy @ (turn * torch.linalg.det(turn)) + torch.tensor([1.0, -2.0, 0.5])
    assert (energy(moved) - energy(noisy)).abs().max() < 1e-8


def test_constraints_are_refused_as_target():
    held = molecules.build("AA", constraints=True)
    assert held.constraints == 12
    with pytest.raises(InputError, match="without constraints"):
        TorchEnergy(held)


def test_cap_is_smooth_and_finite():
    energy = torch.tensor([-5.0, 9.999, 10.001, 1e12, torch.inf, torch.nan], requires_grad=True)
    found, over = capped(energy, 10.0)
    assert over.tolist() == [False, False, True, True, True, True]
    assert found.isfinite().all()
    assert found[0] == -5
    assert abs(found[2].item() - found[1].item()) < 3e-3
    (slope,) = torch.autograd.grad(found[:4].sum(), energy)
    assert slope[0] == 1
    assert slope[2] == pytest.approx(1, abs=2e-3)
    assert 0 < slope[3] < 1e-11


@pytest.mark.parametrize("distance", [0.0, 5e-4, 8e-4])
def test_a_clash_leaves_the_gradient_finite(dipeptide, distance):
    energy = TorchEnergy(dipeptide).float()
    x = torch.tensor(dipeptide.positions)[None].float().repeat(2, 1, 1)
    x[0, 22] = x[0, 0] + torch.tensor([distance, 0.0, 0.0])
    x.requires_grad_(True)
    value, _ = capped(0.4 * energy(x), 100.0)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert value.isfinite().all()
    assert slope.isfinite().all()
    assert slope[1].abs().max() > 0


def test_the_fingerprint_is_the_systems(dipeptide):
    newer = re.sub('openmmVersion="[^"]*"', 'openmmVersion="99"', dipeptide.system_xml)
    assert newer != dipeptide.system_xml
    assert replace(dipeptide, system_xml=newer).fingerprint == dipeptide.fingerprint


@pytest.mark.parametrize("sequence", ["AXA", "A", "", "aa"])
def test_unknown_residues(sequence):
    with pytest.raises(InputError, match=r"sequence"):
        molecules.build(sequence)


def test_unknown_force_field():
    with pytest.raises(InputError, match=r"force_field"):
        molecules.build("AA", force_field=["nothing.xml"])


def pdb_text(molecule, drop: str | None = None, rename: tuple[str, str] | None = None) -> str:
    lines = []
    symbols = {1: "H", 6: "C", 7: "N", 8: "O"}
    for n, (atom, x) in enumerate(zip(molecule.atoms, molecule.positions * 10, strict=True), 1):
        if atom.name == drop:
            continue
        name = rename[1] if rename and atom.name == rename[0] else atom.name
        lines.append(
            f"ATOM  {n:5d}  {name:<3s} {atom.residue_name} A{atom.residue + 1:4d}    "
            f"{x[0]:8.3f}{x[1]:8.3f}{x[2]:8.3f}  1.00  0.00          {symbols[atom.element]:>2s}"
        )
    return "\n".join([*lines, "END", ""])


def test_a_complete_pdb_gives_the_same_molecule(tmp_path, dipeptide):
    path = tmp_path / "aa.pdb"
    path.write_text(pdb_text(dipeptide))
    found = molecules.build(None, pdb=str(path))
    assert len(found.atoms) == 23
    x = torch.tensor(dipeptide.positions)[None]
    names = {(a.residue, a.name): n for n, a in enumerate(dipeptide.atoms)}
    order = [names[a.residue, a.name] for a in found.atoms]
    one = TorchEnergy(found).double()(x[:, order])
    assert (one - TorchEnergy(dipeptide).double()(x)).abs().max() < 1e-6


def test_bad_pdbs(tmp_path, dipeptide):
    path = tmp_path / "aa.pdb"
    with pytest.raises(InputError, match="no such file"):
        molecules.build(None, pdb=str(path))
    path.write_text(pdb_text(dipeptide, drop="CB"))
    with pytest.raises(InputError, match="does not know"):
        molecules.build(None, pdb=str(path))
    path = tmp_path / "other.pdb"
    path.write_text(pdb_text(dipeptide, rename=("CB", "QX")))
    with pytest.raises(InputError, match="does not know"):
        molecules.build(None, pdb=str(path))


def test_openmm_absent_says_how_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "openmm", None)
    with pytest.raises(InputError, match="pip install"):
        molecules.openmm_modules()
