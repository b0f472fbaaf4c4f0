"""Metrics against brute force and closed forms, and their reduction against one big batch."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import stats

from jingle import baselines as trivial
from jingle import metrics


def measured(m: torch.Tensor, n: torch.Tensor) -> dict[str, float]:
    """Every metric of two masks (C, T) on sources of unit noise."""
    generator = torch.Generator().manual_seed(5)
    a, b = torch.randn(2, 1, *m.shape, generator=generator)
    table = metrics.PairTable()
    found = metrics.of_masks(a, b, m[None], n[None])
    table.update(found, torch.tensor([True]), torch.tensor([0]))
    return table.compute()


@pytest.fixture(scope="module")
def baselines() -> dict[str, dict[str, float]]:
    generator = torch.Generator().manual_seed(0)
    masks = trivial.masks(torch.zeros(1, 128, 1200), generator)
    return {name: measured(m[0], n[0]) for name, (m, n) in masks.items()}


@pytest.mark.parametrize(
    ("name", "complementarity", "coverage", "variance", "corrected"),
    [
        ("constant_half", 0.75, 0.0, 0.0, 0.0),
        ("random_bits", 0.75, 0.5, 0.25, 0.0),
        ("static_split", 1.0, 0.0, 0.0, 1.0),
        ("alternation_2s", 1.0, 0.0, 0.25, 1.0),
    ],
)
def test_baselines_have_their_closed_forms(
    baselines, name, complementarity, coverage, variance, corrected
):
    found = baselines[name]
    exact = name != "random_bits"
    near = {"abs": 1e-9 if exact else 5e-3}
    assert found["complementarity"] == pytest.approx(complementarity, **near)
    assert found["coverage_error"] == pytest.approx(coverage, **near)
    assert found["chance_corrected"] == pytest.approx(corrected, abs=1e-9 if exact else 0.02)
    assert found["balance_error"] == pytest.approx(0.0, abs=1e-9 if exact else 0.01)
    unbiased = 1200 / 1199  # the variance is the unbiased one
    for side in ("input", "target"):
        wanted = variance * (unbiased if exact else 1)
        assert found[f"{side}_temporal_variance"] == pytest.approx(
            wanted, abs=1e-6 if exact else 1e-3
        )


def test_what_the_baselines_do_to_the_sources(baselines):
    assert baselines["constant_half"]["no_op_distance"] == pytest.approx(0, abs=1e-6)
    # with half of the energy passed: sqrt(2 - sqrt 2)
    for name in ("random_bits", "static_split", "alternation_2s"):
        assert baselines[name]["no_op_distance"] == pytest.approx(0.7654, abs=0.005)
    assert baselines["alternation_2s"]["dwell"] == pytest.approx(2.0)
    assert baselines["alternation_2s"]["flips"] == pytest.approx(7 / 16)
    assert baselines["static_split"]["dwell"] == pytest.approx(16.0)
    assert baselines["constant_half"]["saturation"] == 0
    assert baselines["static_split"]["saturation"] == 1
    # the published composition: a static split keeps its whole hinge
    assert baselines["static_split"]["mask_reg"] == pytest.approx(0.5)
    assert baselines["constant_half"]["mask_reg"] == pytest.approx(0.75)
    assert baselines["alternation_2s"]["mask_reg"] == pytest.approx(0.0)


def test_mask_metrics_equal_brute_force():
    torch.manual_seed(0)
    m, n = torch.rand(2, 2, 3, 40)
    a, b = torch.randn(2, 2, 3, 40)
    found = metrics.of_masks(a, b, m, n)
    for s in range(2):
        cells = [(float(x), float(y)) for x, y in zip(m[s].flatten(), n[s].flatten(), strict=True)]
        size = len(cells)
        assert found["complementarity"][s] == pytest.approx(1 - sum(x * y for x, y in cells) / size)
        wanted = sum((x + y - 1) ** 2 for x, y in cells) / size
        assert found["coverage_error"][s] == pytest.approx(wanted)
        mean = sum(x for x, _ in cells) / size, sum(y for _, y in cells) / size
        assert found["balance_error"][s] == pytest.approx(max(abs(x - 0.5) for x in mean), abs=1e-6)
        wanted = sum((x < 0.1) + (x > 0.9) + (y < 0.1) + (y > 0.9) for x, y in cells) / 2 / size
        assert found["saturation"][s] == pytest.approx(wanted)
        flips, runs = 0, 0
        for mask in (m[s], n[s]):
            for channel in mask:
                bits = [float(x) > 0.5 for x in channel]
                flips += sum(x != y for x, y in pairwise(bits))
        assert found["flips"][s] == pytest.approx(flips / 6 / (40 / 75))
        runs = [
            3 * 40 / 75 / (3 + sum(int((c[1:] != c[:-1]).sum()) for c in (mask > 0.5)))
            for mask in (m[s], n[s])
        ]
        assert found["dwell"][s] == pytest.approx(sum(runs) / 2)
        passed = [float((x[s] * y[s]).square().sum()) for x, y in ((a, m), (b, n))]
        assert found["energy_share"][s] == pytest.approx(passed[0] / sum(passed))


def test_copying_is_one_for_any_weighted_sum_and_small_for_another_piece():
    torch.manual_seed(0)
    a, b, c = torch.randn(3, 4, 128, 300)
    average = metrics.of_piece((a + b) / 2, a, b, c)
    assert average["copying"] == pytest.approx(torch.ones(4))
    assert average["copying_input"] == pytest.approx(torch.full((4,), 0.5), abs=0.02)
    assert metrics.explained(3 * a - 0.2 * b + 7, a, b) == pytest.approx(torch.ones(4))
    assert metrics.of_piece(c, a, b, c)["copying"].max() < 1e-3
    assert metrics.of_piece(c, a, b, c)["blend_distance"].max() == 0


def test_explained_equals_least_squares():
    torch.manual_seed(0)
    a, b = torch.randn(2, 1, 4, 30)
    piece = 0.3 * a + torch.randn(1, 4, 30)
    x = torch.stack([a.flatten(), b.flatten(), torch.ones(120)], 1)
    residual = piece.flatten() - x @ torch.linalg.lstsq(x, piece.flatten()).solution
    y = piece.flatten() - piece.mean()
    wanted = 1 - residual.square().sum() / y.square().sum()
    assert float(metrics.explained(piece, a, b)) == pytest.approx(float(wanted), abs=1e-5)


def values(samples: int, seed: int) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    a, b, piece, blend = torch.randn(4, samples, 8, 150)
    m = torch.rand(samples, 8, 150)
    found = metrics.of_masks(a, b, m, 1 - m) | metrics.of_piece(piece, a, b, blend)
    index = torch.arange(samples)
    return found, index % 2 == 0, index // 2


def test_a_table_reduced_over_ranks_equals_one_of_the_whole_batch():
    found, matched, pair = values(14, 0)
    whole = metrics.PairTable()
    whole.update(found, matched, pair)
    ranks = [metrics.PairTable(), metrics.PairTable()]
    for table, part in zip(ranks, (slice(0, 9), slice(9, 14)), strict=True):
        own = {name: value[part] for name, value in found.items()}
        table.update(own, matched[part], pair[part])
    merged = metrics.PairTable()
    for name, reduce in merged._reductions.items():
        states = [torch.cat(getattr(table, name)) for table in ranks]
        setattr(merged, name, [reduce(states)])
    merged._update_count = 1
    assert merged.compute() == pytest.approx(whole.compute())


def test_a_table_tells_matched_from_random_pairs_and_gives_errors():
    found, matched, pair = values(12, 1)
    table = metrics.PairTable()
    table.update(found, matched, pair)
    result, distance = table.compute(), found["blend_distance"]
    assert result["blend_distance"] == pytest.approx(float(distance.mean()))
    assert result["matched_blend_distance"] == pytest.approx(float(distance[matched].mean()))
    assert result["random_blend_distance"] == pytest.approx(float(distance[~matched].mean()))
    # both samples of a pair share an input: it is the pairs that are independent
    wanted = float(distance.view(6, 2).mean(1).std()) / math.sqrt(6)
    assert result["blend_distance_se"] == pytest.approx(wanted, rel=1e-4)
    quantile = float(found["balance_error"].quantile(0.95))
    assert result["balance_error_q95"] == pytest.approx(quantile)
    assert "rhythm_f1" not in result


def test_a_lead_is_paired_and_its_interval_is_students():
    """Two pieces that differ by little, on pairs that differ by much: the lead is still sure."""
    torch.manual_seed(3)
    hard = 10 * torch.rand(8)
    theirs = {"blend_distance": hard, "rhythm_f1": hard}
    ours = {"blend_distance": hard - 0.1 + 0.01 * torch.randn(8), "rhythm_f1": hard - 0.1}
    found = metrics.leads(ours, theirs)
    assert found["rhythm_f1_lead"] == pytest.approx(torch.full((8,), -0.1), abs=1e-5)
    table = metrics.PairTable()
    table.update(found, torch.ones(8, dtype=torch.bool), torch.arange(8))
    result, lead = table.compute(), found["blend_distance_lead"]
    reach = stats.t.ppf(0.975, 7) * float(lead.std()) / math.sqrt(8)
    assert result["blend_distance_lead_low"] == pytest.approx(float(lead.mean()) - reach, rel=1e-4)
    assert result["blend_distance_lead_low"] > 0


def test_what_was_not_heard_is_left_out():
    table = metrics.PairTable()
    heard = torch.tensor([0.5, math.nan, 0.7, math.nan])
    table.update({"rhythm_f1": heard}, torch.tensor([True, False] * 2), torch.arange(4))
    assert table.compute()["rhythm_f1"] == pytest.approx(0.6)


def test_gains_of_stages_add_up_to_what_the_last_one_reached():
    torch.manual_seed(4)
    *outputs, blend = torch.randn(4, 5, 8, 20)
    gains = metrics.stage_gains(outputs, blend)
    whole = metrics.blend_distance(outputs[0], blend) - metrics.blend_distance(outputs[2], blend)
    assert gains["stage_1_gain"] + gains["stage_2_gain"] == pytest.approx(whole, abs=1e-6)
    table = metrics.PairTable()
    table.update(gains, torch.ones(5, dtype=torch.bool), torch.arange(5))
    found = table.compute()
    least = min(found["stage_1_gain"], found["stage_2_gain"])
    assert found["stage_gain_least"] == least
