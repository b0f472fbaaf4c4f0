"""Noise substitution: a decoder that says how loud noise is in a few bands, and the noise.

A strided network that makes noise from a level must make the same burst in every frame, which is
heard as a buzz at the frame rate. Here the network gives the level of each band sample by sample,
and noise that does not repeat from frame to frame takes it (perceptual noise substitution, Herre
and Schulz 1998). The noise is fixed, so that decoding stays deterministic and differentiable.

Axes: `B` batch, `D` latent channels, `T` frames, `N` noise bands, `S` samples at 24 kHz.
"""

import torch
from torch import Tensor, nn

RATE = 24_000
EDGE = 4_650.0  # Hz, below which the waveform itself is kept
FRAME = 320  # samples
PERIOD = 2**17  # samples, 5.5 s; longer than anyone notices a repeat of noise


class NoiseDecoder(nn.Module):
    """A SEANet decoder of 1 + N channels as one of sound: (B, D, T) -> (B, 1, S).

    The first channel is the waveform; each other one multiplies the noise of its band.
    """

    def __init__(self, seanet: nn.Module):
        super().__init__()
        self.model = seanet.model
        self.register_buffer("noise", band_noises(seanet.channels - 1), persistent=False)

    def forward(self, latents: Tensor, start: int = 0) -> Tensor:
        """`start`: which frame of a piece the first one is, so that parts fit together."""
        made = self.model(latents)  # (B, 1 + N, S)
        samples = made.shape[-1]
        noise = self.noise.roll(-start * FRAME % PERIOD, dims=1)
        # Of positive numbers: ONNX divides towards zero, where -(-samples // PERIOD) is 0.
        noise = noise.repeat(1, (samples + PERIOD - 1) // PERIOD)[:, :samples]
        return made[:, :1] + (made[:, 1:] * noise).sum(dim=1, keepdim=True)


def band_edges(index: int, bands: int) -> tuple[float, float]:
    """Lower and upper edge in Hz of band `index` of `bands`."""
    width = (RATE / 2 - EDGE) / bands
    return EDGE + width * index, EDGE + width * (index + 1)


def band_noises(bands: int) -> Tensor:
    """Noise of power 1 in each of `bands` from `EDGE` to 12 kHz, without a seam: (N, PERIOD)."""
    generator = torch.Generator().manual_seed(0)
    spectrum = torch.fft.rfft(torch.randn(bands, PERIOD, generator=generator))
    frequency = torch.fft.rfftfreq(PERIOD, 1 / RATE)
    for index in range(bands):
        low, high = band_edges(index, bands)
        spectrum[index, (frequency < low) | (frequency >= high)] = 0
    noise = torch.fft.irfft(spectrum, PERIOD)
    return noise / noise.square().mean(dim=1, keepdim=True).sqrt()
