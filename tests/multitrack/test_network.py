"""Laws of the models: persistence untrained, no look ahead, tracks of their own, exact sizes."""

import numpy as np
import pytest
import torch

from multitrack.edit.drivers import HEARD, listen
from multitrack.edit.state import states
from multitrack.edit.timeline import sample
from multitrack.examples import tasks
from multitrack.examples.moments import DRIVEN, WIDTH
from multitrack.examples.tasks import Task
from multitrack.infer import quantise, weight_bytes
from multitrack.networks.additive import AdditiveTransformer
from multitrack.networks.cell import PRESETS, TrackTransformer
from multitrack.networks.hazard import REACH, CutHead, habitual

SMALL = {"width": 32, "layers": 2, "heads": 2, "feedforward": 64, "cell": 16}


def batch_of(edit, task: Task, start: int = 60, frames: int = 100, hidden=None) -> dict:
    timeline, drivers, _ = edit
    values, hearing = sample(timeline).values, listen(drivers)
    made = tasks.example(states(values, hearing.ago), values, hearing, task, start, frames, hidden)
    return {k: torch.from_numpy(np.ascontiguousarray(v))[None] for k, v in made.items()}


def trained_like(network: torch.nn.Module) -> torch.nn.Module:
    """With random weights everywhere, where an untrained one says nothing of its own."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network.eval()


@pytest.mark.parametrize(
    "task",
    [
        *(Task("forecast", horizon, driven) for horizon in (1, 10, 30) for driven in (False, True)),
        Task("generate", 0, True),
        Task("identity"),
    ],
)
def test_untrained_the_model_is_persistence_exactly(edit, task):
    batch = batch_of(edit, task)
    with torch.no_grad():
        output = TrackTransformer(**SMALL)(batch)
    past = batch["past"]
    assert torch.equal(output["values"], past[..., 2:])
    assert torch.equal(output["active"].argmax(-1).float(), past[..., 0])
    assert torch.equal(output["asset"].argmax(-1).float(), past[..., 1])


def test_a_later_frame_changes_nothing_before_it(edit):
    network = trained_like(TrackTransformer(**SMALL))
    batch = batch_of(edit, Task("forecast", 10, True))
    with torch.no_grad():
        before = network(batch)
        for at in (1, 50, 99):
            other = {key: value.clone() for key, value in batch.items()}
            for key in ("past", "velocity", "counters", "lags", "drivers", "settled", "recalled"):
                other[key][:, at] = other[key][:, at].flip(-1) * 0 + 1
            after = network(other)
            for key in before:
                assert torch.equal(before[key][:, :at], after[key][:, :at])
                assert not torch.equal(before[key][:, at:], after[key][:, at:])


def test_states_know_nothing_of_later_frames(edit):
    values = sample(edit[0]).values
    ago = listen(edit[1]).ago
    whole, part = states(values, ago), states(values[:200], ago[:200])
    for name in ("carried", "counters", "velocity", "settled", "lags"):
        np.testing.assert_array_equal(getattr(whole, name)[:200], getattr(part, name))


@pytest.mark.parametrize("horizon", [1, 10])
def test_what_a_frame_is_told_from_knows_nothing_later(edit, horizon):
    """Neither of the edit after `horizon` frames ago, nor of the recording after now."""
    now, task = 150, Task("forecast", horizon, True)
    whole = batch_of(edit, task, now - 99)
    values, drivers = sample(edit[0]).values.copy(), edit[1].copy()
    values[now + 1 - horizon :] = np.roll(values, 7, 1)[now + 1 - horizon :]
    drivers[now + 1 :] = 1 - drivers[now + 1 :]
    hearing = listen(drivers)
    made = tasks.example(states(values, hearing.ago), values, hearing, task, now - 99, 100)
    for key in set(made) - {"target", "clip_age", "score"}:
        np.testing.assert_array_equal(whole[key][0], made[key], err_msg=key)


def test_tracks_have_lives_of_their_own_unlike_in_the_published_wiring(edit):
    batch = batch_of(edit, Task("forecast", 10))
    batch["past"] = torch.rand_like(batch["past"])
    batch["past"][..., :2] = batch["past"][..., :2].round()
    with torch.no_grad():
        ours = trained_like(TrackTransformer(**SMALL))(batch)["active"][0]  # (S, K, 2)
        theirs = AdditiveTransformer().eval()(batch)["active"][0]
    assert (ours[:, 3] - ours[:, 7]).std(0).min() > 1e-3
    assert (theirs[:, 3] - theirs[:, 7]).std(0).max() < 1e-5
    assert theirs.std(0).min() > 1e-2


def test_a_head_that_is_not_heeded_says_what_the_habits_do_where_somebody_has_the_floor():
    head = trained_like(CutHead()).eval()
    moments = torch.rand(2, 50, WIDTH)
    moments[0, :, DRIVEN], moments[1, :, DRIVEN] = 1, 0
    foretold = habitual(moments).logit()
    with torch.no_grad():
        torch.testing.assert_close(head(moments)[0], foretold[0])
        assert not torch.allclose(head(moments)[1], foretold[1])
        head.heeded.fill_(1)
        change = head(moments) - foretold
    assert 0 < change[0].abs().max() <= REACH + 1e-5
    torch.testing.assert_close(head(moments), head(moments, 1.0))


def test_the_published_model_has_2230547_parameters_and_ours_about_as_many():
    assert sum(p.numel() for p in AdditiveTransformer().parameters()) == 2_230_547
    sizes = {name: sum(p.numel() for p in TrackTransformer(**preset).parameters())
             for name, preset in PRESETS.items()}  # fmt: skip
    assert 2.0e6 < sizes["small"] < 2.8e6 < sizes["base"] < sizes["large"]


def test_int8_says_nearly_the_same_in_a_third_of_the_bytes(edit):
    network = trained_like(TrackTransformer())
    small = quantise(network)
    batch = batch_of(edit, Task("forecast", 10))
    with torch.no_grad():
        one, two = network(batch), small(batch)
    assert weight_bytes(small) < 0.35 * weight_bytes(network)
    spread = one["active"].std()
    assert (one["active"] - two["active"]).abs().mean() < 0.05 * spread
    assert (one["values"] - two["values"]).abs().mean() < 0.05 * one["values"].std()


def test_steps_are_no_slower_than_the_published_model():
    """CPU time of forward and backward on one thread, 16 windows of 100 frames; best of three."""
    import time

    batch = {
        "past": torch.rand(16, 100, 20, 9).round(), "known": torch.ones(16, 100, 20),
        "age": torch.ones(16, 100, 20), "velocity": torch.rand(16, 100, 20, 7),
        "counters": torch.rand(16, 100, 20, 13), "after": torch.zeros(16, 100, 20, 10),
        "drivers": torch.zeros(16, 100, HEARD + 1), "lags": torch.ones(16, 100, 20, 4, 4),
        "ago": torch.ones(16, 100, 4), "settled": torch.rand(16, 100, 20, 8),
        "recalled": torch.rand(16, 100, 20, 10), "moved": torch.rand(16, 100, 20, 2, 3),
    }  # fmt: skip
    best = {}
    for network in (TrackTransformer(), AdditiveTransformer()):
        spent = []
        for _ in range(3):
            started = time.process_time()
            sum(v.mean() for v in network(batch).values()).backward()
            spent.append(time.process_time() - started)
        best[type(network)] = min(spent)
    assert best[TrackTransformer] <= best[AdditiveTransformer]
