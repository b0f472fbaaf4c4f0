"""Internal coordinates: a bijection with the Jacobian it claims, IUPAC signs, exact symmetries."""

import math

import pytest
import torch

from molecular_flow.coordinates.internal import (
    InternalCoordinates,
    dihedral,
    internal,
    reorder,
    restore,
    wrap,
)
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics.energy import TorchEnergy


@pytest.mark.parametrize("sequence", ["AA", "GW", "RE", "PV"])
def test_round_trip(sequence):
    molecule = molecules.build(sequence)
    coordinates = InternalCoordinates(molecule).double()
    x = torch.tensor(molecule.positions)[None].repeat(8, 1, 1)
    x = x + 0.01 * torch.randn(x.shape, dtype=torch.float64)
    z, frame = coordinates.encode(x)
    assert z.shape == (8, 3 * len(molecule.atoms) - 6)
    assert (coordinates.decode(z, frame) - x).abs().max() < 1e-12
    again, _ = coordinates.encode(coordinates.decode(z))
    assert (again - z).abs().max() < 1e-9


@pytest.mark.parametrize("sequence", ["AA", "PW"])
def test_forces_go_back_onto_the_coordinates(sequence):
    molecule = molecules.build(sequence)
    coordinates = InternalCoordinates(molecule).double()
    x = torch.tensor(molecule.positions)[None].repeat(2, 1, 1)
    z, _ = coordinates.encode(x + 0.01 * torch.randn(x.shape, dtype=torch.float64))
    assert torch.autograd.gradcheck(coordinates.decode, z.requires_grad_(True))


def test_an_energy_and_its_gradient_go_with_their_frame(dipeptide, noisy):
    """They are those of its own labels: for COO- the energy is not the canonical ones'."""
    coordinates, energy = InternalCoordinates(dipeptide).double(), TorchEnergy(dipeptide).double()
    home = reorder(noisy, coordinates.canonical_labels(noisy))
    z, _, found = internal(coordinates, home, energy.with_gradient(home)[1])
    leaf = z.requires_grad_(True)
    (expected,) = torch.autograd.grad(energy(coordinates.decode(leaf)).sum(), leaf)
    assert (found - expected).abs().max() < 1e-7 * expected.abs().max()
    order = torch.arange(23).repeat(len(noisy), 1)
    for group in coordinates.groups:
        order[:, list(group)] = torch.tensor(group).roll(1)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    turn = turn * torch.linalg.det(turn)
    x, gradient = (reorder(v @ turn, order) for v in (home, energy.with_gradient(home)[1]))
    again, labels, same = internal(coordinates, x + 1.0, gradient)
    own = energy(restore(coordinates.decode(again), labels))
    assert (own - energy(x)).abs().max() < 1e-8
    assert (energy(home) - energy(x)).abs().max() > 0.01
    assert (again - z).abs().max() < 1e-9
    assert (same - found).abs().max() < 1e-9 * found.abs().max()


def test_dihedral_sign_is_iupac():
    # Looking along j-k, going clockwise from the front bond to the rear one is positive.
    front, j, k = [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]
    for degrees in (0, 60, -60, 150):
        angle = math.radians(degrees)
        # The viewer looks along +z, with x to the right: clockwise is from x towards y.
        rear = [math.cos(angle), math.sin(angle), 1.0]
        x = torch.tensor([[front, j, k, rear]]).double()
        assert torch.rad2deg(dihedral(x, [0], [1], [2], [3])).item() == pytest.approx(degrees)


def test_volume_is_the_jacobian(dipeptide, noisy):
    coordinates = InternalCoordinates(dipeptide).double()
    z, _ = coordinates.encode(noisy[:1])

    def place(v):
        """Coordinates, translation and infinitesimal rotation to 69 positions."""
        x = coordinates.decode(v[None, :63])
        w = v[66:]
        cross = torch.linalg.cross(w.expand_as(x), x)
        return (x + cross + v[63:66]).reshape(-1)

    v = torch.cat([z[0], torch.zeros(6).double()])
    matrix = torch.autograd.functional.jacobian(place, v)
    assert matrix.shape == (69, 69)
    volume = coordinates.log_volume(z)[0]
    assert torch.linalg.slogdet(matrix)[1].item() == pytest.approx(volume.item(), abs=1e-9)


def test_seven_torsions_and_four_groups(dipeptide):
    coordinates = InternalCoordinates(dipeptide)
    assert (coordinates.stiff, coordinates.torsions) == (56, 7)
    assert sorted(len(group) for group in coordinates.groups) == [2, 3, 3, 3]


def test_turning_the_labels_is_a_symmetry(dipeptide, noisy):
    """Of the energy (exactly for CH3 and NH3), and the torsion moves by one period."""
    coordinates, energy = InternalCoordinates(dipeptide).double(), TorchEnergy(dipeptide).double()
    z, _ = coordinates.encode(noisy)
    for group, row in zip(coordinates.groups, coordinates.group_row.tolist(), strict=True):
        order = torch.arange(23).repeat(len(noisy), 1)
        order[:, list(group)] = torch.tensor(group).roll(1)
        turned, _ = coordinates.encode(reorder(noisy, order))
        step = wrap(turned - z)[:, coordinates.stiff + row].abs()
        period = coordinates.period[row]
        assert (
            torch.minimum((step - period).abs(), (step - 2 * math.pi + period).abs())
        ).max() < 1e-9
        change = (energy(reorder(noisy, order)) - energy(noisy)).abs().max()
        assert change < (1e-8 if len(group) == 3 else 3)


def test_canonical_labels_are_unique(dipeptide, noisy):
    """Every relabelled copy of a frame goes to the same canonical frame."""
    coordinates = InternalCoordinates(dipeptide).double()
    z, frame = coordinates.encode(noisy)
    z[:, coordinates.stiff :] += 6 * torch.rand(len(z), 7, dtype=torch.float64)
    x = coordinates.decode(z, frame)
    home = reorder(x, coordinates.canonical_labels(x))
    for group in coordinates.groups:
        order = torch.arange(23).repeat(len(x), 1)
        order[:, list(group)] = torch.tensor(group).roll(1)
        copy = reorder(x, order)
        labels = coordinates.canonical_labels(copy)
        assert torch.equal(reorder(copy, labels), home)
        assert torch.equal(restore(reorder(copy, labels), labels), copy)
