"""The KL-regularised autoencoder: residual blocks on three levels, attention in the middle.

Axes: B batch, C channels, H W map, h w latent (H / factor, W / factor), Z latent channels.
Rombach et al. 2022 ("kl-f4"), with one input channel and fused attention.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.shared.kinds import PositiveInt


def norm(channels: int) -> nn.GroupNorm:
    """32 groups, fewer where the width is no multiple of 32."""
    return nn.GroupNorm(math.gcd(32, channels), channels, eps=1e-6)


class Residual(nn.Module):
    """norm, swish, 3x3, norm, swish, 3x3, beside the identity (1x1 where widths differ)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.norm_in, self.norm_out = norm(inputs), norm(outputs)
        self.conv_in = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv_out = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv_in(F.silu(self.norm_in(x)))
        return self.skip(x) + self.conv_out(F.silu(self.norm_out(inner)))


class Attention(nn.Module):
    """One head over all positions."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = norm(channels)
        self.query, self.key, self.value, self.out = (
            nn.Conv2d(channels, channels, 1) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(x)
        tokens = (
            f(inner).flatten(2).transpose(1, 2)[:, None] for f in (self.query, self.key, self.value)
        )  # (B, 1, hw, C) each
        mixed = F.scaled_dot_product_attention(*tokens)[:, 0].transpose(1, 2)
        return x + self.out(mixed.reshape(x.shape))


class Down(nn.Module):
    """Halves H and W: 3x3 with stride 2; the zeros stand right and below."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    """Doubles H and W: nearest neighbour, then 3x3."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def middle(channels: int) -> list[nn.Module]:
    return [Residual(channels, channels), Attention(channels), Residual(channels, channels)]


def head(channels: int, outputs: int) -> list[nn.Module]:
    return [norm(channels), nn.SiLU(), nn.Conv2d(channels, outputs, 3, padding=1)]


def encoder(width: int, multipliers: tuple[int, ...], blocks: int, latent: int) -> nn.Sequential:
    """(B, 1, H, W) -> (B, 2Z, h, w)."""
    layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1)]
    channels = width
    for level, multiplier in enumerate(multipliers):
        if level:
            layers.append(Down(channels))
        for _ in range(blocks):
            layers.append(Residual(channels, width * multiplier))
            channels = width * multiplier
    return nn.Sequential(*layers, *middle(channels), *head(channels, 2 * latent))


def decoder(
    width: int, multipliers: tuple[int, ...], blocks: int, latent: int, outputs: int
) -> nn.Sequential:
    """(B, Z, h, w) -> (B, outputs, H, W), one residual block a level more than the encoder."""
    channels = width * multipliers[-1]
    layers = [nn.Conv2d(latent, channels, 3, padding=1), *middle(channels)]
    for level, multiplier in reversed(list(enumerate(multipliers))):
        for _ in range(blocks + 1):
            layers.append(Residual(channels, width * multiplier))
            channels = width * multiplier
        if level:
            layers.append(Up(channels))
    return nn.Sequential(*layers, *head(channels, outputs))


class Autoencoder(nn.Module):
    """Maps to a diagonal Gaussian over latents, and latents to maps; fully convolutional.

    Args:
        width: channels of the first level.
        multipliers: channels of each level, times `width`; each level after the first halves H, W.
        blocks: residual blocks a level of the encoder.
        latent: Z.
        shortcut: adds a linear path beside each half (one patch to one latent position and back,
            both halves zero at first but for it), which `start_from` sets to a patch-PCA. For small
            budgets: training then starts from the best linear code instead of from noise.
        occupancy: the decoder says of every pixel how loud it is, and whether it is occupied: a map
            is 0 in buildings, and a sharp edge is then no matter of the field's.
    """

    def __init__(
        self,
        width: PositiveInt = 128,
        multipliers: tuple[PositiveInt, ...] = (1, 2, 4),
        blocks: PositiveInt = 2,
        latent: PositiveInt = 3,
        shortcut: bool = False,
        occupancy: bool = False,
    ):
        super().__init__()
        sizes = (width, tuple(multipliers), blocks, latent)
        self.latent, self.factor = latent, 2 ** (len(multipliers) - 1)
        self.encoder, self.decoder = encoder(*sizes), decoder(*sizes, 2 if occupancy else 1)
        self.quant = nn.Conv2d(2 * latent, 2 * latent, 1)
        self.post_quant = nn.Conv2d(latent, latent, 1)
        self.analysis = self.synthesis = None
        if shortcut:
            self.analysis = nn.Conv2d(1, latent, self.factor, stride=self.factor)
            self.synthesis = nn.ConvTranspose2d(latent, 1, self.factor, stride=self.factor)
            for layer in (self.encoder[-1], self.decoder[-1], self.quant):
                nn.init.zeros_(layer.bias)
            for layer in (self.encoder[-1], self.decoder[-1]):
                nn.init.zeros_(layer.weight)
        if occupancy:
            nn.init.constant_(self.decoder[-1].bias[1:], -4.0)  # at first nothing is

    @property
    def last_weight(self) -> Tensor:
        """The weight at which the adaptive weight compares gradients: the decoder's last."""
        return self.decoder[-1].weight

    @torch.no_grad()
    def start_from(self, mean: Tensor, basis: Tensor, std: Tensor, logvar: float = -9.0) -> None:
        """Set the shortcut to a patch-PCA with latents of unit variance.

        Args:
            mean: (factor^2,), of the patches.
            basis: (Z, factor^2), orthonormal rows.
            std: (Z,), of the components.
            logvar: of the posterior at first.
        """
        side, scale = (1, self.factor, self.factor), std.clamp_min(1e-4)
        self.analysis.weight.copy_((basis / scale[:, None]).reshape(-1, *side))
        self.analysis.bias.copy_(-basis.sum(1) * mean.mean() / scale)
        self.synthesis.weight.copy_((basis * scale[:, None]).reshape(-1, *side))
        self.synthesis.bias.copy_(mean.mean())
        self.quant.bias[self.latent :] = logvar

    def encode(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, 1, H, W) in [-1, 1] -> mean and log-variance (B, Z, h, w)."""
        mean, logvar = self.quant(self.encoder(maps)).chunk(2, dim=1)
        if self.analysis is not None:
            mean = mean + self.analysis(maps)
        return mean.float(), logvar.float().clamp(-30.0, 20.0)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, Z, h, w) -> maps (B, 1, H, W), about [-1, 1], not clamped."""
        found = self.decoder(self.post_quant(latents))
        field = found[:, :1]
        if self.synthesis is not None:
            field = field + self.synthesis(latents)
        if found.shape[1] == 1:
            return field
        occupied = torch.sigmoid(found[:, 1:])
        return field * (1 - occupied) - occupied  # -1 is dark


def draw(mean: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A sample of the posterior, of the shape of `mean`."""
    noise = torch.randn(
        mean.shape,
        generator=generator,
        dtype=mean.dtype,
        device="cpu" if generator else mean.device,
    )
    return mean + (0.5 * logvar).exp() * noise.to(mean.device)
