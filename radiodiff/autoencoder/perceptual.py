"""LPIPS from local weights: VGG16 features, compared channel by channel (Zhang et al. 2018)."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.shared.errors import InputError

WIDTHS = (64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)
HOW = (
    "give local files with model.perceptual.vgg=FILE (state dict of torchvision's vgg16) and "
    "model.perceptual.heads=FILE (lpips' vgg.pth); nothing is downloaded. Or set loss.perceptual=0"
)


class Perceptual(nn.Module):
    """Distance of maps (B, 1, H, W) in [-1, 1] as a mean over the batch; frozen.

    Args:
        vgg: file with the weights `features.N.weight` and `.bias`.
        heads: file with `lin0.model.1.weight` to `lin4...`, (1, C, 1, 1) each.

    Raises:
        InputError: a file is missing or holds other weights.
    """

    def __init__(self, vgg: str, heads: str):
        super().__init__()
        self.stages, channels = nn.ModuleList(), 3
        weights, place = read(vgg), 0
        try:
            for index, widths in enumerate(WIDTHS):
                layers: list[nn.Module] = [nn.MaxPool2d(2)] if index else []
                place += bool(index)
                for width in widths:
                    conv = nn.Conv2d(channels, width, 3, padding=1)
                    for name, own in conv.named_parameters():
                        own.data.copy_(weights[f"features.{place}.{name}"])
                    layers += [conv, nn.ReLU()]
                    channels, place = width, place + 2
                self.stages.append(nn.Sequential(*layers))
            lines = read(heads)
            self.heads = [lines[f"lin{k}.model.1.weight"].float() for k in range(len(WIDTHS))]
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"{vgg}, {heads}: not the expected weights ({error}); {HOW}"
            ) from error
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])
        self.requires_grad_(False)

    def forward(self, made: Tensor, maps: Tensor) -> Tensor:
        a, b = ((x - self.shift) / self.scale for x in (made, maps))  # gray becomes three channels
        distance = made.new_zeros(())
        for stage, line in zip(self.stages, self.heads, strict=True):
            a, b = stage(a), stage(b)
            apart = (F.normalize(a, dim=1, eps=1e-10) - F.normalize(b, dim=1, eps=1e-10)).square()
            distance = distance + (apart * line.to(apart)).sum(1).mean()
        return distance


def read(file: str) -> dict[str, Tensor]:
    if not Path(file).is_file():
        raise InputError(f"loss.perceptual: no file {file}; {HOW}")
    return torch.load(file, map_location="cpu", weights_only=True)


def build(weight: float, files: dict[str, str] | None) -> Perceptual | None:
    """The distance where it weighs anything.

    Raises:
        InputError: a weight, but no files.
    """
    if not weight:
        return None
    if not files or not files.get("vgg") or not files.get("heads"):
        raise InputError(f"loss.perceptual={weight}, but no weights: {HOW}")
    return Perceptual(files["vgg"], files["heads"])
