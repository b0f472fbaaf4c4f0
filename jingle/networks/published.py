"""The published agent, cascade and discriminator, kept as they were, to compare with.

Axes: B batch, C latent channels, T frames (75 a second), W width. Latents are raw (RMS about 5.7).
Left out: the style discriminator that was built and never called, and the second run of the mask
generator that only measured it.
"""

import math

import torch
from torch import Tensor, nn


def level(x: Tensor) -> Tensor:
    """RMS of each sample (B, 1, 1)."""
    return x.square().mean((1, 2), keepdim=True).sqrt()


def convolutions(*sizes: int, kernels: tuple[int, int], last: nn.Module) -> nn.Sequential:
    first, second = (
        nn.Conv1d(before, after, k, padding=k // 2)
        for before, after, k in zip(sizes[:-1], sizes[1:], kernels, strict=True)
    )
    return nn.Sequential(first, nn.ReLU(), second, last)


class AttentionAgent(nn.Module):
    """Two independent masks from cross-attention without positions, residual or norm."""

    def __init__(self, channels: int = 128, width: int = 256, heads: int = 4, dropout: float = 0.1):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.analysers = nn.ModuleList(
            convolutions(channels, width, width, kernels=(3, 3), last=nn.ReLU()) for _ in "ab"
        )
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.heads_out = nn.ModuleList(
            convolutions(width, channels, channels, kernels=(3, 1), last=nn.Sigmoid()) for _ in "ab"
        )

    def forward(self, a: Tensor, b: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """Masks (B, C, T) of raw latents; `temperature` is the gate's, and has no meaning here."""
        x, y = (
            analyse(z).transpose(1, 2) for analyse, z in zip(self.analysers, (a, b), strict=True)
        )
        heard = (
            self.attention(x, y, y, need_weights=False)[0],
            self.attention(y, x, x, need_weights=False)[0],
        )
        m, n = (
            head(z.transpose(1, 2)).float() for head, z in zip(self.heads_out, heard, strict=True)
        )
        return m, n


def positions(length: int, width: int, like: Tensor) -> Tensor:
    """Sinusoids (length, width) of amplitude 1 (Vaswani et al. 2017)."""
    rates = torch.exp(torch.arange(0, width, 2, device=like.device) * (-math.log(10_000.0) / width))
    angles = torch.arange(length, device=like.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


class PublishedStage(nn.Module):
    """Positions, dropout, norm, post-norm transformer, norm, projection."""

    def __init__(self, channels: int, width: int, depth: int, heads: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.write = nn.Linear(width, channels)

    def forward(self, *sources: Tensor) -> Tensor:
        x = torch.cat(sources, 1).transpose(1, 2)  # (B, T, W)
        x = self.dropout(x + positions(x.shape[1], x.shape[2], x))
        return self.write(self.after(self.transformer(self.before(x)))).transpose(1, 2).float()


class PublishedCascade(nn.Module):
    """Three stages with averaging residuals; every output is forced to the sources' level.

    Noise is Gaussian x level x the std of the whole batch, on what the transformers read: the
    input's drawn once, the target's anew in each stage. The residuals stay clean.
    """

    def __init__(
        self,
        channels: int = 128,
        *,
        depth: int = 6,
        heads: int = 8,
        dropout: float = 0.1,
        residuals: tuple[float, ...] = (1.0, 1.0, 0.1),
    ):
        super().__init__()
        self.residuals = residuals
        self.stages = nn.ModuleList(
            PublishedStage(channels, channels * (3 if k else 2), depth, heads, dropout)
            for k in range(len(residuals))
        )

    def forward(
        self, a: Tensor, b: Tensor, masks: tuple[Tensor, Tensor], noise: float = 0.0
    ) -> list[Tensor]:
        x, y = (
            z * mask * (level(z) / (level(z * mask) + 1e-8))
            for z, mask in zip((a, b), masks, strict=True)
        )
        target_level = ((level(x).square() + level(y).square()) / 2).sqrt()
        noisy_x = x + noise * x.std() * torch.randn_like(x) if noise else x
        outputs: list[Tensor] = []
        for stage, weight in zip(self.stages, self.residuals, strict=True):
            noisy_y = y + noise * y.std() * torch.randn_like(y) if noise else y
            before = outputs[-1:]  # none for stage 0
            update = stage(noisy_x, *before, noisy_y)
            mean = torch.stack([x, *before, y]).mean(0)
            output = update + weight * mean
            outputs.append(output * (target_level / (level(output) + 1e-8)))
        return outputs


class PublishedDiscriminator(nn.Module):
    """Strided convolutions over a piece's raw latents, averaged over time; unconditional."""

    def __init__(self, channels: int = 128, dropout: float = 0.3):
        super().__init__()
        sizes, kernels, strides = [channels, 256, 512, 512, 256], (3, 5, 7, 9), (2, 2, 2, 1)
        layers: list[nn.Module] = []
        for k, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
            layers += [nn.Conv1d(sizes[k], sizes[k + 1], kernel, stride, kernel // 2)]
            layers += [nn.LeakyReLU(0.2), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.score = nn.Sequential(
            nn.Linear(256, 128), nn.LeakyReLU(0.2), nn.Dropout(dropout), nn.Linear(128, 1)
        )

    def forward(self, piece: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """(B, C, T) -> score (B, 1); the sources are not looked at."""
        return self.score(self.layers(piece).mean(-1)).float()
