"""Starts a SEANet codec as a transform codec, so that training need not find one.

SEANet's strided convolutions can hand on all samples, as channels: two at 12 kHz, 8 at 3 kHz, 40 at
600 Hz. The deepest one, 16 taps of 40 samples with a stride of 8, then is a free lapped transform:
640 taps every 320 samples, the shape of an MDCT (Princen and Bradley 1986). The start is

* the MDCT's lowest 124 of 320 bands, up to 4.65 kHz, as latents of power 1, and its transpose;
* 4 latents for what lies above: the mean size of 12 band-passed signals, three a latent, which the
  decoder turns into the level of the noise in that band (`jingle.codec.noise`).

Signals inside are so small that ELU is linear, but for the band-passed ones, of which ELU takes the
size. All that the start leaves free keeps its random weights; everything is trained from there.

Axes: `B` batch, `S` samples, `K` 128 latent channels, `T` frames of 320 samples.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jingle.codec.noise import EDGE, NoiseDecoder, band_edges

RATE = 24_000
HOP = 320
BLOCK = 40  # samples a step at 600 Hz
LATENTS = 128
BANDS = 124  # of the MDCT, up to EDGE
ENVELOPES = LATENTS - BANDS
PROBES = 12  # band-passed signals, shared out among the envelopes
SMALL_SIGNAL = 0.005  # inside the networks, for 1 outside
SMALL_LATENT = 0.02
NOISE_LEVEL = 0.5  # full level would double the error of the waveform


@torch.no_grad()
def transform_start(encoder: nn.Module, decoder: NoiseDecoder, audio: Tensor) -> None:
    """Set both networks' weights in place.

    Args:
        encoder: a SEANetEncoder with 8 filters or more, norm "none", true skips and no LSTM.
        decoder: its decoder, of 4 noise bands.
        audio: (B, 1, S) sample sounds, to which levels are fitted; some 100 s suffice.
    """
    first, *downs, last = layers(encoder, nn.Conv1d)
    entry, leave = layers(decoder, nn.Conv1d)
    *ups, shallow = layers(decoder, nn.ConvTranspose1d)
    ups = [shallow, *ups[::-1]]  # from the sound inwards, as downs
    for part in (encoder, decoder):
        still_residual_blocks(part)
        for layer in part.modules():
            if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
                layer.bias.zero_()  # random ones would be louder than the small signals inside
    first.weight *= SMALL_SIGNAL
    offsets = hand_on_samples(first, downs[:3], leave, ups[:3])
    add_probes(downs[2], offsets[::5], audio)
    analysis = torch.zeros_like(downs[3].weight)
    analysis[:BANDS, :BLOCK] = by_taps(mdct_basis(HOP)[:BANDS], offsets)
    share = PROBES // ENVELOPES
    for index in range(ENVELOPES):
        for sign in range(2):
            begin = BLOCK + sign * PROBES + index * share
            analysis[BANDS + index, begin : begin + share] = torch.hann_window(16) / 8
    deepest = downs[3]
    deepest.weight[:LATENTS] = analysis[:LATENTS]
    deepest.bias[:LATENTS] = 0
    rows = encoder.model[:-2](audio)[:, :LATENTS]  # (B, K, T), what the deepest layer gives
    size = rows.std(dim=(0, 2))
    size = size.clamp_min(1e-3 * float(size.median()))  # bands that the samples leave empty
    deepest.weight[:LATENTS] *= (SMALL_LATENT / size)[:, None, None]
    mean = rows.mean(dim=(0, 2)) / size
    mean[:BANDS] = 0
    connect(last, torch.eye(LATENTS) / SMALL_LATENT, -mean)
    connect(entry, torch.eye(LATENTS) * SMALL_LATENT, mean * SMALL_LATENT)

    levels = torch.zeros(LATENTS)  # of the noise where the envelope is 1
    for index in range(ENVELOPES):
        envelope = rows[:, BANDS + index] / size[BANDS + index]
        power = band_power(audio, *band_edges(index, ENVELOPES))
        levels[BANDS + index] = NOISE_LEVEL * (power / envelope.square().mean()).sqrt()
    used = BLOCK + ENVELOPES
    synthesis = torch.zeros(LATENTS, used, 16)
    synthesis[:BANDS, :BLOCK] = analysis[:BANDS, :BLOCK] * size[:BANDS, None, None]
    for index in range(ENVELOPES):
        level = SMALL_SIGNAL * levels[BANDS + index]
        synthesis[BANDS + index, BLOCK + index] = level * torch.hann_window(16)
    ups[3].weight[:, :used] = 0
    ups[3].weight[:LATENTS, :used] = synthesis / SMALL_LATENT
    ups[3].bias[:used] = 0
    hand_on_levels(leave, ups[:3])


def mdct_basis(stride: int) -> Tensor:
    """The MDCT's analysis basis with a sine window: (stride, 2 stride), rows orthonormal."""
    j = torch.arange(2 * stride, dtype=torch.float64)  # the phases are large
    m = torch.arange(stride)[:, None]
    window = torch.sin(math.pi / (2 * stride) * (j + 0.5))
    phase = math.pi / stride * (j + 0.5 + stride / 2) * (m + 0.5)
    return (math.sqrt(2 / stride) * window * torch.cos(phase)).float()


