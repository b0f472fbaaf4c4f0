"""Laws of the gate: complementary masks, balanced in every sample, that follow their sources."""

import pytest
import torch

from jingle import metrics
from jingle.networks.gate import Gate, balance, spread


def sources(samples: int = 3, frames: int = 301) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, samples, 128, frames, generator=generator)
    return a, b


@pytest.fixture(scope="module")
def gate() -> Gate:
    torch.manual_seed(0)
    return Gate(width=32, depth=1)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.05])
def test_masks_are_shares_that_sum_to_exactly_one(gate, temperature):
    m, n = gate(*sources(), temperature)
    assert m.shape == n.shape == (3, 128, 301)
    assert m.min() >= 0
    assert m.max() <= 1
    assert torch.equal(m + n, torch.ones_like(m))


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.05])
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_every_sample_is_balanced_by_construction(gate, temperature, scale):
    a, b = sources()
    a = a * torch.tensor([1.0, scale, 3.0])[:, None, None]
    m, _ = gate(a, b, temperature)
    assert (m.mean((1, 2)) - 0.5).abs().max() < 0.005  # groups and frames, finitely many


def test_balance_holds_for_lopsided_logits():
    generator = torch.Generator().manual_seed(1)
    logits = torch.rand(50, 2000, generator=generator).pow(8) * 30 - 7
    gate = torch.sigmoid(balance(logits, 0.1) / 0.1)
    assert (gate.mean(1) - 0.5).abs().max() < 1e-3


@pytest.mark.parametrize("temperature", [0.1, 0.2])
def test_the_temperature_sets_how_sharp_a_gaussian_gate_is(temperature):
    """Whatever the level and offset of the logits; 0.51 is what the gate's docstring says."""
    generator = torch.Generator().manual_seed(3)
    logits = 3 + torch.tensor([[0.1], [1.0], [30.0]]) * torch.randn(3, 200_000, generator=generator)
    gate = torch.sigmoid(balance(spread(logits), temperature) / temperature)
    undecided = 4 * (gate * (1 - gate)).mean(1)
    assert (undecided / temperature - 0.51).abs().max() < 0.02


def test_the_gradient_of_balance_is_that_of_the_implicit_shift():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 40, generator=generator, dtype=torch.float64, requires_grad=True)

    def gates(x):
        return torch.sigmoid(balance(x, 0.7, rounds=60) / 0.7)

    assert torch.autograd.gradcheck(gates, logits, eps=1e-5, atol=1e-6)


def test_a_channel_group_shares_its_decisions_and_a_cold_gate_is_sharp(gate):
    m, n = gate(*sources(), 0.05)
    groups = m.unflatten(1, (16, 8))
    assert torch.equal(groups, groups[:, :, :1].expand_as(groups))
    complementarity = 1 - (m * n).mean()
    assert complementarity > 0.97
    assert metrics.dwell(m).min() > 0.25


def test_the_gate_moves_in_time_with_its_sources():
    """Before any training its masks vary in time, where the published agent's stand still."""
    torch.manual_seed(0)
    gate, (a, b) = Gate(width=32), sources()
    m, _ = gate(a, b, 0.05)
    assert metrics.temporal_variance(m).min() > 0.02
    later, _ = gate(a.roll(80, 2), b.roll(80, 2), 0.05)
    kept = (later.roll(-80, 2) - m).abs()[..., 40:180].mean()
    assert kept < 0.5 * (later - m).abs().mean()


def test_groups_must_divide_the_channels():
    with pytest.raises(ValueError, match="divide 128 channels, got 24"):
        Gate(groups=24)
