"""Laws of what a batch asks: a piece is turned down where its songs' mix was."""

import pytest
import torch

from jingle import objective
from jingle.networks import loudness
from tests.jingle.training import agent


def batch(down: torch.Tensor) -> dict[str, torch.Tensor]:
    """Raw latents whose HPSS mix was turned down by `down` (B, 1, 1); silence is 0."""
    generator = torch.Generator().manual_seed(0)
    size = len(down)
    drums, chords = torch.randn(2, size, 128, 40, generator=generator)
    a, b = -30 + 20 * torch.rand(2, size, 5, generator=generator)
    gains = loudness.of_separated(a, b)
    mixed = down * (gains[0] * drums + gains[1] * chords)
    levels = {"input_levels": a[:, :, None], "target_levels": b[:, :, None]}
    return {"input_hpss": drums, "target_hpss": chords, "hpss_mix": mixed} | levels


def test_latents_tell_by_how_much_a_mix_was_turned_down():
    down = torch.tensor([1.0, 0.7, 0.2])[:, None, None]
    module = agent({"gan": 0})
    torch.testing.assert_close(objective.turned_down(module, batch(down)), down)


def test_nothing_is_turned_up():
    found = objective.turned_down(agent({"gan": 0}), batch(torch.full((2, 1, 1), 1.3)))
    assert found.flatten().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("lacking", ["hpss_mix", "input_hpss", "input_levels"])
def test_where_it_is_not_known_nothing_is_turned_down(lacking):
    known = batch(torch.full((2, 1, 1), 0.5))
    del known[lacking]
    assert objective.turned_down(agent({"gan": 0}), known) == 1.0
