"""The cascade that writes the blend from gated latents, and the adversary that hears it.

Axes: B batch, C latent channels, T frames (75 a second), N tokens (`patch` frames each), W width,
H heads. Latents are standardised here. Attention is pre-norm, rotary (Su et al. 2021) and fused.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from experiments.shared.kinds import PositiveInt, Widths


def rotary(length: int, size: int, like: Tensor) -> Tensor:
    """Angles as (2, length, size / 2): cosines and sines of position x frequency."""
    rates = 10_000.0 ** (-torch.arange(0, size, 2, device=like.device, dtype=torch.float32) / size)
    angles = torch.arange(length, device=like.device, dtype=torch.float32)[:, None] * rates
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn the pairs of features of x (..., N, size) by the angles of their positions."""
    cos, sin = angles.to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class Attention(nn.Module):
    """Multi-head attention over relative positions; queries from `x`, keys and values from `y`."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"expected a width divisible by 2 x {heads} heads, got {width}")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, y: Tensor, angles: Tensor) -> Tensor:
        """Both (B, N, W); `angles` of `rotary(N, W / heads)`."""
        split = (self.heads, x.shape[-1] // self.heads)
        query = self.query(x).unflatten(-1, split).transpose(1, 2)
        key, value = self.key_value(y).chunk(2, -1)
        key, value = (z.unflatten(-1, split).transpose(1, 2) for z in (key, value))
        mixed = F.scaled_dot_product_attention(rotate(query, angles), rotate(key, angles), value)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm self-attention and a four times wider feed-forward layer, both residual."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        normed = self.norm_attention(x)
        x = x + self.attention(normed, normed, angles)
        return x + self.mlp(self.norm_mlp(x))


class Stage(nn.Module):
    """Reads `sources` latents (B, C, T) side by side and proposes an update (B, C, T), 0 at first.

    The update is scaled by a learned factor in (0, 2), so that no stage can run away.
    """

    def __init__(
        self, channels: int, sources: int, width: int, *, depth: int, heads: int, patch: int
    ):
        super().__init__()
        self.patch, self.heads = patch, heads
        self.read = nn.Linear(sources * channels * patch, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.write = nn.Linear(width, channels * patch)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, *sources: Tensor) -> Tensor:
        frames = sources[0].shape[-1]
        x = F.pad(torch.cat(sources, 1), (0, -frames % self.patch))
        x = x.unflatten(-1, (-1, self.patch)).permute(0, 2, 1, 3).flatten(2)  # (B, N, sources C p)
        x = self.read(x)
        angles = rotary(x.shape[1], x.shape[2] // self.heads, x)
        for block in self.blocks:
            x = block(x, angles)
        x = self.write(self.norm(x)).unflatten(-1, (-1, self.patch))  # (B, N, C, p)
        x = x.permute(0, 2, 1, 3).flatten(2)[..., :frames]
        return 2 * torch.sigmoid(self.gain) * x.float()


def blur(latents: Tensor, level: float) -> Tensor:
    """Add Gaussian noise of U(0, level) x the sample's own std to latents (B, C, T)."""
    amount = level * torch.rand(len(latents), 1, 1, device=latents.device)
    amount = amount * latents.detach().std((1, 2), keepdim=True)
    return latents + amount * torch.randn_like(latents)


class Cascade(nn.Module):
    """Stages that refine one output: o_0 = the gated sources, weighted; o_k+1 = o_k + update_k.

    The weights are learned, one a channel and source, and start at 1: an untrained cascade gives
    the sum of the gated sources. Everything a stage sees, o_0 included, comes from the noisy
    sources. o_0 is among the outputs: supervised too, it teaches the gate directly what to pass.
    """

    def __init__(
        self,
        channels: int = 128,
        widths: Widths = (256, 384, 384),
        *,
        depth: PositiveInt = 6,
        heads: PositiveInt = 8,
        patch: PositiveInt = 1,
    ):
        super().__init__()
        self.weights = nn.Parameter(torch.ones(2, channels, 1))
        self.stages = nn.ModuleList(
            Stage(channels, 3 if k else 2, width, depth=depth, heads=heads, patch=patch)
            for k, width in enumerate(widths)
        )

    def forward(
        self, a: Tensor, b: Tensor, masks: tuple[Tensor, Tensor], noise: float = 0.0
    ) -> list[Tensor]:
        """o_0, o_1, ... (B, C, T), from sources and masks (B, C, T); `noise` as in `blur`."""
        if noise:
            a, b = blur(a, noise), blur(b, noise)
        x, y = masks[0] * a, masks[1] * b
        output = self.weights[0] * x + self.weights[1] * y
        outputs = [output]
        for k, stage in enumerate(self.stages):
            output = output + (stage(x, output, y) if k else stage(x, y))
            outputs.append(output)
        return outputs


class Discriminator(nn.Module):
    """Scores windows of a piece, given both sources: real ones are high (spectral normalisation).

    Miyato et al. 2018; one score for every 8 frames, each seeing about 0.6 s.
    """

    def __init__(self, channels: int = 128, width: int = 128):
        super().__init__()
        sizes = [3 * channels, width, 2 * width, 2 * width]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            convolution = nn.Conv1d(before, after, 5, stride=2, padding=2)
            layers += [spectral_norm(convolution), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv1d(sizes[-1], 1, 3, padding=1)))

    def forward(self, piece: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """(B, C, T) three times -> scores (B, N)."""
        return self.layers(torch.cat([piece, a, b], 1)).squeeze(1).float()
