"""Pictures of what the agent chose and what the cascade wrote.

Axes: C latent channels, T frames (75 a second), S samples.
"""

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.shared.plots import new_figure

RATE = 75
SHOWN = ("input", "target", "output", "blend", "hpss_mix")


def figures(
    standard: dict[str, Tensor],
    waves: dict[str, Tensor],
    masks_: tuple[Tensor, Tensor],
    means: Tensor,
) -> dict[str, Figure]:
    """Every picture of an evaluation.

    Args:
        standard: standardised latents (C, T) of `SHOWN`.
        waves: their sound (S,).
        masks_: of input and target, (C, T).
        means: of each sample's input mask (samples,).
    """
    return {
        "masks": masks(*masks_),
        "latents": latents(standard),
        "spectrograms": spectrograms(waves, 320 * RATE),
        "mask_means": mask_means(means),
    }


def masks(m: Tensor, n: Tensor) -> Figure:
    """Both masks (C, T) over time: bright where the source passes."""
    figure, axes = new_figure(2, 1, size=(8, 2.4), sharex=True)
    extent = (0, m.shape[1] / RATE, 0, len(m))
    for axis, mask, name in zip(axes, (m, n), ("input", "target"), strict=True):
        image = axis.imshow(
            mask.cpu().numpy(),
            aspect="auto",
            origin="lower",
            extent=extent,
            vmin=0,
            vmax=max(1.0, float(m.max()), float(n.max())),  # soft masks may amplify
            interpolation="nearest",
        )
        axis.set(title=f"{name} mask, mean {float(mask.mean()):.3f}", ylabel="latent channel")
        axis.grid(False)
    axes[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=axes)
    return figure


def latents(pieces: dict[str, Tensor]) -> Figure:
    """Standardised latents (C, T) of several pieces on one scale."""
    figure, axes = new_figure(len(pieces), 1, size=(8, 1.7), sharex=True)
    for axis, (name, piece) in zip(axes, pieces.items(), strict=True):
        extent = (0, piece.shape[1] / RATE, 0, len(piece))
        image = axis.imshow(
            piece.cpu().numpy(),
            aspect="auto",
            origin="lower",
            extent=extent,
            vmin=-3,
            vmax=3,
            cmap="coolwarm",
        )
        axis.set(title=name, ylabel="channel")
        axis.grid(False)
    axes[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=axes, label="standard deviations")
    return figure


def spectrograms(pieces: dict[str, Tensor], rate: int) -> Figure:
    """Log-magnitude spectrograms of waves (S,), 80 dB deep, each from its own maximum."""
    figure, axes = new_figure(len(pieces), 1, size=(8, 1.7), sharex=True)
    for axis, (name, wave) in zip(axes, pieces.items(), strict=True):
        wave = wave.detach().float().cpu().reshape(-1)
        window = torch.hann_window(1024)
        power = torch.stft(wave, 1024, 256, window=window, return_complex=True).abs().square()
        level = 10 * torch.log10(power / power.amax().clamp_min(1e-12) + 1e-8)
        extent = (0, len(wave) / rate, 0, rate / 2000)
        image = axis.imshow(
            level.numpy(), aspect="auto", origin="lower", extent=extent, vmin=-80, vmax=0
        )
        axis.set(title=name, ylabel="kHz")
        axis.grid(False)
    axes[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=axes, label="dB")
    return figure


def mask_means(means: Tensor) -> Figure:
    """How often each sample's input mask has which mean (samples,)."""
    figure, axes = new_figure(1, 1)
    axes[0].hist(means.cpu().numpy(), bins=np.linspace(0, 1, 41))
    axes[0].axvline(0.5, color="black", linewidth=0.8)
    axes[0].set(title="per-sample mean of the input mask", xlabel="mean", ylabel="samples")
    return figure
