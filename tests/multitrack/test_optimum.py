"""The floor of the published wiring is a floor: exact where a sum fits, below every sum."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from multitrack import losses
from multitrack.edit.timeline import REST
from multitrack.optimum import additive_optimum, least_entropy, least_squares

SEEDS = st.integers(0, 10_000)


def random_case(seed: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """(F, K) cells that are on, some frames empty, and weights of the frames."""
    rng = np.random.default_rng(seed)
    frames, tracks = int(rng.integers(2, 12)), int(rng.integers(2, 6))
    on = rng.random((frames, tracks)) < 0.6
    on[0] = False
    on[1, 0] = True
    return rng, on, rng.uniform(0.1, 1, frames)


@given(SEEDS)
def test_sums_of_a_frame_and_a_track_are_fitted_exactly(seed):
    rng, on, weight = random_case(seed)
    frames, tracks = on.shape
    z = 30 * rng.normal(size=(frames, 1)) + 30 * rng.normal(size=tracks)
    assert least_squares(z, on, weight) == pytest.approx(0, abs=1e-18 * 30**2 * z.size)


@given(SEEDS)
def test_least_squares_are_those_of_one_dense_system(seed):
    rng, on, weight = random_case(seed)
    frames, tracks = on.shape
    z = rng.normal(size=(frames, tracks))
    frame, track = np.nonzero(on)
    design = np.concatenate([np.eye(frames)[frame], np.eye(tracks)[track]], 1)
    root = np.sqrt(weight[frame])
    solved = np.linalg.lstsq(design * root[:, None], z[on] * root)[0]
    dense = (((design @ solved - z[on]) * root) ** 2).sum()
    assert least_squares(z, on, weight) == pytest.approx(dense, rel=1e-9, abs=1e-12)


@given(SEEDS)
def test_least_entropy_is_that_of_every_frame_fitted_on_its_own(seed):
    """One g a frame, by another solver, gets to the same point and no lower."""
    rng, on, weight = random_case(seed)
    frames, tracks = on.shape
    kind = rng.integers(0, 3, (frames, tracks))
    g = torch.zeros(frames, 1, 3, dtype=torch.float64, requires_grad=True)
    c = torch.zeros(tracks, 3, dtype=torch.float64, requires_grad=True)
    target, share = torch.tensor(kind), torch.tensor(weight)
    solver = torch.optim.LBFGS([g, c], max_iter=300, line_search_fn="strong_wolfe")

    def entropy() -> torch.Tensor:
        solver.zero_grad()
        each = torch.nn.functional.cross_entropy(
            (g + c).flatten(0, 1), target.flatten(), reduction="none"
        )
        loss = (each.view(frames, tracks).sum(1) * share).sum()
        loss.backward()
        return loss

    solver.step(entropy)
    direct, found = float(entropy().detach()), least_entropy(kind, 3, weight)
    assert 0 <= found <= direct + 1e-4
    assert found == pytest.approx(direct, abs=0.01)


@given(SEEDS)
def test_no_constant_of_a_track_is_better(seed):
    rng, on, weight = random_case(seed)
    share = (weight @ on) / weight.sum()
    chances = np.where(on, share, 1 - share)
    constant = -(weight @ np.log(chances)).sum()
    assert 0 <= least_entropy(on.astype(int), 2, weight) <= constant + 1e-6
    z = rng.normal(size=on.shape)
    mean = (weight @ (on * z)) / (weight @ on).clip(1e-9)
    constant = float(weight @ (on * (z - mean) ** 2).sum(1))
    assert 0 <= least_squares(z, on, weight) <= constant + 1e-9


def test_the_five_floors_lie_below_what_a_random_sum_scores():
    """As `losses.published` scores it, an edit at a time; and every track at its own constant."""
    rng = np.random.default_rng(0)
    edits = []
    for frames in (30, 50):
        values = np.broadcast_to(np.float32(REST), (frames, 20, 9)).copy()
        on = rng.random((frames, 20)) < 0.4
        values[on, 0], values[on, 1] = 1, rng.integers(0, 10, on.sum())
        values[on, 2:] += rng.normal(size=(on.sum(), 7))
        edits.append(values)
    mean, std = losses.column_statistics(torch.tensor(np.concatenate(edits)))
    floor = additive_optimum(edits, mean.numpy(), std.numpy())
    assert floor["total"] == pytest.approx(sum(floor[term] for term in losses.TERMS))
    scores = []
    for values in edits:
        target = torch.tensor(values)[None]
        output = {
            "active": torch.randn(len(values), 1, 2) + torch.randn(20, 2),
            "asset": torch.randn(len(values), 1, 10) + torch.randn(20, 10),
            "values": (torch.randn(len(values), 1, 7) + torch.randn(20, 7)) * std + mean,
        }
        output = {key: value[None] for key, value in output.items()}
        score = torch.ones(target.shape[:-1], dtype=torch.bool)
        scores.append(losses.published(output, target, score, mean, std))
    for term in losses.TERMS:
        assert 0 < floor[term] < np.mean([float(s[term]) for s in scores])
