"""How loud the two parts of a piece are to be, by the rule of the blend (`jingle.pairs.blend`).

Axes: B batch, C latent channels, T frames (75 a second). Latents are as the networks see them.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jingle.sound import loudness_rule as rule
from jingle.sound.loudness_rule import (
    HARMONIC,
    OWN_HARMONIC,
    OWN_PERCUSSIVE,
    PERCUSSIVE,
    QUIET,
    SONG,
)


@dataclass(frozen=True)
class Separated:
    """What HPSS found in input and target, and how loud all of it is in the whole files."""

    percussive: Tensor  # (B, C, T), of the input
    harmonic: Tensor  # (B, C, T), of the target
    a: Tensor  # (B, 5), LUFS of the input
    b: Tensor  # (B, 5), of the target


def factors(rhythmic: Tensor, harmonic: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """What brings parts of `rhythmic` and `harmonic` LUFS (B,) to one loudness, (B, 1, 1).

    Args:
        rhythmic: of the part that is taken of the input.
        harmonic: of the part that is taken of the target.
        a: LUFS of the input (B,).
        b: LUFS of the target (B,).
    """
    loud = torch.stack([a >= QUIET, b >= QUIET]).to(a.dtype)
    count = loud.sum(0)
    level = (torch.stack([a, b]) * loud).sum(0) / count.clamp_min(1.0) - rule.LOWER_DB
    first, second = (
        torch.where((own >= QUIET) & (count > 0), bounded(level - own), 0.0)
        for own in (rhythmic, harmonic)
    )
    return (10 ** (first / 20))[:, None, None], (10 ** (second / 20))[:, None, None]


def bounded(change: Tensor) -> Tensor:
    """A change of level in dB, as large as the rule lets it be."""
    return change.clamp(-rule.MOST_DB, rule.MOST_DB)


def of_own(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Factors (B, 1, 1) of the input's own percussive and the target's own harmonic part.

    Args:
        a: levels (B, 5) of the input.
        b: of the target.
    """
    return factors(a[:, OWN_PERCUSSIVE], b[:, OWN_HARMONIC], a[:, SONG], b[:, SONG])


def of_separated(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Factors (B, 1, 1) of what HPSS finds percussive in the input and harmonic in the target.

    Args:
        a: levels (B, 5) of the input.
        b: of the target.
    """
    return factors(a[:, PERCUSSIVE], b[:, HARMONIC], a[:, SONG], b[:, SONG])


class Levels(nn.Module):
    """Brings two parts to the loudness that the blend asks for, as latents.

    Loudness as ITU-R BS.1770: weighted power in blocks of 0.4 s, gated 10 dB below its mean. The
    channels' weights are measured on the codec before training (`jingle.pairs.statistics`), and go
    on learning. Where the levels of what HPSS found are known, latents only say by how much a part
    is louder than that.
    """

    BLOCK, STEP = 30, 8  # frames: 0.4 s, about a quarter

    def __init__(self, channels: int = 128):
        super().__init__()
        self.weights = nn.Parameter(torch.full((channels, 1), -math.log(channels)))

    @torch.no_grad()
    def measured(self, powers: Tensor) -> None:
        """Start from `powers` (C,), what each channel adds to the loudness."""
        self.weights.copy_(powers.log()[:, None])

    def loudness(self, latents: Tensor) -> Tensor:
        """Loudness (B,) in dB of latents (B, C, T), up to a constant."""
        power = (latents.square() * self.weights.exp()).sum(1, keepdim=True)
        blocks = F.avg_pool1d(power, min(self.BLOCK, power.shape[-1]), self.STEP)[:, 0]
        passed = blocks > 0.1 * blocks.mean(1, keepdim=True)
        return 10 * torch.log10((blocks * passed).sum(1) / passed.sum(1).clamp_min(1) + 1e-6)

    def forward(
        self, x: Tensor, y: Tensor, a: Tensor, b: Tensor, separated: Separated | None = None
    ) -> tuple[Tensor, Tensor]:
        """Factors (B, 1, 1) that make parts `x` of `a` and `y` of `b` (B, C, T) equally loud."""
        loud = [self.loudness(z) for z in (x, y)]
        if separated is not None:
            known = separated.a[:, PERCUSSIVE], separated.b[:, HARMONIC]
            found = self.loudness(separated.percussive), self.loudness(separated.harmonic)
            own = [k + z - s for k, z, s in zip(known, loud, found, strict=True)]
            return factors(*own, separated.a[:, SONG], separated.b[:, SONG])
        level = (self.loudness(a) + self.loudness(b)) / 2 - rule.LOWER_DB
        first, second = (10 ** (bounded(level - z) / 20) for z in loud)
        return first[:, None, None], second[:, None, None]
