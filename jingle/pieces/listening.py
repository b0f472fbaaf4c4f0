"""From latents to sound, and crops of it to train on.

Axes: B batch, C latent channels, T frames (75 a second), S samples (24 kHz, 320 a frame). A codec
is anything with `decode`: raw latents (B, C, T) -> audio (B, 1, S), differentiable.
"""

import torch
from torch import Tensor

RATE = 24_000
HOP = 320
# Frames (0.5 s) decoded on both sides of a crop and thrown away: our codec's convolutions reach
# 0.2 s both ways, EnCodec's only back, its LSTM farther.
MARGIN = 38


def sound(codec, latents: Tensor) -> Tensor:
    """Audio (B, 1, S) of raw latents, in float32 whatever the training's precision."""
    with torch.autocast(latents.device.type, enabled=False):
        return codec.decode(latents.float())


def crop(codec, made: Tensor, real: Tensor, *, seconds: float) -> tuple[Tensor, Tensor]:
    """One random crop of one random sample of `made` and `real` (B, C, T): audio (1, 1, S)."""
    frames = min(round(seconds * RATE / HOP), made.shape[2])
    sample = int(torch.randint(len(made), ()))
    first = int(torch.randint(made.shape[2] - frames + 1, ()))
    margin = min(MARGIN, first)
    part = slice(first - margin, first + frames + MARGIN)
    heard = slice(margin * HOP, (margin + frames) * HOP)
    with torch.no_grad():
        truth = sound(codec, real[sample : sample + 1, :, part])
    ours = sound(codec, made[sample : sample + 1, :, part])
    return ours[..., heard], truth[..., heard]
