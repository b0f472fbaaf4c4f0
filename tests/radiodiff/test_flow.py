"""The flow in latents: what it leaves alone, what it needs, and whether its intervals cover."""

import json

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from radiodiff.autoencoder.network import Autoencoder
from radiodiff.estimate.fields import CHANNELS
from radiodiff.estimate.flow import LatentFlow
from radiodiff.estimate.intervals import GAUSSIAN, Calibration
from radiodiff.estimate.network import cut
from tests.suite import run

SIZES = {"width": 4, "blocks": 1}


@pytest.fixture(scope="module")
def flow() -> LatentFlow:
    torch.manual_seed(0)
    return LatentFlow(SIZES, widths=(8, 8), groups=4, window=16)


@pytest.fixture
def places() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(2, len(CHANNELS), 36, 44), torch.rand(2, 1, 36, 44)


def test_an_untrained_flow_is_the_autoencoder_of_the_regressed_map(flow, places):
    known, regressed = places
    padded = torch.nn.functional.pad(regressed, (0, 4, 0, 4))
    with torch.no_grad():
        again = flow.decode(flow.encode(padded)).clamp(0, 1)[..., :36, :44]
        torch.testing.assert_close(flow(known, regressed), again)
        draws = flow.draws(known, regressed, 3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(draws, again.expand(3, 2, 1, 36, 44))


def test_who_knows_where_paths_end_gets_there_in_any_number_of_steps(flow, places, monkeypatch):
    known, regressed = places
    whole = torch.nn.functional.pad(regressed, (0, 4, 0, 4))
    with torch.no_grad():
        source, target = flow.encode(whole), flow.encode(whole.flip(-1))
        monkeypatch.setattr(flow, "beyond", lambda *_: target - source)
        there = flow.decode(target).clamp(0, 1)[..., :36, :44]
        for steps in (1, 3, 8):
            monkeypatch.setattr(flow, "steps", steps)
            noise = torch.randn(source.shape)
            torch.testing.assert_close(flow(known, regressed, noise), there, atol=1e-5, rtol=0)


def test_a_flow_that_heeds_where_it_is_draws_several_maps(flow, places, monkeypatch):
    known, regressed = places
    monkeypatch.setattr(flow, "beyond", lambda latents, source, *_: 0.5 * (latents - source))
    with torch.no_grad():
        draws = flow.draws(known, regressed, 3, torch.Generator().manual_seed(0))
    assert float(draws.std(0).mean()) > 1e-4


def test_latents_have_the_moments_that_the_first_stage_measured(flow, places):
    maps = places[1]
    with torch.no_grad():
        plain = flow.autoencoder.encode(2 * maps - 1)[0]
        flow.mean.copy_(plain.mean((0, 2, 3))[:, None, None])
        flow.std.copy_(plain.std((0, 2, 3))[:, None, None])
        latents = flow.encode(maps)
        torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(3), atol=1e-5, rtol=0)
        there = (flow.autoencoder.decode(plain) + 1) / 2
        torch.testing.assert_close(flow.decode(latents), there, atol=1e-5, rtol=1e-4)


def test_windows_are_one_for_all_images_and_lie_at_multiples():
    ramp = torch.arange(36.0 * 44).reshape(1, 1, 36, 44).expand(2, 1, 36, 44)
    starts = set()
    for _ in range(40):
        one, other = cut(16, 4, ramp, ramp[:1])
        assert one.shape == (2, 1, 16, 16)
        assert torch.equal(one[:1], other)
        starts.add(divmod(int(one[0, 0, 0, 0]), 44))
    assert len(starts) > 3
    assert all(y % 4 == x % 4 == 0 for y, x in starts)
    assert cut(40, 4, ramp)[0].shape == (2, 1, 36, 40)  # a side that is shorter stays whole


def test_ends_are_of_a_window_and_the_first_stage_stays(flow, places):
    known, regressed = places
    found, true = flow.ends(known, regressed, regressed)
    assert found.shape == true.shape == (2, 3, 4, 4)
    found.square().mean().backward()
    assert all(p.grad is None for p in flow.autoencoder.parameters())
    assert flow.network.head.weight.grad is not None


def test_intervals_cover_what_they_say():
    torch.manual_seed(1)
    spreads = torch.rand(4, 1, 64, 64) * 0.1 + 0.01
    centre, nowhere = torch.zeros(4, 1, 64, 64), torch.zeros(4, 1, 64, 64, dtype=torch.bool)
    table = Calibration()
    table.update(centre, spreads, 2 * spreads * torch.randn(4, 1, 64, 64), nowhere)
    half, most = table.widths()
    assert (half, most) == pytest.approx([2 * width for width in GAUSSIAN], rel=0.05)
    assert table.coverage((half, most)) == pytest.approx((0.5, 0.9), abs=0.01)
    assert table.coverage(GAUSSIAN)[1] < 0.7  # twice too narrow
    table.reset()
    table.update(centre, spreads, centre + 9.0, ~nowhere)
    assert not table.counts.any()  # buildings are no test of intervals


def test_a_first_stage_of_other_sizes_or_none_is_named(flow, tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        flow.take_first_stage(str(tmp_path))
    other = Autoencoder(width=8, blocks=1)
    state = {f"autoencoder.{name}": value for name, value in other.state_dict().items()}
    file = tmp_path / "best.ckpt"
    torch.save({"state_dict": state, "class": "radiodiff.estimate.module.RadioMapEstimator"}, file)
    with pytest.raises(InputError, match="radiodiff_vae"):
        flow.take_first_stage(str(file))
    sizes = {"network": {"width": 8, "blocks": 1}}
    whole = {"state_dict": state, "class": "radiodiff.module.RadioDiffVAE"}
    torch.save(whole | {"hyper_parameters": sizes}, file)
    with pytest.raises(InputError, match="'width': 8"):
        flow.take_first_stage(str(file))


@pytest.mark.slow
def test_from_two_runs_to_a_flow_and_its_report(tmp_path):
    run(tmp_path / "vae", "+exp=smoke/radiodiff_vae", "test=false")
    run(tmp_path / "map", "+exp=smoke/radio_map", "test=false")
    given = ["+exp=smoke/radio_map_flow", f"init_from={tmp_path / 'map'}"]
    with pytest.raises(InputError, match=r"model\.first_stage"):
        run(tmp_path / "none", *given)
    run(tmp_path / "flow", *given, f"model.first_stage={tmp_path / 'vae'}")
    summary = json.loads((tmp_path / "flow/summary.json").read_text())
    ours, beside = summary["metrics"], summary["baselines"]["regressor"]
    for name in ("nmse", "ssim", "sharpness", "interval_90_coverage", "interval_90_db"):
        assert np.isfinite(ours[f"test/{name}"])
        assert np.isfinite(beside[name])
    before = torch.load(tmp_path / "map/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    after = torch.load(tmp_path / "flow/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    kept = [name for name in before if name.startswith("network.")]
    assert kept
    assert all(torch.equal(before[name], after[name]) for name in kept)
