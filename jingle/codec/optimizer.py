"""Adam whose steps are relative to the signals: the codec's channels differ in level by 10,000.

A step of one size for all weights would drown a quiet channel in what leaks from a loud one. Here a
weight from channel j to channel i moves by lr x (RMS of i) / (RMS of j x sqrt(fan-in)), so that one
step of any layer changes any channel by about lr of its level.
"""

import math

import torch
from torch import Tensor, nn

SMALLEST = 1e-8


class LevelAdam(torch.optim.Adam):
    """Adam (no weight decay) with a step size for each weight, in each group's `scale`.

    Each group holds one parameter and `scale`, which is broadcast over it; the groups' scales are
    saved with the optimizer's state.
    """

    @torch.no_grad()
    def step(self, closure=None):
        # Lightning computes the gradients within the closure: take the weights before it
        before = [group["params"][0].clone() for group in self.param_groups]
        result = super().step(closure)
        for group, old in zip(self.param_groups, before, strict=True):
            parameter = group["params"][0]
            scale = group["scale"].to(parameter)
            parameter.copy_(old + (parameter - old) * scale)
        return result


def even_groups(module: nn.Module) -> list[dict]:
    """Groups for `LevelAdam` with steps as in plain Adam."""
    return [{"params": [p], "scale": torch.ones(())} for p in module.parameters()]


@torch.no_grad()
def level_groups(encoder: nn.Module, decoder: nn.Module, audio: Tensor) -> list[dict]:
    """Groups for `LevelAdam`, from the levels that sample sounds (B, 1, S) have in each channel."""
    levels: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    hooks = []

    def listen(layer: nn.Module, arguments: tuple[Tensor], output: Tensor) -> None:
        levels[layer] = (_rms(arguments[0]), _rms(output))

    convolutions = [
        m
        for part in (encoder, decoder)
        for m in part.modules()
        if isinstance(m, nn.Conv1d | nn.ConvTranspose1d)
    ]
    blocks = [m for part in (encoder, decoder) for m in part.modules() if hasattr(m, "block")]
    for module in convolutions + blocks:
        hooks.append(module.register_forward_hook(listen))
    decoder(encoder(audio))
    for hook in hooks:
        hook.remove()
    # what a residual block adds should move relative to what it adds to, silent as it may start
    ends = {block.block[-1].conv.conv: levels[block][0] for block in blocks}
    groups = []
    for layer in convolutions:
        heard, made = levels[layer]
        made = ends.get(layer, made).clamp_min(SMALLEST)
        heard = heard.clamp_min(1e-2 * heard.max())  # silent inputs may not move without bound
        fan_in = math.sqrt(layer.in_channels * layer.kernel_size[0])
        if isinstance(layer, nn.ConvTranspose1d):
            scale = made[None, :, None] / (heard[:, None, None] * fan_in)
        else:
            scale = made[:, None, None] / (heard[None, :, None] * fan_in)
        groups.append({"params": [layer.weight], "scale": scale})
        groups.append({"params": [layer.bias], "scale": 0.1 * made})
    return groups


def _rms(signal: Tensor) -> Tensor:
    return signal.square().mean(dim=(0, 2)).sqrt()
