"""Laws of the loss terms: their values where these are known, and their gradients."""

import pytest
import torch

from experiments.shared.errors import InputError
from experiments.shared.losses import check_names
from jingle import losses

HALF = torch.full((2, 8, 150), 0.5)


def alternation(period: int, frames: int = 150) -> torch.Tensor:
    """A binary mask (2, 8, frames) that changes every `period` frames."""
    return ((torch.arange(frames) // period) % 2).float().expand(2, 8, frames)


def test_every_term_has_its_function():
    assert all(callable(getattr(losses, name)) for name in losses.TERMS)
    assert set(losses.DEAR) <= set(losses.TERMS)


@pytest.mark.parametrize(
    ("m", "n", "overlap", "coverage"),
    [
        (HALF, HALF, 0.25, 0.0),
        (torch.ones(1, 2, 3), torch.ones(1, 2, 3), 1.0, 1.0),
        (torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), 0.0, 1.0),
        (alternation(25), 1 - alternation(25), 0.0, 0.0),
    ],
)
def test_overlap_and_coverage(m, n, overlap, coverage):
    assert losses.overlap(m, n) == overlap
    assert losses.coverage(m, n) == coverage


def test_coverage_obeys_its_identity():
    """Coverage is E[m^2] + E[n^2] + 2 o + 1 - 2 (E m + E n)."""
    torch.manual_seed(0)
    m, n = torch.rand(2, 3, 8, 50)
    identity = m.square().mean() + n.square().mean() + 2 * losses.overlap(m, n) + 1
    identity -= 2 * (m.mean() + n.mean())
    torch.testing.assert_close(losses.coverage(m, n), identity)


def test_the_published_composition_of_the_published_first_epoch():
    parts = (torch.tensor(x) for x in (0.246, 0.0022, 0.1))
    assert float(losses.mask_reg(*parts)) == pytest.approx(0.7471, abs=1e-4)
    assert losses.temporal_published(HALF, HALF) == pytest.approx(0.1)


def test_temporal_wants_movement_but_no_chatter():
    assert losses.temporal(HALF, HALF) == pytest.approx(2.0)  # samples and channels stand still
    calm = alternation(30)  # 0.4 s
    assert losses.temporal(calm, 1 - calm) == 0
    restless = alternation(1)
    assert losses.temporal(restless, 1 - restless) > 1
    assert losses.temporal_published(restless, 1 - restless) == 0


def test_temporal_does_not_push_a_mask_that_is_only_soft():
    """An annealed gate begins soft: what counts is how it will move when it is hard."""
    soft = 0.5 + 0.05 * (2 * alternation(30) - 1)
    assert losses.temporal(soft, 1 - soft) == 0
    assert losses.temporal_published(soft, 1 - soft) > 0.09


def test_no_channel_may_stand_still():
    mask = alternation(30).clone()
    mask[:, 4:] = 0.0
    assert losses.temporal(mask, 1 - mask) == pytest.approx(0.5)
    assert losses.temporal_published(mask, 1 - mask) == 0


def test_balance_looks_at_each_sample_the_published_one_at_the_batch():
    m = torch.stack([torch.ones(8, 50), torch.zeros(8, 50)])
    assert losses.balance(m, 1 - m) == pytest.approx(0.5)
    assert losses.balance_published(m, 1 - m) == 0
    assert losses.balance(HALF, HALF) == 0


def test_deep_supervision_weighs_the_last_stage_most():
    wanted, off = torch.zeros(1, 4, 5), torch.ones(1, 4, 5)
    assert losses.blend([wanted, wanted], wanted) == 0
    assert losses.blend([off], wanted) == 1
    assert losses.blend([wanted, wanted, off], wanted) == 1
    assert losses.blend([off, wanted, wanted], wanted) == pytest.approx(0.15)


def test_the_hinge_game():
    guess = torch.zeros(2, 5)
    assert losses.hinge(guess, guess) == 2
    assert losses.hinge(guess + 1, guess - 1) == 0
    assert losses.gan(guess + 3) == -3
    assert losses.gan_published(guess) == pytest.approx(0.6931, abs=1e-4)


@pytest.mark.parametrize("term", ["mel", "spectral"])
def test_decoded_terms_are_zero_for_equals_and_have_gradients(term):
    torch.manual_seed(0)
    real = 0.1 * torch.randn(1, 1, 4800)
    made = (real + 0.05 * torch.randn_like(real)).requires_grad_()
    function = getattr(losses, term)
    assert function(real, real) < 1e-5
    value = function(made, real)
    value.backward()
    assert value > 0.01
    assert torch.isfinite(made.grad).all()
    assert made.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [({"novelty": 1.0}, "unknown"), ({"balance": -1.0}, "balance=-1"), ({"mel": None}, "missing")],
)
def test_wrong_weights_stop_the_run(change, message):
    weights = dict.fromkeys(losses.TERMS, 1.0) | change
    weights = {name: weight for name, weight in weights.items() if weight is not None}
    with pytest.raises(InputError, match=message):
        check_names(weights, losses.TERMS)
