"""Laws of the loss terms."""

import math

import pytest
import torch

from experiments.shared.errors import InputError
from experiments.shared.losses import weighted_sum
from radiodiff import losses
from radiodiff.autoencoder import perceptual
from radiodiff.module import RadioDiffVAE

WEIGHTS = {"l1": 1.0, "l2": 1.0, "perceptual": 0.0, "kl": 1e-6, "adversarial": 0.5}
SMALL = {"network": {"width": 4, "blocks": 1}, "discriminator": {"width": 4}}


def test_kl_closed_form_equals_monte_carlo():
    torch.manual_seed(0)
    mean, logvar = torch.tensor([0.5, -1.2, 0.0]), torch.tensor([-1.0, 0.3, -4.0])
    posterior = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    drawn = posterior.sample((400_000,))
    prior = torch.distributions.Normal(0.0, 1.0)
    estimate = (posterior.log_prob(drawn) - prior.log_prob(drawn)).mean(0)
    torch.testing.assert_close(losses.kl_nats(mean, logvar), estimate, atol=0.01, rtol=0.01)


def test_kl_is_zero_only_at_the_prior():
    assert float(losses.kl_nats(torch.zeros(3), torch.zeros(3)).sum()) == 0
    assert bool((losses.kl_nats(torch.randn(50), torch.randn(50)) > 0).all())


def test_hinge_and_generator():
    assert float(losses.hinge(torch.tensor([2.0]), torch.tensor([-2.0]))) == 0
    assert float(losses.hinge(torch.tensor([0.0]), torch.tensor([0.0]))) == 1
    assert float(losses.generator(torch.tensor([1.0, 3.0]))) == -2


def test_adaptive_weight_balances_and_is_capped():
    rec, game = torch.full((4,), 3.0), torch.full((4,), 0.5)
    weight, capped = losses.adaptive_weight(rec, game, cap=100.0)
    assert float(weight) == pytest.approx(6.0, rel=1e-3)
    assert float(capped) == 0
    weight, capped = losses.adaptive_weight(rec, torch.zeros(4), cap=100.0)
    assert (float(weight), float(capped)) == (100.0, 1.0)


def test_published_units():
    """The figures of the published log: rec 0.013288 and 157,255 nats make a total of 871."""
    rec, nats = torch.tensor(0.013288), torch.tensor(157_255 / losses.PIXELS)
    terms = {"l1": rec, "l2": torch.zeros(()), "kl": nats}
    total, _ = weighted_sum(terms, WEIGHTS)
    found = losses.published(terms, total)
    assert float(found["nll_loss"]) == pytest.approx(65_536 * 0.013288, rel=1e-5)
    assert float(found["kl_loss"]) == pytest.approx(157_255, rel=1e-5)
    assert float(found["total_loss"]) == pytest.approx(870.84 + 0.157, abs=0.05)


def test_kl_term_counts_pixels_not_latents():
    mean, logvar = torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    assert float(losses.kl(mean, logvar, torch.zeros(2, 1, 16, 16))) == pytest.approx(
        48 * 0.5 / 256
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adaptive_cap": math.inf}, "adaptive_cap"),
        ({"adaptive_cap": 0.0}, "adaptive_cap"),
        ({"disc_start": -1}, "disc_start"),
        ({"clip": 0.0}, "clip"),
        ({"discriminator": {"norm": "layer"}}, "norm"),
    ],
)
def test_bad_values_are_refused(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        RadioDiffVAE(WEIGHTS, **{**SMALL, **options})


def test_perceptual_weight_without_files_says_how():
    assert perceptual.build(0.0, None) is None
    with pytest.raises(InputError, match=r"model\.perceptual\.vgg=FILE"):
        perceptual.build(1.0, None)
    with pytest.raises(InputError, match="no file"):
        perceptual.build(1.0, {"vgg": "nowhere.pth", "heads": "nowhere.pth"})


def test_perceptual_distance_from_local_files(tmp_path):
    torch.manual_seed(0)
    weights, channels, place = {}, 3, 0
    for index, widths in enumerate(perceptual.WIDTHS):
        place += bool(index)
        for width in widths:
            weights[f"features.{place}.weight"] = torch.randn(width, channels, 3, 3) * 0.05
            weights[f"features.{place}.bias"] = torch.zeros(width)
            channels, place = width, place + 2
    heads = {
        f"lin{k}.model.1.weight": torch.rand(1, widths[-1], 1, 1)
        for k, widths in enumerate(perceptual.WIDTHS)
    }
    torch.save(weights, tmp_path / "vgg.pth")
    torch.save(heads, tmp_path / "heads.pth")
    distance = perceptual.build(1.0, {n: str(tmp_path / f"{n}.pth") for n in ("vgg", "heads")})
    a, b = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)
    assert float(distance(a, a)) == 0
    assert float(distance(a, b)) > 0
    assert not any(p.requires_grad for p in distance.parameters())
    torch.save({}, tmp_path / "heads.pth")
    with pytest.raises(InputError, match="not the expected weights"):
        perceptual.build(1.0, {n: str(tmp_path / f"{n}.pth") for n in ("vgg", "heads")})
