"""Laws of the compositional agent: masks, loudness, stages, and songs made of parts."""

import pytest
import torch

from jingle import losses
from jingle.networks.composition import MOST, Decomposition, Levels, Recomposition
from jingle.networks.generator import Generator
from jingle.remix import RANGE, remix


def latents(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def clicks_and_tones() -> tuple[torch.Tensor, torch.Tensor]:
    """A part that is broad and short, one that is narrow and lasts, each (1, 128, 300)."""
    clicks, tones = torch.zeros(2, 1, 128, 300)
    clicks[..., ::50] = latents(1, 128, 6)
    tones[:, 5::40] = latents(1, 4, 300, seed=1)
    return clicks, tones


def test_an_untrained_agent_already_tells_clicks_from_tones():
    clicks, tones = clicks_and_tones()
    rhythmic, harmonic = Decomposition(width=16, depth=1).masks(clicks + tones)
    for mask in (rhythmic, harmonic):
        assert mask.min() >= 0
        assert mask.max() <= MOST
    assert rhythmic[clicks != 0].mean() > 2 * harmonic[clicks != 0].mean()
    alone = (tones != 0) & (clicks == 0)
    assert harmonic[alone].mean() > 2 * rhythmic[alone].mean()


def test_each_source_is_taken_apart_by_itself_and_by_the_same_network():
    a, b, other = latents(3, 1, 128, 40)
    agent = Decomposition(width=16, depth=1)
    torch.nn.init.normal_(agent.write.weight, std=0.1)
    m, n = agent(a, b)
    assert torch.equal(agent(a, other)[0], m)
    assert torch.equal(agent(other, b)[1], n)
    assert torch.equal(agent.masks(a)[0], m)
    assert torch.equal(agent.masks(b)[1], n)


def test_parts_come_out_equally_loud_whatever_their_level():
    levels = Levels()
    a, b = latents(2, 3, 128, 300)
    x, y = 0.5 * a, 1.4 * b
    gains = levels(x, y, a, b)
    found = [levels.loudness(gain * z) for gain, z in zip(gains, (x, y), strict=True)]
    wanted = (levels.loudness(a) + levels.loudness(b)) / 2 - 3
    for level in found:
        torch.testing.assert_close(level, wanted, atol=0.02, rtol=0)


@torch.no_grad()
def test_loudness_is_in_decibels_gated_and_weighted():
    levels, z = Levels(), latents(1, 128, 600)
    assert float(levels.loudness(2 * z) - levels.loudness(z)) == pytest.approx(6.02, abs=0.01)
    half = z.clone()
    half[..., 300:] = 0  # silence is no part of a piece's loudness
    assert float(levels.loudness(half)) == pytest.approx(float(levels.loudness(z)), abs=0.5)
    levels.measured(torch.full((128,), 0.01))
    louder = levels.loudness(z)
    levels.measured(torch.full((128,), 0.1))
    assert float(levels.loudness(z) - louder) == pytest.approx(10, abs=0.01)


@torch.no_grad()
def test_a_residue_is_raised_by_12_db_at_most():
    a, b = latents(2, 1, 128, 300)
    gains = Levels()(1e-4 * a, b, a, b)
    assert float(gains[0]) == pytest.approx(10 ** (12 / 20))


def test_untrained_stages_change_nothing_and_each_learns_for_itself():
    a, b = latents(2, 2, 128, 50)
    writer = Recomposition(widths=(8, 8), depth=1)
    masks = torch.full_like(a, 0.7).requires_grad_(), torch.full_like(b, 0.7)
    outputs = writer(a, b, masks)
    assert len(outputs) == 3
    assert all(torch.equal(output, outputs[0]) for output in outputs)
    losses.blend(outputs[2:], latents(2, 128, 50, seed=2)).backward()
    assert masks[0].grad is None  # a later stage cannot make the parts worse for its own good
    assert all(p.grad is None for p in writer.stages[0].parameters())
    assert writer.stages[1].write.weight.grad.abs().sum() > 0


def test_a_generator_gives_the_parts_of_both_sources():
    a, b = latents(2, 2, 128, 40)
    made = Generator("compositional", "auto", {"compositional": {"width": 16, "depth": 1}})(a, b)
    torch.testing.assert_close(made.parts["input_percussive"], made.masks[0] * a)
    torch.testing.assert_close(made.parts["target_harmonic"], made.masks[1] * b)
    assert set(made.parts) == {
        f"{side}_{part}" for side in ("input", "target") for part in ("percussive", "harmonic")
    }
    assert Generator("gate", "auto", {"gate": {"width": 16}})(a, b).parts == {}


def test_parts_weigh_what_they_weigh_in_the_blend():
    truth = {"input_percussive": torch.zeros(2, 3, 4)}
    made = {"input_percussive": torch.ones(2, 3, 4)}
    gains = {"input_percussive": torch.tensor([1.0, 3.0])[:, None, None]}
    assert losses.parts(made, truth, gains) == pytest.approx(1.0)  # mean 2, over two sources


def test_log_power_hears_what_should_be_silent():
    """A residue 30 dB down costs next to nothing in L1, and much in log power."""
    wanted = latents(1, 128, 60)
    wanted[..., 30:] = 0
    leak = wanted.clone()
    leak[..., 30:] = 0.03 * latents(1, 128, 30, seed=1)
    assert losses.blend([leak], wanted) < 0.02
    assert losses.power([leak], wanted) > 0.4
    assert losses.power([wanted], wanted) == 0


def test_remixed_songs_are_sums_of_known_parts():
    batch = {
        f"{side}_{part}": latents(4, 128, 20, seed=k)
        for k, (side, part) in enumerate(
            (s, p) for s in ("input", "target") for p in ("percussive", "harmonic")
        )
    }
    torch.manual_seed(0)
    made = remix(batch)
    assert "blend" not in made
    for side in ("input", "target"):
        percussive, harmonic = made[f"{side}_percussive"], made[f"{side}_harmonic"]
        torch.testing.assert_close(made[side], percussive + harmonic)
        ratio = percussive / batch[f"{side}_percussive"]
        gain = ratio.mean((1, 2))
        torch.testing.assert_close(ratio, gain[:, None, None].expand_as(ratio))
        assert (20 * gain.log10()).abs().max() <= RANGE
        pool = torch.cat([batch["input_harmonic"], batch["target_harmonic"]]).flatten(1)
        correlation = torch.corrcoef(torch.cat([harmonic.flatten(1), pool]))[:4, 4:]
        assert correlation.amax(1) == pytest.approx(torch.ones(4), abs=1e-4)
