"""Laws of the cascade, the adversary and their published counterparts."""

import pytest
import torch
from torch import nn

from jingle.networks.cascade import Attention, Cascade, Discriminator, blur, rotary, rotate
from jingle.networks.gate import Gate
from jingle.networks.published import (
    AttentionAgent,
    PublishedCascade,
    PublishedDiscriminator,
    level,
)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def latents(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_published_parameter_counts_are_exact():
    agent, cascade = AttentionAgent(), PublishedCascade()
    assert count(agent) == 1_083_904
    assert [count(stage) for stage in cascade.stages] == [4_772_480, 10_697_600, 10_697_600]
    assert count(agent) + count(cascade) == 27_251_584
    assert count(PublishedDiscriminator()) == 3_802_881


def test_ours_has_about_as_many():
    assert 27_000_000 < count(Gate()) + count(Cascade()) < 27_500_000


def test_an_untrained_cascade_gives_the_sum_of_the_gated_sources():
    a, b = latents(2, 2, 128, 41)
    m = torch.rand(2, 128, 41)
    outputs = Cascade(widths=(16, 32), depth=1, heads=4)(a, b, (m, 1 - m))
    assert len(outputs) == 3  # the gated sum, supervised too, and two stages
    for output in outputs:
        torch.testing.assert_close(output, m * a + (1 - m) * b)


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_any_length_is_kept_whatever_the_patch(patch):
    a, b = latents(2, 1, 128, 43)
    cascade = Cascade(widths=(16,), depth=1, heads=4, patch=patch)
    nn.init.normal_(cascade.stages[0].write.weight)
    output = cascade(a, b, (torch.ones_like(a), torch.ones_like(a)))[-1]
    assert output.shape == a.shape
    assert torch.isfinite(output).all()


def test_a_patch_of_frames_comes_back_in_order():
    """With the identity for its layers a stage is the identity, frame by frame."""
    cascade = Cascade(widths=(256,), depth=0, heads=4, patch=2)
    stage = cascade.stages[0]
    stage.read, stage.norm = nn.Identity(), nn.Identity()
    stage.write = nn.Linear(512, 256, bias=False)
    with torch.no_grad():
        stage.write.weight.copy_(torch.eye(256, 512))  # the first source's channels and frames
    x, y = latents(2, 1, 128, 10)
    torch.testing.assert_close(stage(x, y), x)  # the gain starts at 1


def test_what_is_masked_cannot_be_heard():
    """A cascade sees gated sources only: a source that is never passed changes nothing."""
    a, b, other = latents(3, 1, 128, 24)
    cascade = Cascade(widths=(16, 16), depth=1, heads=4)
    for stage in cascade.stages:
        nn.init.normal_(stage.write.weight)
    closed = (torch.ones_like(a), torch.zeros_like(a))
    assert torch.equal(cascade(a, b, closed)[-1], cascade(a, other, closed)[-1])


def test_noise_is_asked_for_and_reaches_all_that_is_seen():
    a, b = latents(2, 2, 128, 24)
    masks = (torch.full_like(a, 0.5), torch.full_like(a, 0.5))
    cascade = Cascade(widths=(16,), depth=1, heads=4)
    quiet = cascade(a, b, masks)[-1]
    assert torch.equal(quiet, cascade(a, b, masks)[-1])
    # untrained, the output is the residual: noise in it shows that the residual is not clean
    noisy = cascade(a, b, masks, noise=0.9)[-1]
    assert (noisy - quiet).abs().mean() > 0.05


def test_noise_has_each_samples_own_size():
    torch.manual_seed(0)
    x = latents(400, 16, 16) * torch.tensor([1.0, 10.0]).repeat(200)[:, None, None]
    amount = (blur(x, 0.9) - x).std((1, 2)) / x.std((1, 2))
    assert amount.max() < 1.1
    assert amount[::2].mean() == pytest.approx(0.45, abs=0.06)
    assert amount[1::2].mean() == pytest.approx(0.45, abs=0.06)


def test_rotary_attention_is_relative():
    """Shifting positions of queries and keys alike leaves their products unchanged."""
    query, key = latents(2, 1, 1, 5, 8)
    angles = rotary(25, 8, query)
    near = rotate(query, angles[:, :5]) @ rotate(key, angles[:, :5]).mT
    far = rotate(query, angles[:, 20:]) @ rotate(key, angles[:, 20:]).mT
    torch.testing.assert_close(near, far, atol=1e-5, rtol=1e-4)


def test_attention_equals_its_formula():
    torch.manual_seed(0)
    layer, x, y = Attention(16, 2), latents(1, 5, 16), latents(1, 5, 16, seed=1)
    angles = rotary(5, 8, x)
    key, value = layer.key_value(y).chunk(2, -1)
    heads = []
    for h in (slice(0, 8), slice(8, 16)):
        q, k = rotate(layer.query(x)[..., h], angles), rotate(key[..., h], angles)
        heads.append((q @ k.mT / 8**0.5).softmax(-1) @ value[..., h])
    torch.testing.assert_close(layer(x, y, angles), layer.out(torch.cat(heads, -1)))


def test_the_published_agent_cannot_move_in_time():
    """The finding that the gate answers: without positions its masks stand almost still."""
    torch.manual_seed(0)
    m, n = AttentionAgent().eval()(*(5.7 * latents(2, 1, 128, 300)))
    assert m.shape == n.shape == (1, 128, 300)
    assert m.var(2).mean() < 1e-4


def test_published_output_has_the_level_of_its_sources():
    a, b = 5.7 * latents(2, 2, 128, 24)
    half = torch.full_like(a, 0.5)
    outputs = PublishedCascade(depth=1).eval()(a, b, (half, half))
    wanted = ((level(a) ** 2 + level(b) ** 2) / 2).sqrt()
    for output in outputs:
        torch.testing.assert_close(level(output), wanted, rtol=1e-4, atol=1e-4)


def test_only_our_adversary_hears_the_sources():
    piece, a, b, other = latents(4, 2, 128, 60)
    ours, theirs = Discriminator().eval(), PublishedDiscriminator().eval()
    assert not torch.equal(ours(piece, a, b), ours(piece, a, other))
    assert torch.equal(theirs(piece, a, b), theirs(piece, a, other))
    assert theirs(piece, a, b).shape == (2, 1)


def test_our_adversary_cannot_be_steep():
    """Spectral normalisation bounds each layer's gain, on weights however large."""
    torch.manual_seed(0)
    adversary = Discriminator(width=16)
    with torch.no_grad():
        for p in adversary.parameters():
            p.mul_(100)
    for _ in range(30):  # power iterations
        adversary(*latents(3, 1, 128, 40))
    adversary.eval()
    x, y, a, b = latents(4, 1, 128, 40)
    change = (adversary(x, a, b) - adversary(y, a, b)).norm() / (x - y).norm()
    assert change < 3**4  # a kernel of width k may pass a frame up to k times; in practice far less
