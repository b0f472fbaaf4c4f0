"""Loss terms of the codec, one function each, named as its key in `conf/loss/codec.yaml`.

Axes: `B` batch, `S` samples at 24 kHz, `D` latent channels, `T` frames. Each returns a scalar.
"""

import torch
from torch import Tensor

from jingle.sound import spectral

TERMS = ("waveform", "stft", "mel", "latent")


def waveform(audio: Tensor, reference: Tensor) -> Tensor:
    """log10 of the error's share of the energy, -1 for 10 dB; a mean over samples.

    The logarithm lets loud and soft samples count alike. Floored at -60 dB and, for silence, at an
    RMS of 1e-4.
    """
    error = (audio - reference).flatten(1).square().mean(dim=1)
    power = reference.flatten(1).square().mean(dim=1)
    return torch.log10((error + 1e-6 * power + 1e-8) / (power + 1e-8)).mean()


def stft(audio: Tensor, reference: Tensor) -> Tensor:
    """Multi-resolution spectral convergence."""
    return spectral.stft_distance(audio, reference).mean()


def mel(audio: Tensor, reference: Tensor) -> Tensor:
    """Multi-scale mel distance, 0.05 a dB."""
    return spectral.mel_distance(audio, reference).mean()


def latent(latents: Tensor) -> Tensor:
    """How far the channels' power v over the batch is from 1: (v - 1 - log v) / 2, their mean.

    The divergence of N(0, v) from N(0, 1): mild, never negative, 0 where every channel has power 1.
    """
    power = latents.square().mean(dim=(0, 2)) + 1e-6
    return 0.5 * (power - 1 - power.log()).mean()
