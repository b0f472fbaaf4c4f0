"""Rings stay closed: their closing bond is a coordinate, with the exact Jacobian."""

from pathlib import Path

import pytest
import torch

from molecular_flow.coordinates.internal import InternalCoordinates
from molecular_flow.coordinates.rings import NOWHERE
from molecular_flow.flow.transport import TransportFlow
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics.energy import TorchEnergy
from molecular_flow.physics.tree import build_tree

PAIR = (300.0, 450.0)


RINGS = {"GP": 1, "FW": 3, "cggc": 1}


@pytest.fixture(scope="module", params=RINGS)
def ringed(request):
    """Proline's ring; a benzene ring, and tryptophan's two that share a bond; a disulfide's."""
    file = Path(__file__).with_name(f"{request.param}.pdb")
    return molecules.build(request.param, str(file) if file.exists() else None)


def noisy(molecule, frames: int = 4):
    generator = torch.Generator().manual_seed(0)
    shape = (frames, len(molecule.atoms), 3)
    noise = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return torch.tensor(molecule.positions)[None] + 0.003 * noise


def test_closures(ringed):
    closures = build_tree(ringed).closures
    tree_bonds = {frozenset((p.atom, p.parent)) for p in build_tree(ringed).placements}
    assert len(closures) == RINGS[ringed.label]
    for closure in closures:
        assert frozenset((closure.x, closure.y)) in map(frozenset, ringed.bonds)
        assert frozenset((closure.x, closure.y)) not in tree_bonds
        assert frozenset((closure.x, closure.p)) in tree_bonds


def test_there_and_back(ringed):
    coordinates, x = InternalCoordinates(ringed).double(), noisy(ringed)
    z, frame = coordinates.encode(x)
    assert (coordinates.decode(z, frame) - x).abs().max() < 1e-12
    for ring in coordinates.rings.rings:
        length = (x[:, ring.closure.x] - x[:, ring.closure.y]).norm(dim=-1)
        assert torch.equal(z[:, ring.bend], length)
        assert ring.bend < coordinates.stiff


def test_volume_is_autograds(ringed):
    coordinates = InternalCoordinates(ringed).double()
    z, _ = coordinates.encode(noisy(ringed))
    a, b, c = coordinates.tree.root
    fixed = {3 * b, 3 * b + 1, 3 * b + 2, 3 * a + 1, 3 * a + 2, 3 * c + 2}
    rows = [row for row in range(3 * coordinates.atoms) if row not in fixed]
    for row in z[:2]:
        matrix = torch.autograd.functional.jacobian(
            lambda q: coordinates.decode(q[None])[0].flatten(), row
        )
        x = coordinates.decode(row[None])[0]
        rigid = 2 * x[a, 0].abs().log() + x[c, 1].abs().log()
        expected = torch.linalg.slogdet(matrix[rows])[1] + rigid
        assert coordinates.log_volume(row[None])[0].item() == pytest.approx(
            expected.item(), abs=1e-9
        )
    along, step = torch.randn_like(z), 1e-6
    slope = (coordinates.log_volume_gradient(z) * along).sum(1)
    rise = coordinates.log_volume(z + step * along) - coordinates.log_volume(z - step * along)
    assert (rise / (2 * step) - slope).abs().max() < 1e-5


def test_the_flow_through_rings_is_exact(ringed):
    torch.manual_seed(0)
    flow = TransportFlow(ringed, network="local", width=8, bins=4).double()
    with torch.no_grad():
        flow.scale.fill_(0.02)
        flow.scale[: coordinates_bonds(flow)] = 0.003
        for ring in flow.coordinates.rings.rings:
            flow.scale[ring.bend] = 0.003
        for parameter in flow.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
        x = noisy(ringed)
        y, up = flow.transport(x, *PAIR)
        back, down = flow.transport(y, *PAIR, inverse=True)
    assert (y - x).abs().max() > 1e-3
    assert (back - x).abs().max() < 1e-9
    assert (up + down).abs().max() < 1e-8
    size = 3 * len(ringed.atoms)
    copies = x[0].repeat(size, 1, 1).requires_grad_(True)
    moved, found = flow.transport(copies, *PAIR)
    (matrix,) = torch.autograd.grad(moved.reshape(size, size).diagonal().sum(), copies)
    expected = torch.linalg.slogdet(matrix.reshape(size, size))[1].item()
    assert found[0].item() == pytest.approx(expected, abs=1e-7)


def coordinates_bonds(flow: TransportFlow) -> int:
    return flow.coordinates.atoms - 1


def test_a_stretch_keeps_the_ring(ringed):
    """Stretched by sqrt(1.5), frames of the harmonic size stay as low as harmonic modes do."""
    flow = TransportFlow(ringed).double()
    energy = TorchEnergy(ringed).double()
    x = noisy(ringed, 16)
    z, _ = flow.coordinates.encode(x)
    bond = [ring.bend for ring in flow.coordinates.rings.rings]
    moved, _ = flow(z, *PAIR)
    mean = flow.regression[0, bond]
    assert (moved[:, bond] - mean - 1.5**0.5 * (z[:, bond] - mean)).abs().max() < 1e-9
    rest = energy(torch.tensor(ringed.positions)[None])
    height = energy(flow.coordinates.decode(moved)) - rest
    assert (height < 2.5 * (energy(x) - rest)).all()


def test_no_triangle_no_place(ringed):
    coordinates = InternalCoordinates(ringed).double()
    z, _ = coordinates.encode(noisy(ringed))
    z[0, coordinates.rings.rings[0].bend] = 0.9  # nm: farther than the ring is wide
    volume = coordinates.log_volume(z)
    assert volume[0] < NOWHERE / 2
    assert (volume[1:] > NOWHERE / 2).all()
    assert coordinates.decode(z).isfinite().all()


@pytest.mark.parametrize("sequence", ["GP", "FW"])
def test_a_small_rings_flap_does_not_cross_the_end_of_its_range(sequence):
    molecule = molecules.build(sequence)
    coordinates = InternalCoordinates(molecule).double()
    z, _ = coordinates.encode(noisy(molecule, 64))
    for ring in coordinates.rings.rings:
        assert z[:, ring.turn].std() < 0.3
