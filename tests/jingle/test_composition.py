"""Laws of the compositional agent: masks, loudness, stages, and songs made of parts."""

import pytest
import torch

from jingle import losses
from jingle.networks.composition import MOST, Decomposition, Levels, Recomposition
from jingle.networks.generator import Generator, passing
from jingle.remix import RANGE, remix


def latents(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_an_untrained_agent_gives_what_separation_found():
    source, percussive = latents(2, 1, 128, 60)
    agent = Decomposition(width=16, depth=1)
    assert all(mask.min() >= 0 and mask.max() <= MOST for mask in agent.masks(source, percussive))
    for part, wanted in zip(
        agent(source, percussive), (percussive, source - percussive), strict=True
    ):
        assert (part - wanted).abs().mean() < 0.1 * source.abs().mean()


def test_each_source_is_taken_apart_by_itself_and_by_the_same_network():
    a, b, other, p, q = latents(5, 1, 128, 40)
    agent = Decomposition(width=16, depth=1)
    torch.nn.init.normal_(agent.write.weight, std=0.1)
    both = agent(torch.cat([a, b]), torch.cat([p, q]))
    assert all(torch.allclose(x[:1], y) for x, y in zip(both, agent(a, p), strict=True))
    assert all(torch.allclose(x[1:], y) for x, y in zip(both, agent(b, q), strict=True))
    assert not torch.allclose(both[0][:1], agent(other, p)[0])


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
    parts = (0.7 * a).requires_grad_(), 0.7 * b
    outputs = writer(a, b, parts)
    assert len(outputs) == 3
    assert all(torch.equal(output, outputs[0]) for output in outputs)
    losses.blend(outputs[2:], latents(2, 128, 50, seed=2)).backward()
    assert parts[0].grad is None  # a later stage cannot make the parts worse for its own good
    assert all(p.grad is None for p in writer.stages[0].parameters())
    assert writer.stages[1].write.weight.grad.abs().sum() > 0


def test_a_generator_gives_the_parts_of_both_sources():
    a, b, p, h = latents(4, 2, 128, 40)
    model = Generator("compositional", "auto", {"compositional": {"width": 16, "depth": 1}})
    made = model(a, b, (p, h))
    sources, percussive = torch.cat([a, b]), torch.cat([p, b - h])
    rhythmic, harmonic = model.agent(sources, percussive)
    torch.testing.assert_close(made.parts["input_percussive"], rhythmic[:2])
    torch.testing.assert_close(made.parts["target_percussive"], rhythmic[2:])
    torch.testing.assert_close(made.parts["target_harmonic"], harmonic[2:])
    assert all(mask.min() >= 0 and mask.max() <= MOST for mask in made.masks)
    assert Generator("gate", "auto", {"gate": {"width": 16}})(a, b).parts == {}


def test_a_mask_says_how_much_of_a_source_its_part_is():
    source = 3 * latents(1, 128, 40)
    torch.testing.assert_close(
        passing(0.5 * source, source).mean(), torch.tensor(0.5), atol=0.01, rtol=0
    )


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


def test_remixed_pairs_are_known_songs_with_their_own_parts():
    names = [
        f"{side}_{part}" for side in ("input", "target") for part in ("percussive", "harmonic")
    ]
    batch = {name: latents(4, 128, 20, seed=k) for k, name in enumerate(names)}
    for side in ("input", "target"):
        batch[side] = batch[f"{side}_percussive"] + batch[f"{side}_harmonic"]
    batch["input_hpss"] = 0.5 * batch["input_percussive"]
    batch["target_hpss"] = batch["target"] - 0.5 * batch["target_percussive"]
    torch.manual_seed(0)
    made = remix(batch)
    assert "blend" not in made
    songs = torch.cat([batch["input"], batch["target"]]).flatten(1)
    found = torch.corrcoef(torch.cat([made["input"].flatten(1), made["target"].flatten(1), songs]))
    assert found[:8, 8:].amax(1) == pytest.approx(torch.ones(8), abs=1e-4)
    assert len(set(found[:8, 8:].argmax(1).tolist())) == 8  # each song once
    loud = made["input"].flatten(1).norm(dim=1) / songs[found[:4, 8:].argmax(1)].norm(dim=1)
    assert (20 * loud.log10()).abs().max() <= RANGE
    for side in ("input", "target"):
        percussive, harmonic = made[f"{side}_percussive"], made[f"{side}_harmonic"]
        torch.testing.assert_close(made[side], percussive + harmonic)
        half = made["input_hpss"] if side == "input" else made[side] - made["target_hpss"]
        torch.testing.assert_close(half, 0.5 * percussive, atol=1e-5, rtol=1e-4)
