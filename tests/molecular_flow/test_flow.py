"""The flow is a bijection with an exact Jacobian that keeps symmetry, and starts where it says."""

import importlib.util
import math

import pytest
import torch

from molecular_flow.coordinates.internal import dihedral, reorder, wrap
from molecular_flow.flow import families
from molecular_flow.flow.splines import conditional_spline, knots, spline
from molecular_flow.flow.transport import TransportFlow
from molecular_flow.physics.tree import build_tree, separate

PAIR = (300.0, 450.0)
SIZES = {
    "mlp": {"network": "mlp", "width": 16},
    "local": {"network": "local", "width": 8, "window": 3, "stiff_context": True},
    "mixed": {"network": "mixed", "width": 8, "window": 3, "init": "basins"},
    "context": {"network": "mlp", "width": 16, "stiff_context": True, "couplings": 7},
    "realnvp": {"width": 16, "couplings": 4, "init": "stretch"},
}
if importlib.util.find_spec("normflows"):
    SIZES["normflows"] = {"width": 16, "couplings": 2, "init": "stretch"}


def flow_of(molecule, kind: str, init: str | None = None):
    options = dict(SIZES[kind])
    init = init or options.pop("init", "stretch")
    options.pop("init", None)
    family = kind if kind in ("realnvp", "normflows") else "splines"
    return families.make(molecule, family, init, options).double()


def randomised(molecule, kind: str, size: float = 0.1) -> TransportFlow:
    torch.manual_seed(1)
    flow = flow_of(molecule, kind)
    with torch.no_grad():
        flow.scale.fill_(0.05)
        flow.scale[:22] = 0.003
        for parameter in flow.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return flow


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize(("kind_of_float", "tolerance_nm"), [("double", 1e-9), ("float", 1e-5)])
def test_inverse_undoes_forward(dipeptide, noisy, kind, kind_of_float, tolerance_nm):
    flow = getattr(randomised(dipeptide, kind), kind_of_float)()
    x = getattr(noisy, kind_of_float)()
    with torch.no_grad():
        y, up = flow.transport(x, *PAIR)
        back, down = flow.transport(y, *PAIR, inverse=True)
        assert (y - x).abs().max() > 1e-3  # it does something
        assert (back - x).abs().max() < tolerance_nm
        assert (up + down).abs().max() < (1e-8 if kind_of_float == "double" else 2e-3)
        y, up = flow.transport(x, *PAIR, inverse=True)
        assert (flow.transport(y, *PAIR)[0] - x).abs().max() < tolerance_nm


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("inverse", [False, True])
def test_log_det_is_autograds(dipeptide, noisy, kind, inverse):
    flow = randomised(dipeptide, kind)
    for x in noisy[:2]:
        # Frames do not see one another, so 69 copies give the 69 rows of the Jacobian at once.
        copies = x.repeat(69, 1, 1).requires_grad_(True)
        y, found = flow.transport(copies, *PAIR, inverse)
        (matrix,) = torch.autograd.grad(y.reshape(69, 69).diagonal().sum(), copies)
        expected = torch.linalg.slogdet(matrix.reshape(69, 69))[1].item()
        assert found[0].item() == pytest.approx(expected, abs=1e-8)


def test_identity_init_is_the_identity(dipeptide, noisy):
    for kind in SIZES:
        flow = flow_of(dipeptide, kind, "identity")
        y, log_det = flow.transport(noisy, *PAIR)
        close = 1e-6 if kind == "normflows" else 1e-12  # its slopes are one but for rounding
        assert (y - noisy).abs().max() < close
        assert log_det.abs().max() < close


def test_stretch_init_is_the_analytic_stretch(dipeptide, noisy):
    flow = TransportFlow(dipeptide, init="stretch", **SIZES["mlp"]).double()
    z, _ = flow.coordinates.encode(reorder(noisy, flow.coordinates.canonical_labels(noisy)))
    moved, log_det = flow(z, *PAIR)
    mean = flow.regression[0]
    expected = mean + math.sqrt(1.5) * (z[:, :56] - mean)
    assert (moved[:, :56] - expected).abs().max() < 1e-12
    assert wrap(moved[:, 56:] - z[:, 56:]).abs().max() < 1e-12
    assert (log_det - 28 * math.log(1.5)).abs().max() < 1e-12


@pytest.mark.parametrize("kind", ["mlp", "realnvp"])
def test_a_map_between_equal_temperatures_is_the_identity(dipeptide, noisy, kind):
    flow = randomised(dipeptide, kind)
    y, log_det = flow.transport(noisy, 400.0, 400.0)
    assert (y - noisy).abs().max() < 1e-11
    assert log_det.abs().max() < 1e-11


