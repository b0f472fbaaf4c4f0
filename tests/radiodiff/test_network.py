"""The networks' sizes and shapes, and what the shortcut starts from."""

import pytest
import torch

from radiodiff.autoencoder.discriminator import Discriminator
from radiodiff.autoencoder.network import Autoencoder, draw
from radiodiff.baselines import fit_patch_pca


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_published_sizes():
    with torch.device("meta"):
        network = Autoencoder()
        assert count(network) == 55_307_453
        assert count(network.encoder) == 22_348_934
        assert count(network.decoder) == 32_958_465
        for norm in ("batch", "group"):
            assert count(Discriminator(norm=norm)) == 2_763_585


def test_shapes():
    network = Autoencoder(width=8, blocks=1)
    mean, logvar = network.encode(torch.zeros(2, 1, 32, 48))
    assert mean.shape == logvar.shape == (2, 3, 8, 12)
    assert network.decode(mean).shape == (2, 1, 32, 48)
    with torch.device("meta"):
        assert Discriminator()(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 30, 30)


def test_discriminator_sees_seventy_pixels():
    judge = Discriminator(width=4, norm="batch").eval()
    maps = torch.zeros(1, 1, 256, 256, requires_grad=True)
    judge(maps)[0, 0, 15, 15].backward()
    rows = maps.grad[0, 0].abs().sum(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_shortcut_starts_from_the_patch_pca():
    maps = torch.rand(2, 1, 32, 32) * 2 - 1
    tiles = torch.nn.functional.unfold(maps, 4, stride=4).transpose(1, 2).reshape(-1, 16)
    pca = fit_patch_pca(tiles.numpy(), 4, 3)
    network = Autoencoder(width=8, blocks=1, shortcut=True)
    network.start_from(pca.mean, pca.basis, pca.std)
    with torch.no_grad():
        mean, logvar = network.encode(maps)
        made = network.decode(mean)
    assert torch.allclose(logvar, torch.full_like(logvar, -9.0))
    assert torch.allclose(mean.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-3)
    # the PCA subtracts a mean patch, the shortcut adds back its mean gray: equal up to that
    flat = pca.mean - pca.mean.mean() - pca.basis.T @ (pca.basis @ (pca.mean - pca.mean.mean()))
    assert float((made - pca(maps)).abs().max()) <= float(flat.abs().max()) + 1e-4


def test_more_components_code_better():
    tiles = torch.randn(500, 16).cumsum(1)
    maps = torch.randn(1, 1, 32, 32).cumsum(3)
    errors = [
        float((fit_patch_pca(tiles.numpy(), 4, z)(maps) - maps).square().mean())
        for z in (1, 3, 8, 16)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(0, abs=1e-5)


def test_draw_has_the_posterior_s_moments():
    mean, logvar = torch.full((100_000,), 2.0), torch.full((100_000,), -2.0)
    drawn = draw(mean, logvar, torch.Generator().manual_seed(0))
    assert float(drawn.mean()) == pytest.approx(2.0, abs=0.01)
    assert float(drawn.var()) == pytest.approx(float(torch.tensor(-2.0).exp()), rel=0.02)


def test_occupied_pixels_are_dark_whatever_the_field():
    network = Autoencoder(width=8, blocks=1, occupancy=True)
    with torch.no_grad():
        network.decoder[-1].bias[1] = 30.0
        made = network.decode(torch.randn(1, 3, 8, 8))
    torch.testing.assert_close(made, torch.full_like(made, -1.0), atol=1e-3, rtol=0)
    plain = Autoencoder(width=8, blocks=1)
    assert count(network) == count(plain) + 8 * 9 + 1
