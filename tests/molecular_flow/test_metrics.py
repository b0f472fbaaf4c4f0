"""Metrics against known answers: harmonic oscillators, whose free energies are logarithms."""

import math

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from molecular_flow.metrics import (
    TransportMetrics,
    acceptance,
    bennett,
    divergence,
    effective_samples,
    multistate,
    overlap,
    standard_error,
)


def oscillator_works(frames: int, stiffness=(1.0, 0.4), scale: float = 1.0):
    """Works of the map x -> scale x between two oscillators at kT = 1."""
    torch.manual_seed(0)
    x = torch.randn(frames).double() / stiffness[0] ** 0.5
    y = torch.randn(frames).double() / stiffness[1] ** 0.5
    ahead = (stiffness[1] * (scale * x) ** 2 - stiffness[0] * x**2) / 2 - math.log(scale)
    back = (stiffness[0] * (y / scale) ** 2 - stiffness[1] * y**2) / 2 + math.log(scale)
    return ahead, back


def test_bennett_finds_the_free_energy():
    exact = 0.5 * math.log(0.4)
    for scale in (1.0, 1.3):
        ahead, back = oscillator_works(40_000, scale=scale)
        assert bennett(ahead, back) == pytest.approx(exact, abs=0.02)
        assert ahead.mean() > exact - 0.01 > -back.mean() - 0.02


def test_a_perfect_map_accepts_everything():
    ahead, back = oscillator_works(1000, scale=0.4**-0.5)
    assert acceptance(ahead, back).item() == pytest.approx(1)
    assert effective_samples(ahead).item() == pytest.approx(1)


def test_acceptance_of_the_identity_is_plain_replica_exchange():
    generator = np.random.default_rng(0)
    betas = 0.4, 0.3
    cold, hot = generator.normal(-500, 14, 5000), generator.normal(-480, 21, 5000)
    plain = np.minimum(1, np.exp((betas[0] - betas[1]) * (cold - hot))).mean()
    ahead = torch.tensor((betas[1] - betas[0]) * cold)
    back = torch.tensor((betas[0] - betas[1]) * hot)
    assert acceptance(ahead, back).item() == pytest.approx(plain, abs=1e-12)


def test_infinite_works_count_as_rejections():
    ahead = torch.tensor([0.0, torch.inf, torch.nan])
    assert acceptance(ahead, torch.zeros(3)).item() == pytest.approx(1 / 3)
    assert effective_samples(torch.tensor([0.0, torch.inf])).item() == pytest.approx(0.5)


def test_multistate_on_a_ladder_of_oscillators():
    generator = np.random.default_rng(1)
    betas = [0.4, 0.3, 0.2]
    # U = 5 r^2 / 2 in ten dimensions: f = 5 ln beta
    energies = [
        5 * (generator.normal(size=(20_000, 10)) ** 2 / (5 * b)).sum(1) / 2 - 100 for b in betas
    ]
    found = multistate(energies, betas)
    expected = [5 * math.log(b / betas[0]) - 100 * (b - betas[0]) for b in betas]
    assert np.allclose(found, expected, atol=0.03)


def test_multistate_across_a_gap_converges():
    """Two temperatures that hardly overlap: the fixed point alone takes many thousands of steps."""
    generator = np.random.default_rng(2)
    betas = [0.4, 0.16]
    energies = [generator.normal(size=(20_000, 60)) ** 2 @ np.full(60, 0.5 / b) for b in betas]
    found = multistate(energies, betas)
    gap = betas[1] - betas[0]
    works = torch.tensor(gap * energies[0]), torch.tensor(-gap * energies[1])
    assert found[1] == pytest.approx(bennett(*works), abs=1e-4)
    with pytest.raises(InputError, match="overlap"):
        multistate([np.zeros(50), np.full(50, 1e6)], betas)


def test_overlap_and_divergence():
    same = torch.randn(20_000)
    assert overlap(same, same) == pytest.approx(1)
    assert overlap(same, same + 50) < 0.01
    counts = torch.tensor([10, 30, 60])
    assert divergence(counts, 2 * counts).item() == pytest.approx(0)
    assert divergence(torch.tensor([5, 0]), torch.tensor([0, 7])).item() == pytest.approx(
        math.log(2)
    )


def test_standard_error_counts_ladders_not_frames():
    torch.manual_seed(0)
    ladder = torch.arange(200).repeat(50)
    own = torch.randn(200).double()  # what all frames of a ladder share
    error = standard_error(own[ladder] + 0.1 * torch.randn(10_000), ladder)
    assert error == pytest.approx(own.std().item() / 200**0.5, rel=0.02)
    apart = standard_error(torch.randn(10_000).double(), ladder)
    assert apart == pytest.approx(0.01, rel=0.15)
    uneven = torch.cat([torch.zeros(900), torch.ones(100)]).long()
    assert standard_error(uneven.double(), uneven) == pytest.approx(2**0.5 * 0.9 * 0.1 * 2**0.5)


def test_metric_object_agrees_with_its_functions_in_parts():
    ahead, back = oscillator_works(64, scale=1.2)
    scores = TransportMetrics(stiff=2, bonds=1, plane=(0, 1))
    z = torch.randn(64, 5)
    for part in torch.arange(64).split(20):
        scores.update(
            forward_work=ahead[part], inverse_work=back[part], moved_energy=ahead[part],
            energy=back[part], moved=z[part], target=z[part], round_trip=torch.zeros(len(part)),
            capped=torch.zeros(len(part)), ladder=part % 8,
        )  # fmt: skip
    found = scores.compute()
    assert found["acceptance"] == pytest.approx(acceptance(ahead, back).item())
    assert found["acceptance_se"] > 0
    assert found["excess"] == pytest.approx((ahead.mean() + back.mean()).item())
    # The map is perfect: it stands at the floor, which few frames do not let be zero.
    assert found["ramachandran_divergence"] == pytest.approx(found["ramachandran_floor"])
    assert found["ramachandran_floor"] > 0.1
    assert found["bond_overlap"] == pytest.approx(1)
    assert found["finite_share"] == 1
