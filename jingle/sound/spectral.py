"""Spectral distances on sound, differentiable: multi-scale mel and STFT, by torchaudio's filters.

Axes: `B` batch, `S` samples at 24 kHz, `F` frequency bins, `M` mel bands, `T` STFT frames.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

RATE = 24_000
STFT_SIZES = (256, 512, 1024, 2048)
# Window length -> mel bands; low counts where the window resolves no more.
MEL_SCALES = ((256, 20), (512, 40), (1024, 64), (2048, 80))
FLOOR = 1e-5


@functools.lru_cache(maxsize=32)
def hann(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A periodic Hann window."""
    with torch.inference_mode(False):  # kept, and perhaps first asked for where no gradient is
        return torch.hann_window(size, device=device, dtype=dtype)


@functools.lru_cache(maxsize=32)
def mel_filters(size: int, bands: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Triangular mel filters (F, M) from 0 to 12 kHz, Slaney's scale, each adding up to 1."""
    import torchaudio

    with torch.inference_mode(False):
        bank = torchaudio.functional.melscale_fbanks(
            size // 2 + 1, 0.0, RATE / 2, bands, RATE, mel_scale="slaney"
        )
        bank = bank / bank.sum(dim=0).clamp_min(1e-6)
        return bank.to(device=device, dtype=dtype)


def magnitude(audio: Tensor, size: int) -> Tensor:
    """STFT magnitudes of (B, S), hop a quarter window: (B, F, T); a sine of amplitude 1 has 1."""
    spectrum = torch.stft(
        audio,
        size,
        hop_length=size // 4,
        window=hann(size, audio.device, audio.dtype),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    # the small constant keeps the gradient of |x| finite at 0
    power = spectrum.real.square() + spectrum.imag.square()
    return (power + 1e-12).sqrt() * (4 / size)


def log_mel(audio: Tensor, size: int, bands: int) -> Tensor:
    """log10 of mean magnitude in mel bands of (B, S), floored at -100 dB: (B, M, T)."""
    mel = magnitude(audio, size).mT @ mel_filters(size, bands, audio.device, audio.dtype)
    return mel.clamp_min(FLOOR).log10().mT


def flat(audio: Tensor) -> Tensor:
    """(B, S) of (B, S) or (B, 1, S)."""
    return audio.reshape(-1, audio.shape[-1])


def mel_distance(
    audio: Tensor, reference: Tensor, scales: Sequence[tuple[int, int]] = MEL_SCALES
) -> Tensor:
    """Multi-scale mel distance a sample: mean |difference of log10 mel magnitudes|, shape (B,).

    The mean over the scales; 0.05 is 1 dB. After Kumar et al. 2023 (descript-audio-codec).

    Args:
        audio: (B, S) or (B, 1, S), 24 kHz.
        reference: the same shape.
        scales: pairs of window length and number of mel bands.
    """
    audio, reference = flat(audio), flat(reference)
    each = [
        (log_mel(audio, size, bands) - log_mel(reference, size, bands)).abs().mean(dim=(1, 2))
        for size, bands in scales
    ]
    return torch.stack(each).mean(dim=0)


def stft_distance(audio: Tensor, reference: Tensor, sizes: Sequence[int] = STFT_SIZES) -> Tensor:
    """Multi-resolution spectral convergence a sample: |A - R| / |R| (Frobenius), shape (B,).

    The mean over the window lengths; 0 for equal magnitudes, 1 for silence. Yamamoto et al. 2020.

    Args:
        audio: (B, S) or (B, 1, S), 24 kHz.
        reference: the same shape.
        sizes: window lengths in samples.
    """
    audio, reference = flat(audio), flat(reference)
    each = []
    for size in sizes:
        found, wanted = magnitude(audio, size), magnitude(reference, size)
        error = (found - wanted).square().sum(dim=(1, 2))
        whole = wanted.square().sum(dim=(1, 2)).clamp_min(1e-8)
        # + 1e-12: the gradient of a root at 0 is infinite
        each.append((error / whole + 1e-12).sqrt())
    return torch.stack(each).mean(dim=0)


def si_sdr(audio: Tensor, reference: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio a sample, in dB, shape (B,). Le Roux et al. 2019.

    Means are not removed. Capped near 80 dB, so that its gradient stays finite.
    """
    audio, reference = flat(audio), flat(reference)
    power = reference.square().sum(dim=1).clamp_min(1e-8)
    scale = (audio * reference).sum(dim=1) / power
    target = scale.square() * power
    noise = (audio - scale[:, None] * reference).square().sum(dim=1)
    return 10 * torch.log10((target + 1e-8) / (noise + 1e-8 * target + 1e-8))
