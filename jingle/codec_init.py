"""Starts a SEANet codec as a lapped orthogonal transform, so that training need not find one.

Each strided SEANet convolution has a kernel of twice its stride: the shape of a lapped transform
(MDCT, Princen and Bradley 1986). We set every stage to the MDCT of each channel followed by the
Karhunen-Loeve transform of what that gives on sample sounds, and the decoder to its transpose; a
shift keeps the signal in ELU's linear part. Before any training the codec then is a linear
transform coder with the 127 strongest of 320 coefficients a frame; training starts from there.

Axes: `B` batch, `C` channels, `T` time steps of the stage at hand.
"""

import math

import torch
from torch import Tensor, nn

SHIFT = 4.0  # how many standard deviations of a channel stay in ELU's linear part


def mdct_basis(stride: int) -> Tensor:
    """The MDCT's analysis basis with a sine window: (stride, 2 stride), rows orthonormal."""
    j, m = torch.arange(2 * stride), torch.arange(stride)[:, None]
    window = torch.sin(math.pi / (2 * stride) * (j + 0.5))
    phase = math.pi / stride * (j + 0.5 + stride / 2) * (m + 0.5)
    return math.sqrt(2 / stride) * window * torch.cos(phase)


def convolutions(part: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    """The `kind` layers directly in the SEANet chain, residual blocks left out."""
    wrapped = [getattr(getattr(m, "conv", None), "conv", None) for m in part.model]
    wrapped += [getattr(getattr(m, "convtr", None), "convtr", None) for m in part.model]
    return [layer for layer in wrapped if isinstance(layer, kind)]


def still_residual_blocks(part: nn.Module) -> None:
    """Let every residual block begin as the identity."""
    for module in part.model:
        if hasattr(module, "block"):
            last = module.block[-1].conv.conv
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)


@torch.no_grad()
def lapped_start(encoder: nn.Module, decoder: nn.Module, audio: Tensor, gain: float = 1.0) -> None:
    """Set both networks' weights in place.

    Args:
        encoder: a SEANetEncoder with norm "none", true skips and no LSTM.
        decoder: its SEANetDecoder.
        audio: (B, 1, S) sample sounds; some 100 s suffice.
        gain: factor on the signal inside.
    """
    still_residual_blocks(encoder)
    still_residual_blocks(decoder)
    first, *downs, last = convolutions(encoder, nn.Conv1d)
    entry, leave = convolutions(decoder, nn.Conv1d)
    ups = convolutions(decoder, nn.ConvTranspose1d)[::-1]
    signal = audio * gain
    _connect(first, torch.eye(1), gain)
    shift = SHIFT * signal.std(dim=(0, 2))
    first.bias[: len(shift)] = shift
    _connect(leave, torch.eye(1), 1 / gain)
    leave.bias.copy_(-shift / gain)
    for index, (down, up) in enumerate(zip(downs, ups, strict=True)):
        stride, used = down.stride[0], signal.shape[1]
        lapped = torch.kron(torch.eye(used), mdct_basis(stride).flatten()[None])
        lapped = lapped.reshape(used, used, stride, 2 * stride)  # C out, C in, band, tap
        lapped = lapped.transpose(1, 2).reshape(used * stride, used, 2 * stride)
        room = down.out_channels - (index == len(downs) - 1)
        left = stride - stride // 2
        padded = nn.functional.pad(signal, (left, stride // 2), mode="reflect")
        signal = nn.functional.conv1d(padded, lapped, stride=stride)
        rotation = _strongest(signal, room)
        signal = torch.einsum("kc,bct->bkt", rotation, signal)
        basis = torch.einsum("kc,cij->kij", rotation, lapped)
        kept, after = len(basis), SHIFT * signal.std(dim=(0, 2))
        nn.init.zeros_(down.weight[:kept])
        down.weight[:kept, :used] = basis
        down.bias[:kept] = after - (basis.sum(dim=2) @ shift)
        # what constant inputs leave behind has the stride's period: a constant channel cancels it
        up.weight[:, : used + 1] = 0
        up.weight[:kept, :used] = basis
        up.weight[kept, :used] = -torch.einsum("k,kij->ij", after, basis)
        up.bias[:used] = shift
        up.bias[used : used + 1] = 1.0
        shift = after
    kept = len(shift)
    size = signal.std(dim=(0, 2))
    size = size.clamp_min(1e-3 * float(size.max()))  # directions that the samples never took
    _connect(last, torch.diag(1 / size), 1.0)
    last.bias[:kept] = -shift / size
    _connect(entry, torch.diag(size), 1.0)
    entry.bias[:kept] = shift
    entry.weight[kept:] = 0
    entry.bias[kept:] = 1.0


def _connect(layer: nn.Conv1d, matrix: Tensor, gain: float) -> None:
    """Set the leading channels of `layer` to gain * `matrix` at the middle tap."""
    rows, columns = matrix.shape
    layer.weight[:rows] = 0
    layer.weight[:rows, :columns, layer.kernel_size[0] // 2] = gain * matrix
    layer.bias[:rows] = 0


def _strongest(signal: Tensor, count: int) -> Tensor:
    """The directions of largest power, (min(count, C), C), strongest first."""
    flat = signal.transpose(0, 1).flatten(1)
    _, directions = torch.linalg.eigh(flat @ flat.T / flat.shape[1])
    return directions.flip(1)[:, :count].T.contiguous()
