"""Metrics: persistence fed through them is persistence; sums reproduce brute force."""

import numpy as np
import pytest
import torch

from multitrack import metrics
from multitrack.state import states
from multitrack.timeline import sample


def row_of(said: np.ndarray, true: np.ndarray, sizes=None, score=None) -> np.ndarray:
    true = torch.from_numpy(true)
    said = torch.from_numpy(np.ascontiguousarray(said))
    sizes = torch.from_numpy(sizes) if sizes is not None else torch.zeros(*true.shape[:2], 2)
    score = score if score is not None else torch.ones(true.shape[:2], dtype=torch.bool)
    canvas = torch.tensor([1920.0, 1080.0])
    return metrics.row(said, true, score, sizes, canvas, said[..., 0]).numpy()


def test_the_truth_scores_perfectly(edit):
    frames = sample(edit[0])
    found = metrics.metrics(row_of(frames.values, frames.values, frames.sizes))
    for name in ("active_f1", "asset_accuracy", "iou", "boundary_f1_0", "onset_f1_2", "recall"):
        assert found[name] == pytest.approx(1), name
    for name in ("scale_mae", "position_mae", "crop_mae", "active_error", "jitter", "brier"):
        assert found[name] == pytest.approx(0, abs=1e-9), name


def test_persistence_scores_what_a_brute_force_count_says(edit):
    values, horizon = sample(edit[0]).values, 10
    past = states(values).carried[:-horizon]
    true = values[horizon:]
    found = metrics.metrics(row_of(past, true))
    on, yes = true[..., 0] > 0, past[..., 0] > 0
    f1 = [2 * (on & yes)[:, k].sum() / (on[:, k].sum() + yes[:, k].sum())
          for k in range(20) if on[:, k].any()]  # fmt: skip
    assert found["active_f1"] == pytest.approx(np.mean(f1))
    assert found["active_error"] == pytest.approx((on != yes).mean())
    assert found["scale_mae"] == pytest.approx(np.abs(past - true)[on][:, 2].mean(), rel=1e-5)
    error = np.abs(past - true)[on][:, 3:5] * (1920, 1080)
    assert found["position_mae"] == pytest.approx(error.mean(), rel=1e-5)
    assert found["crop_mae"] == pytest.approx(np.abs(past - true)[on][:, 5:].mean(), rel=1e-5)
    assert found["asset_accuracy"] == pytest.approx((past[..., 1] == true[..., 1])[on].mean())
    assert found["jitter"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("delay", "tolerance", "right"), [(0, 0, 1), (2, 2, 1), (3, 2, 0), (1, 0, 0)]
)
def test_boundaries_match_one_to_one_within_the_tolerance(delay, tolerance, right):
    said, true = torch.tensor([10 + delay, 50 + delay]), torch.tensor([10, 50])
    assert metrics.matches(said, true, tolerance) == 2 * right
    assert metrics.matches(torch.tensor([9, 10, 11]), torch.tensor([10]), 2) == 1


def test_only_scored_cells_count(edit):
    values = sample(edit[0]).values
    wrong = values.copy()
    wrong[100:, :, 0] = 1 - wrong[100:, :, 0]
    score = torch.zeros(values.shape[:2], dtype=torch.bool)
    score[:100] = True
    found = metrics.metrics(row_of(wrong, values, score=score))
    assert found["active_error"] == 0
    assert found["boundary_f1_0"] == pytest.approx(1)


def test_sums_of_tracks_reproduce_the_whole(edit):
    values = sample(edit[0]).values
    said = np.roll(values, 7, 0)
    sums = row_of(said, values)
    on, yes = values[..., 0] > 0, said[..., 0] > 0
    for key, cells in (("tp", on & yes), ("fp", ~on & yes), ("fn", on & ~yes)):
        np.testing.assert_array_equal(metrics.pick(sums, key), cells.sum(0))
        assert metrics.pick(sums, key).sum() == cells.sum()


def test_a_bootstrap_is_paired_and_holds_the_estimate(edit):
    values = sample(edit[0]).values
    rows = np.stack(
        [[row_of(np.roll(values, shift, 0), values) for shift in (k, k + 5)] for k in (1, 4, 8, 11)]
    )
    draws = metrics.bootstrap(rows, draws=200)["active_f1"]
    estimate = metrics.metrics(rows.sum(0))["active_f1"]
    low, high = np.percentile(draws[:, 0], (2.5, 97.5))
    assert low <= estimate[0] <= high
    assert (draws[:, 0] > draws[:, 1]).all()  # 5 frames earlier is better in every resample


def test_scores_gather_rows_as_a_torchmetric(edit):
    values = sample(edit[0]).values
    scores = metrics.EditScores(("model", "other"))
    row = torch.from_numpy(row_of(values, values))
    scores.update(torch.stack([row, row]))
    scores.update(torch.stack([row, row]))
    assert scores.rows().shape == (2, 2, len(row))
    assert scores.compute()["other"]["active_f1"] == pytest.approx(1)
