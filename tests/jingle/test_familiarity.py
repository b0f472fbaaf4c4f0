"""Laws of familiarity: whom an agent is trusted with, and that what is not trusted is not done."""

import pytest
import torch

from jingle.networks.composition import Decomposition, Recomposition
from jingle.networks.familiarity import FAR, Familiarity, features
from jingle.networks.generator import Generator

SIZES = {
    "compositional": {"width": 16, "depth": 1},
    "recomposition": {"widths": [8], "depth": 1},
}


def kind(count: int, seed: int, *, tilt: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Songs (count, 128, 60) with a spectrum of their kind, and their percussive parts."""
    draw = torch.Generator().manual_seed(seed)
    loud = torch.exp(tilt * torch.linspace(0, 1, 128) + 0.2 * torch.randn(128, generator=draw))
    each = torch.exp(0.2 * torch.randn(count, 16, 1, generator=draw)).repeat_interleave(8, 1)
    song = loud[:, None] * each * torch.randn(count, 128, 60, generator=draw)
    beat = (torch.arange(60) % 12 < 3).float()
    return song, (0.1 + 0.6 * beat) * song


@pytest.fixture(scope="module")
def familiar() -> Familiarity:
    made = Familiarity()
    made.measured(features(*kind(60, 0)))
    return made


def test_songs_of_its_kind_are_trusted_and_others_are_not(familiar):
    song, percussive = kind(80, 0)
    known = familiar(song[60:], percussive[60:])
    assert known.shape == (20, 1, 1)
    assert known.mean() > 0.9
    assert familiar(*kind(20, 1, tilt=4.0)).max() == 0


def test_trust_falls_with_distance_and_does_not_ask_how_loud_a_song_is(familiar):
    song, percussive = kind(20, 0, tilt=0.0)
    near = familiar.distance(song, percussive)
    torch.testing.assert_close(
        familiar.distance(0.2 * song, 0.2 * percussive), near, rtol=1e-2, atol=0
    )
    further = familiar.distance(song, 0.02 * percussive)
    assert (further > near).all()
    share = familiar(song, 0.02 * percussive)[:, 0, 0]
    torch.testing.assert_close(share, ((FAR - further) / (FAR - 1)).clamp(0, 1))


def test_where_nothing_was_measured_all_is_trusted():
    assert Familiarity()(*kind(3, 0)).min() == 1
    few = Familiarity()
    few.measured(features(*kind(4, 0)))
    assert few(*kind(3, 1, tilt=4.0)).min() == 1


def test_an_agent_leaves_unfamiliar_songs_to_hpss_but_not_in_training(familiar):
    model = Generator("compositional", "auto", SIZES)
    torch.nn.init.normal_(model.agent.write.weight, std=0.3)
    torch.nn.init.normal_(model.cascade.stages[0].write.weight, std=0.3)
    model.familiarity = familiar
    (a, p), (b, q) = kind(2, 1, tilt=4.0), kind(2, 2, tilt=4.0)
    made = model.eval()(a, b, (p, b - q))
    assert made.familiarity.max() == 0
    torch.testing.assert_close(made.parts["input_percussive"], p)
    torch.testing.assert_close(made.parts["target_harmonic"], b - q)
    torch.testing.assert_close(made.outputs[-1], made.outputs[0])
    trained = model.train()(a, b, (p, b - q))
    assert not torch.allclose(trained.parts["input_percussive"], p)
    assert not torch.allclose(trained.outputs[-1], trained.outputs[0])


def test_a_share_of_a_change_is_done():
    (a, p), agent = kind(1, 0), Decomposition(width=16, depth=1)
    torch.nn.init.normal_(agent.write.weight, std=0.1)
    none, half, whole = (agent(a, p, share)[0] for share in (0.0, 0.5, 1.0))
    torch.testing.assert_close(none, p)
    torch.testing.assert_close(half, (none + whole) / 2)
    writer = Recomposition(widths=(8,), depth=1)
    torch.nn.init.normal_(writer.stages[0].write.weight, std=0.1)
    first, last = writer(a, a, (p, a - p))
    halved = writer(a, a, (p, a - p), shares=(0.5,))[1]
    torch.testing.assert_close(halved, (first + last) / 2)
