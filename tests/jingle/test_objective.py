"""Laws of what a batch asks: a piece is turned down where its songs' mix was."""

import pytest
import torch

from jingle import objective
from jingle.networks import loudness
from jingle.networks.generator import Made

DOWN = torch.tensor([1.0, 0.7, 0.2])[:, None, None]


@pytest.fixture
def songs() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], torch.Tensor]:
    """What is seen of songs whose HPSS mix was turned down; their levels; the parts' sum."""
    generator = torch.Generator().manual_seed(0)
    drums, chords = torch.randn(2, len(DOWN), 128, 40, generator=generator)
    a, b = -30 + 20 * torch.rand(2, len(DOWN), 5, generator=generator)
    gains = loudness.of_separated(a, b)
    plain = gains[0] * drums + gains[1] * chords
    seen = {"input_hpss": drums, "target_hpss": chords, "hpss_mix": DOWN * plain}
    return seen, {"input_levels": a[:, :, None], "target_levels": b[:, :, None]}, plain


def made(piece: torch.Tensor, done: float) -> Made:
    return Made([piece], (piece, piece), {}, torch.ones(3, 2), torch.full((3, 1, 1), done))


def test_latents_tell_by_how_much_a_mix_was_turned_down(songs):
    _, _, plain = songs
    torch.testing.assert_close(objective.turned_down(plain, DOWN * plain), DOWN)
    assert objective.turned_down(plain, 1.3 * plain).flatten().tolist() == [1.0] * 3
    for unlike in (torch.randn(3, 128, 40), torch.zeros(3, 128, 40)):
        assert objective.turned_down(plain, unlike).flatten().tolist() == [1.0] * 3


def test_what_is_changed_is_turned_down_as_the_mix_is(songs):
    seen, levels, plain = songs
    piece = plain + torch.randn(3, 128, 40)
    found = objective.anchored(made(piece, 1.0), seen, levels)
    torch.testing.assert_close(found.outputs[0], DOWN * piece)


def test_where_nothing_is_changed_the_piece_is_the_mix_itself(songs):
    seen, levels, plain = songs
    seen["hpss_mix"] = seen["hpss_mix"] + 0.05 * torch.randn(3, 128, 40)  # the codec's errors
    for more in (torch.zeros(()), torch.randn(3, 128, 40)):  # what a stage adds
        found = objective.anchored(made(plain + more, 0.0), seen, levels)
        down = objective.turned_down(plain, seen["hpss_mix"])
        torch.testing.assert_close(found.outputs[0], seen["hpss_mix"] + down * more)


@pytest.mark.parametrize("lacking", ["input_hpss", "input_levels"])
def test_where_the_mix_cannot_be_compared_a_piece_stays_as_it_is(songs, lacking):
    seen, levels, plain = songs
    seen.pop(lacking, None), levels.pop(lacking, None)
    piece = made(plain, 0.0)
    assert objective.anchored(piece, seen, levels) is piece
