"""The PatchGAN: judges overlapping patches of a map, one logit each."""

from typing import Literal

from torch import Tensor, nn

from experiments.shared.kinds import PositiveInt

NORMS = {
    "batch": nn.BatchNorm2d,
    # One group: what a patch is judged by then depends on its own map alone.
    "group": lambda channels: nn.GroupNorm(1, channels),
}


class Discriminator(nn.Module):
    """Maps (B, 1, H, W) -> logits (B, 1, h, w); 256 x 256 -> 30 x 30, each sees 70 x 70 pixels.

    Isola et al. 2017. At width 64 and depth 3 it has 2,763,585 parameters, with either norm.

    Args:
        width: channels after the first layer; doubled up to eight times it.
        depth: layers with stride 2.
        norm: "group", or "batch" as published.
    """

    def __init__(
        self,
        width: PositiveInt = 64,
        depth: PositiveInt = 3,
        norm: Literal["group", "batch"] = "group",
    ):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        channels = width
        for level in range(1, depth + 1):
            wider = width * min(2**level, 8)
            stride = 2 if level < depth else 1
            layers += [nn.Conv2d(channels, wider, 4, stride, 1, bias=False), NORMS[norm](wider)]
            layers.append(nn.LeakyReLU(0.2))
            channels = wider
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, 1, 1))
        self.apply(start)

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps)


def start(module: nn.Module) -> None:
    """The published initial weights: N(0, 0.02), norms N(1, 0.02)."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
