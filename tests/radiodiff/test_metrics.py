"""Metrics agree with other people's code and do not mind which way up a map is."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure as reference_ms_ssim,
)

from radiodiff import metrics
from radiodiff.data import turn


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 1, 48, 48, generator=draws)
    maps = torch.nn.functional.avg_pool2d(maps, 5, 1, 2)
    return (maps + 0.05 * torch.randn(maps.shape, generator=draws)).clamp(0, 1), maps


def test_psnr_and_ssim_equal_scikit_image(pair):
    made, maps = pair
    for k in range(2):
        a, b = (x[k, 0].double().numpy() for x in (maps, made))
        expected = structural_similarity(
            a, b, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert float(metrics.ssim(made, maps)[k]) == pytest.approx(expected, abs=1e-6)
        expected = peak_signal_noise_ratio(a, b, data_range=1.0)
        assert float(metrics.psnr(made, maps)[k]) == pytest.approx(expected, abs=1e-4)
        expected = ((a - b) ** 2).sum() / (a**2).sum()
        assert float(metrics.nmse(made, maps)[k]) == pytest.approx(expected, rel=1e-5)


def test_ms_ssim_is_near_torchmetrics():
    """It pads and we do not, hence the tolerance."""
    draws = torch.Generator().manual_seed(0)
    maps = torch.nn.functional.avg_pool2d(torch.rand(1, 1, 256, 256, generator=draws), 9, 1, 4)
    made = (maps + 0.03 * torch.randn(maps.shape, generator=draws)).clamp(0, 1)
    expected = reference_ms_ssim(made, maps, data_range=1.0)
    assert float(metrics.ms_ssim(made, maps)[0]) == pytest.approx(float(expected), abs=0.01)


def test_perfect_is_perfect(pair):
    _, maps = pair
    buildings = torch.zeros_like(maps, dtype=torch.bool)
    found = metrics.compare(maps, maps, buildings, ~buildings)
    assert all(float(found[name].abs().max()) == 0 for name in ("l1", "rmse_db", "nmse"))
    assert float(found["psnr"].min()) == pytest.approx(100)
    assert float(found["ssim"].min()) == pytest.approx(1)
    assert bool(found["rmse_db_building"].isnan().all())


def test_what_is_blurred_is_less_sharp_and_an_even_map_has_no_sharpness(pair):
    _, maps = pair
    free = torch.zeros_like(maps, dtype=torch.bool)
    blurred = torch.nn.functional.avg_pool2d(maps, 3, 1, 1)
    found = metrics.compare(
        torch.cat([maps, blurred]), maps.repeat(2, 1, 1, 1), *2 * [free.repeat(2, 1, 1, 1)]
    )
    assert found["sharpness"][:2].tolist() == [1, 1]
    assert float(found["sharpness"][2:].max()) < 0.9
    assert float(found["edge_rmse"][:2].max()) == 0 < float(found["edge_rmse"][2:].min())
    even = torch.full_like(maps, 0.5)
    assert bool(metrics.compare(maps, even, free, ~free)["sharpness"].isnan().all())


def test_parts_make_the_whole(pair):
    made, maps = pair
    draws = torch.Generator().manual_seed(1)
    buildings, sight = (torch.rand(maps.shape, generator=draws) > 0.6 for _ in range(2))
    found = metrics.compare(made, maps, buildings, sight)
    masks = {"sight": sight & ~buildings, "shadow": ~sight & ~buildings, "building": buildings}
    whole = sum(
        found[f"rmse_db_{n}"] ** 2 * mask.float().mean((1, 2, 3)) for n, mask in masks.items()
    )
    torch.testing.assert_close(whole.sqrt(), found["rmse_db"])


@pytest.mark.parametrize("which", range(8))
def test_symmetries_commute_with_the_metrics(pair, which: int):
    made, maps = pair
    buildings, sight = maps > 0.52, maps < 0.47
    straight = metrics.compare(made, maps, buildings, sight)
    turned = metrics.compare(
        *(torch.from_numpy(turn(x.numpy(), which).copy()) for x in (made, maps, buildings, sight))
    )
    for name, value in straight.items():
        torch.testing.assert_close(turned[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_eight_symmetries_differ():
    array = np.arange(9).reshape(3, 3)
    assert len({turn(array, k).tobytes() for k in range(8)}) == 8


def test_edges_are_within_three_pixels():
    buildings = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    buildings[..., 16:] = True
    found = metrics.edges(buildings)[0, 0, 8].nonzero().flatten().tolist()
    assert found == [13, 14, 15, 16, 17, 18]


def test_table_averages_cities_and_covers_the_mean():
    torch.manual_seed(0)
    table = metrics.Table(("x",))
    cities = torch.arange(40).repeat_interleave(3)
    values = torch.randn(120) + cities / 10
    table.update({"x": values}, cities)
    means, intervals = table.compute()
    low, high = intervals["x"]
    assert float(means["x"]) == pytest.approx(float(values.mean()), abs=1e-5)
    error = float(values.reshape(40, 3).mean(1).std() / 40**0.5)
    assert float(high - low) == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_table_leaves_out_what_a_map_has_not():
    table = metrics.Table(("x",))
    table.update({"x": torch.tensor([1.0, torch.nan, 3.0])}, torch.tensor([0, 0, 1]))
    means, _ = table.compute()
    assert float(means["x"]) == 2


def test_one_city_has_no_interval():
    table = metrics.Table(("x",))
    table.update({"x": torch.tensor([1.0, 2.0])}, torch.tensor([5, 5]))
    low, _ = table.compute()[1]["x"]
    assert bool(low.isnan())


def test_latent_health_of_known_latents():
    torch.manual_seed(0)
    health = metrics.LatentHealth(2)
    mean = torch.randn(4, 2, 64, 64) * torch.tensor([2.0, 0.01])[:, None, None] + 1.0
    health.update(mean, torch.full_like(mean, 0.5), 4 * 256 * 256)
    found = health.compute()
    torch.testing.assert_close(found["std"].float(), torch.tensor([2.0, 0.01]), rtol=0.03, atol=0.0)
    assert float(found["active"]) == 0.5
    assert float(found["nats_per_dim"]) == pytest.approx(0.5)
    assert float(found["bits_per_pixel"]) == pytest.approx(2 * 0.5 / 16 / np.log(2))


def test_a_dark_map_has_no_nmse_and_decides_nothing():
    maps = torch.rand(3, 1, 32, 32)
    maps[1] = 0
    found = metrics.nmse(maps + 0.1, maps)
    assert found.isnan().tolist() == [False, True, False]
    table = metrics.Table(("nmse",))
    table.update({"nmse": found}, torch.arange(3))
    assert float(table.compute()[0]["nmse"]) < 0.1
