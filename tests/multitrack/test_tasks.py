"""Which frame each cell is told from; augmentations move edits and labels together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitrack.edit.drivers import SMOOTH, listen
from multitrack.edit.state import lengths, since, states
from multitrack.edit.timeline import REST, sample
from multitrack.examples import augment, tasks
from multitrack.examples.tasks import Task


def random_values(seed: int, frames: int = 60, tracks: int = 20) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.empty((frames, tracks, 9), np.float32)
    values[:] = REST
    on = np.repeat(rng.random((frames // 6, tracks)) < 0.5, 6, 0)
    values[on] = np.concatenate(
        [np.ones((on.sum(), 1)), rng.integers(0, 10, (on.sum(), 1)),
         rng.uniform(20, 200, (on.sum(), 1)), rng.normal(0, 0.3, (on.sum(), 2)),
         rng.uniform(0, 50, (on.sum(), 4))], 1)  # fmt: skip
    return values


@pytest.mark.parametrize("horizon", [1, 5, 10, 30])
def test_a_forecast_is_told_from_horizon_frames_ago(horizon):
    values = random_values(0)
    made = tasks.example(states(values), values, None, Task("forecast", horizon), 20, 40)
    past = states(values).carried
    for frame in range(40):
        source = 20 + frame - horizon
        assert (made["age"][frame] == (horizon if source >= 0 else 600)).all()
        expected = past[source] if source >= 0 else np.broadcast_to(np.float32(REST), (20, 9))
        np.testing.assert_array_equal(made["past"][frame], expected)
    np.testing.assert_array_equal(made["target"], values[20:60])


def test_identity_holds_the_answer_and_generation_nothing():
    values = random_values(1)
    made = tasks.example(states(values), values, None, Task("identity"), 5, 50)
    on = values[5:55, :, 0] > 0
    np.testing.assert_array_equal(made["past"][on], values[5:55][on])
    hearing = listen(np.ones((60, 11), np.float32))
    made = tasks.example(states(values), values, hearing, Task("generate", 0, True), 5, 50)
    assert not made["known"].any()
    assert (made["past"] == np.float32(REST)).all()
    assert not made["counters"].any()
    assert (made["drivers"][:, -1] == 1).all()


def test_an_infill_shows_no_hidden_cell():
    values = random_values(2)
    rng = np.random.default_rng(0)
    hidden = tasks.blocks(rng, 50, 20)
    task = Task("infill")
    one = tasks.example(states(values), values, None, task, 5, 50, hidden)
    changed = values.copy()
    changed[5:55][hidden] = random_values(3)[5:55][hidden]
    two = tasks.example(states(changed), changed, None, task, 5, 50, hidden)
    assert hidden.any()
    for key in set(one) - {"target", "clip_age"}:
        np.testing.assert_array_equal(one[key], two[key])
    np.testing.assert_array_equal(one["score"], hidden)


def test_a_window_beyond_the_end_is_told_from_the_last_frame():
    values = random_values(4)
    made = tasks.example(states(values), values, None, Task("forecast", 5), 40, 40)
    assert made["score"][:20].all()
    assert not made["score"][20:].any()
    np.testing.assert_array_equal(made["past"][39], states(values).carried[59])
    assert (made["age"][39] == 79 - 59).all()


def test_counted_times_are_counted():
    starts = np.zeros((12, 1), bool)
    starts[[0, 3, 8], 0] = True
    kind = np.zeros((12, 1), bool)
    kind[3:8] = True
    one, two = lengths(starts, kind, np.array([False]))
    assert one[:, 0].tolist() == [0] * 8 + [5] * 4
    assert not two.any()
    one, two = lengths(starts, np.ones_like(kind), np.array([True]))
    assert one[:, 0].tolist() == [0] * 3 + [3] * 5 + [5] * 4
    assert two[:, 0].tolist() == [0] * 8 + [3] * 4
    assert since(starts)[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 0, 1, 2, 3]


def test_a_track_settles_where_its_last_clip_ended():
    values = np.broadcast_to(np.float32(REST), (30, 2, 9)).copy()
    values[4:10, 0, 0], values[4:10, 0, 2] = 1, np.arange(50, 56)
    values[20:25, 0, 0], values[20:25, 0, 2] = 1, 70
    settled = states(values).settled
    assert not settled[:10].any()
    assert (settled[10:25, 0, 0] == 55).all()
    assert (settled[25:, 0, 0] == 70).all()
    assert (settled[10:, 0, 7] == 1).all()
    assert not settled[:, 1].any()


def test_a_new_turn_recalls_what_its_speaker_had_before():
    """Speaker 0 has the floor in [0, 20) and [40, 60), speaker 1 between; the track shows who."""
    signals = np.zeros((60, 11), np.float32)
    signals[:20, 0] = signals[40:, 0] = signals[20:40, 1] = 1
    values = random_values(5)
    hearing = listen(signals)
    made = tasks.example(states(values), values, hearing, Task("forecast", 5, True), 0, 60)
    known = made["recalled"][..., 9].all(1)
    assert not known[:40].any()  # nobody has had a turn before this one
    assert known[40:].all()
    np.testing.assert_array_equal(made["recalled"][50, :, :9], states(values).carried[19])


def test_the_face_has_moved_as_its_smoothed_path_has():
    signals = np.zeros((40, 11), np.float32)
    signals[10:, 9] = 1
    values = random_values(6)[:40]
    made = tasks.example(states(values), values, listen(signals), Task("forecast", 5, True), 0, 40)
    moved = made["moved"][:, 0, 0]  # (S, R) of x
    assert not moved[:10].any()
    np.testing.assert_allclose(moved[12], 1 - (1 - np.array(SMOOTH)) ** 3, rtol=1e-5)
    assert (made["moved"][:, 0, 1] == 0).all()


@given(st.integers(0, 1000), st.integers(-5, 5))
def test_jitter_by_k_moves_boundaries_by_k(seed, shift):
    values = random_values(seed)
    moved = augment.jitter(values, np.full(20, shift))
    span = slice(max(0, shift), len(values) + min(0, shift))
    source = slice(max(0, -shift), len(values) - max(0, shift))
    np.testing.assert_array_equal(moved[span], values[source])


@given(st.integers(0, 1000))
def test_mirror_maps_x_to_minus_x_and_swaps_the_crops(seed):
    values = random_values(seed)
    mirrored = augment.mirror(values)
    np.testing.assert_array_equal(mirrored[..., 3], -values[..., 3])
    np.testing.assert_array_equal(mirrored[..., 5], values[..., 6])
    np.testing.assert_array_equal(mirrored[..., 6], values[..., 5])
    np.testing.assert_array_equal(
        mirrored[..., [0, 1, 2, 4, 7, 8]], values[..., [0, 1, 2, 4, 7, 8]]
    )
    np.testing.assert_array_equal(augment.mirror(mirrored), values)


@given(st.integers(0, 1000))
def test_noise_never_touches_inactive_cells_nor_activity(seed):
    values = random_values(seed)
    noisy = augment.noise(values, np.random.default_rng(seed))
    off = values[..., 0] == 0
    np.testing.assert_array_equal(noisy[off], values[off])
    np.testing.assert_array_equal(noisy[..., :2], values[..., :2])
    assert not np.array_equal(noisy[~off], values[~off])
    ratio = noisy[..., 2][~off] / values[..., 2][~off]
    assert np.abs(ratio - 1).max() <= 0.0501


def test_lost_tracks_are_empty_and_the_lowest_is_never_lost(edit):
    values = sample(edit[0]).values
    rng = np.random.default_rng(0)
    lost = augment.drop_tracks(values, rng, 1.0)
    np.testing.assert_array_equal(lost[:, 0], values[:, 0])
    assert (lost[:, 1:] == np.float32(REST)).all()