@pytest.mark.parametrize("kind", ["mlp", "realnvp"])
def test_equivariance(dipeptide, noisy, kind):
    flow = randomised(dipeptide, kind)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    turn = turn * torch.linalg.det(turn)
    shift = torch.tensor([0.3, -1.0, 2.0]).double()
    y, log_det = flow.transport(noisy, *PAIR)
    moved, same = flow.transport(noisy @ turn + shift, *PAIR)
    assert (moved - (y @ turn + shift)).abs().max() < 1e-10
    assert (same - log_det).abs().max() < 1e-9
    for group in flow.coordinates.groups:
        order = torch.arange(23).repeat(len(noisy), 1)
        order[:, list(group)] = torch.tensor(group).roll(1)
        relabelled, _ = flow.transport(reorder(noisy, order), *PAIR)
        assert (relabelled - reorder(y, order)).abs().max() < 1e-12


def test_chirality_is_kept(dipeptide, tiny_ladder):
    import numpy as np

    with np.load(tiny_ladder) as file:
        x = torch.tensor(file["positions_nm"][0].reshape(-1, 23, 3)).double()
    flow = randomised(dipeptide, "mlp")
    y, _ = flow.transport(x, *PAIR)
    for residue in (0, 1):
        quad = [[dipeptide.find(residue, name)] for name in ("CA", "N", "C", "CB")]
        assert (dihedral(x, *quad).sign() == dihedral(y, *quad).sign()).all()


class TestSpline:
    def parameters(self, *shape):
        torch.manual_seed(0)
        return knots(2 * torch.randn(*shape, 24, dtype=torch.float64))

    def test_zero_parameters_are_the_identity(self):
        x = torch.linspace(-1, 0.999, 50).double()
        y, log = spline(x, *knots(torch.zeros(50, 24).double()))
        assert (y - x).abs().max() < 1e-12
        assert log.abs().max() < 1e-12

    def test_monotone_onto_and_inverted(self):
        sizes, slope = self.parameters(1)
        x = torch.linspace(-1, 1, 400).double()
        y, log = spline(x, sizes.expand(400, 2, 8), slope.expand(400, 9))
        assert (y.diff() > 0).all()
        assert y[0] == pytest.approx(-1)
        assert y[-1] == pytest.approx(1)
        back, undo = spline(y, sizes.expand(400, 2, 8), slope.expand(400, 9), inverse=True)
        assert (back - x).abs().max() < 1e-9
        assert (log + undo).abs().max() < 1e-6

    def test_log_derivative_is_autograds_and_periodic(self):
        sizes, slope = self.parameters(30)
        x = (2 * torch.rand(30, dtype=torch.float64) - 1).requires_grad_(True)
        y, log = spline(x, sizes, slope)
        (expected,) = torch.autograd.grad(y.sum(), x)
        assert (log - expected.log()).abs().max() < 1e-9
        ends = torch.tensor([-1.0, 1.0]).double()
        _, log = spline(ends, sizes[:1].expand(2, 2, 8), slope[:1].expand(2, 9))
        assert log[0].item() == pytest.approx(log[1].item(), abs=1e-9)

    @pytest.mark.parametrize("inverse", [False, True])
    def test_the_gradient_by_hand_is_automatic_differentiations(self, inverse):
        torch.manual_seed(0)
        x = (2 * torch.rand(6, 5, dtype=torch.float64) - 1).requires_grad_(True)
        raw = torch.randn(6, 5, 24, dtype=torch.float64).requires_grad_(True)
        ours, plain = conditional_spline(x, raw, inverse), spline(x, *knots(raw), inverse)
        for one, two in zip(ours, plain, strict=True):
            assert torch.equal(one, two)
        weights = torch.randn(2, 6, 5, dtype=torch.float64)
        for output in ([0], [1], [0, 1]):
            found, expected = (
                torch.autograd.grad(sum((weights[k] * way[k]).sum() for k in output), (x, raw),
                                    retain_graph=True)
                for way in (ours, plain)
            )  # fmt: skip
            for one, two in zip(found, expected, strict=True):
                assert (one - two).abs().max() < 1e-10 * two.abs().max()


def test_torsions_are_moved_apart_from_their_neighbours(dipeptide):
    torsions = build_tree(dipeptide).torsions
    sets = separate(torsions, dipeptide.neighbours, 3)
    assert sorted(k for members in sets for k in members) == list(range(len(torsions)))
    for members in sets:
        axes = [{torsions[k].grand, torsions[k].parent} for k in members]
        assert all(not a & b for a in axes for b in axes if a is not b)