def layers(part: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    """The `kind` layers of the SEANet chain, in order, without those of residual blocks."""
    wrapped = [getattr(m, "conv", getattr(m, "convtr", None)) for m in part.model]
    inner = [getattr(w, "conv", getattr(w, "convtr", None)) for w in wrapped]
    return [layer for layer in inner if isinstance(layer, kind)]


def still_residual_blocks(part: nn.Module) -> None:
    """Let every residual block begin as the identity."""
    for module in part.model:
        if hasattr(module, "block"):
            nn.init.zeros_(module.block[-1].conv.conv.weight)
            nn.init.zeros_(module.block[-1].conv.conv.bias)


def connect(layer: nn.Conv1d, matrix: Tensor, bias: Tensor) -> None:
    """Set the leading output channels of `layer` to `matrix` at the middle tap, and to `bias`."""
    rows, columns = matrix.shape
    layer.weight[:rows] = 0
    layer.weight[:rows, :columns, layer.kernel_size[0] // 2] = matrix
    layer.bias[:rows] = bias


def hand_on_samples(
    first: nn.Conv1d, downs: list[nn.Conv1d], leave: nn.Conv1d, ups: list[nn.ConvTranspose1d]
) -> list[int]:
    """Let the strided layers hand on every sample; gives the place in its block by channel."""
    connect(first, torch.tensor([[SMALL_SIGNAL]]), torch.zeros(1))
    connect(leave, torch.tensor([[1 / SMALL_SIGNAL]]), torch.zeros(1))
    offsets, block = [0], 1
    for down, up in zip(downs, ups, strict=True):
        stride, used = down.stride[0], len(offsets)
        left = stride - stride // 2  # SEANet's padding, and what its decoder trims
        down.weight[: used * stride] = 0
        down.bias[: used * stride] = 0
        up.weight[:, :used] = 0
        up.bias[:used] = 0
        for channel in range(used):
            for step in range(stride):
                down.weight[channel * stride + step, channel, left + step] = 1
                up.weight[channel * stride + step, channel, left + step] = 1
        offsets = [offset + block * step for offset in offsets for step in range(stride)]
        block *= stride
    return offsets


def hand_on_levels(leave: nn.Conv1d, ups: list[nn.ConvTranspose1d]) -> None:
    """Let the levels of the noise pass from 600 Hz to the sound, each held for a step."""
    block = 1
    leave.weight[1:] = 0
    leave.bias[1:] = 0
    for index in range(ENVELOPES):
        leave.weight[1 + index, 1 + index, leave.kernel_size[0] // 2] = 1 / SMALL_SIGNAL
    for up in ups:
        stride = up.stride[0]
        left, inner = stride - stride // 2, block * stride
        up.weight[:, block : block + ENVELOPES] = 0
        up.bias[block : block + ENVELOPES] = 0
        for index in range(ENVELOPES):
            up.weight[inner + index, block + index, left : left + stride] = 1
        block = inner


def by_taps(filters: Tensor, offsets: list[int]) -> Tensor:
    """Filters over samples (N, taps * block) as kernels over channels: (N, block, taps)."""
    return filters.unflatten(1, (-1, len(offsets))).mT[:, offsets]


def add_probes(third: nn.Conv1d, offsets: list[int], audio: Tensor) -> None:
    """Give the layer at 600 Hz the band-passed signals, each with both signs, in spare channels.

    Their level is such that ELU bends at what is loud there: ELU(x) + ELU(-x) grows as |x|.
    """
    taps = 2 * BLOCK
    time = (torch.arange(taps) + 0.5 - taps / 2) / RATE
    width = (RATE / 2 - EDGE) / PROBES
    centres = EDGE + width * (torch.arange(PROBES)[:, None] + 0.5)
    phases = torch.arange(PROBES)[:, None] * 2.4  # any that differ
    filters = torch.hann_window(taps) * torch.cos(2 * math.pi * centres * time + phases)
    loud = F.conv1d(audio, filters[:, None], stride=7).abs().transpose(0, 1).flatten(1)
    level = loud[:, : 2**22].kthvalue(int(0.95 * min(loud.shape[1], 2**22)), dim=1).values
    filters *= (2 / (SMALL_SIGNAL * level.clamp_min(1e-3)))[:, None]
    kernels = by_taps(filters, offsets)
    for sign, begin in ((1, BLOCK), (-1, BLOCK + PROBES)):
        third.weight[begin : begin + PROBES] = 0
        third.weight[begin : begin + PROBES, :8] = sign * kernels
        third.bias[begin : begin + PROBES] = 0


def band_power(audio: Tensor, low: float, high: float) -> Tensor:
    """Mean square of `audio` between two frequencies in Hz."""
    spectrum = torch.fft.rfft(audio)
    frequency = torch.fft.rfftfreq(audio.shape[-1], 1 / RATE)
    spectrum[..., (frequency < low) | (frequency >= high)] = 0
    return torch.fft.irfft(spectrum, audio.shape[-1]).square().mean()
