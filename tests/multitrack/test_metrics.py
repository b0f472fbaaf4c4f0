"""Metrics: persistence fed through them is persistence; sums reproduce brute force."""

import numpy as np
import pytest
import torch

from multitrack import metrics
from multitrack.edit.state import clip_ages, states
from multitrack.edit.timeline import sample
from multitrack.intervals import bootstrap
from multitrack.rows import Truth, matches, row


def row_of(
    said: np.ndarray, true: np.ndarray, sizes=None, score=None, horizon: int = 0, rules=None
) -> np.ndarray:
    cells = true.shape[:2]
    sizes = np.zeros((*cells, 2), np.float32) if sizes is None else sizes
    score = np.ones(cells, bool) if score is None else score
    canvas, age = np.array([1920, 1080], np.float32), np.full(cells, horizon)
    rules = np.zeros((*cells, 2), np.int8) if rules is None else rules
    truth = Truth(true, score, sizes, canvas, clip_ages(true), age, rules)
    return row(said, said[..., 0], truth)


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
    assert matches([10 + delay, 50 + delay], [10, 50], tolerance) == [10, 50] * right
    assert matches([9, 10, 11], [10], 2) == [10]


def test_running_clips_alone_count_as_running():
    """One clip of frames 5 to 20 that grows by 1 % a frame, told from 4 frames ago."""
    true = np.zeros((25, 20, 9), np.float32)
    true[5:20, 3, 0], true[5:20, 3, 2] = 1, np.arange(15)
    said = true.copy()
    said[5:9, 3, 2] += 7  # while it is too young to have been seen
    said[9:20, 3, 2] += 2
    found = metrics.metrics(row_of(said, true, horizon=4))
    assert found["scale_running_mae"] == pytest.approx(2)
    assert found["scale_moving_mae"] == pytest.approx((7 * 3 + 2 * 11) / 14)
    assert np.isnan(found["position_running_mae"])


def test_recall_is_told_by_rule(edit):
    timeline, _, about = edit
    values = sample(timeline).values
    rules = np.zeros((*values.shape[:2], 2), np.int8)
    clips = [clip for clip in about["rules"] if clip["rule"] == "R8" and clip["from"] > 0]
    for clip in clips:
        rules[clip["from"], clip["track"], 0] = metrics.RULES.index("R8") + 1
    said = values.copy()
    said[:, clips[0]["track"], 0] = 0
    lost = sum(clip["track"] == clips[0]["track"] for clip in clips)
    found = metrics.metrics(row_of(said, values, rules=rules))
    assert found["onset_recall_R8"] == pytest.approx(1 - lost / len(clips))
    assert np.isnan(found["offset_recall_R8"])
    assert np.isnan(found["onset_recall_R3"])


def test_only_scored_cells_count(edit):
    values = sample(edit[0]).values
    wrong = values.copy()
    wrong[100:, :, 0] = 1 - wrong[100:, :, 0]
    score = np.zeros(values.shape[:2], bool)
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
    draws = bootstrap(rows, draws=200)["active_f1"]
    estimate = metrics.metrics(rows.sum(0))["active_f1"]
    low, high = np.percentile(draws[:, 0], (2.5, 97.5))
    assert low <= estimate[0] <= high
    assert (draws[:, 0] > draws[:, 1]).all()  # 5 frames earlier is better in every resample


def test_scores_gather_rows_as_a_torchmetric(edit):
    values = sample(edit[0]).values
    scores = metrics.EditScores(("model", "other"))
    sums = torch.from_numpy(row_of(values, values))
    scores.update(torch.zeros(0, 2, len(sums)))
    scores.update(torch.stack([sums, sums])[None])
    scores.update(torch.stack([sums, sums])[None])
    assert scores.rows().shape == (2, 2, len(sums))
    assert scores.compute()["other"]["active_f1"] == pytest.approx(1)
