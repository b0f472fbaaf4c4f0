"""The networks of estimation: a U-Net, and the regressor from a place to its radio map in one step.

Axes: B batch, K channels of `fields.CHANNELS`, C channels of a level, H W map.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.shared.errors import InputError
from experiments.shared.kinds import PositiveInt, Widths
from radiodiff.estimate.fields import CHANNELS, PLAN, along_way_round

FOLD = 2  # pixels a side that the first level takes as one position


class Block(nn.Module):
    """3x3, norm, swish, twice, beside the identity (1x1 where widths differ)."""

    def __init__(self, inputs: int, outputs: int, groups: int):
        super().__init__()
        self.conv_in = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv_out = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm_in, self.norm_out = (nn.GroupNorm(groups, outputs) for _ in range(2))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.silu(self.norm_in(self.conv_in(x)))
        return F.silu(self.skip(x) + self.norm_out(self.conv_out(inner)))


class UNet(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H, W), 0 at first; its head sees the inputs again.

    Args:
        inputs: channels.
        outputs: channels.
        widths: channels of each level; each after the first halves the sides.
        groups: of the norms; divides every width.

    Raises:
        InputError: it does not.
    """

    def __init__(self, inputs: int, outputs: int, widths: Widths, groups: int):
        super().__init__()
        if any(width % groups for width in widths):
            raise InputError(f"groups={groups}: expected one that divides all widths, {widths}")
        self.stem = nn.Conv2d(inputs, widths[0], 3, padding=1)
        down = zip((widths[0], *widths), widths, strict=False)
        self.down = nn.ModuleList(Block(a, b, groups) for a, b in down)
        up = list(zip(widths[1:], widths, strict=False))[::-1]
        self.up = nn.ModuleList(Block(a + b, b, groups) for a, b in up)
        # The first level is too narrow to keep every pixel's inputs.
        self.head = nn.Conv2d(widths[0] + inputs, outputs, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        device = inputs.device.type
        if torch.is_autocast_enabled(device):  # once, instead of at the stem and at the head
            inputs = inputs.to(torch.get_autocast_dtype(device))
        x, kept = self.stem(inputs), []
        for level, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if level else x)
            kept.append(x)
        x = kept.pop()
        for block in self.up:
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), kept.pop()], 1))
        # As of both in one, without the copy and a gradient at the inputs: a fourth of a step.
        of_x, of_inputs = self.head.weight.split([x.shape[1], inputs.shape[1]], 1)
        return F.conv2d(x, of_x, self.head.bias, padding=1) + F.conv2d(inputs, of_inputs, padding=1)


class Regressor(UNet):
    """(B, K, H, W) -> gray maps (B, 1, H, W), about [0, 1]: what a U-Net adds to a first guess.

    The guess is free space along the shortest way round the buildings. The network says of every
    pixel how much louder it is, and whether it is occupied: a map is 0 in buildings, but their rims
    in the plan are not quite those of the map, so occupancy is learned, too. Untrained it gives the
    guess outside of the plan.

    Args:
        widths: channels of each level; each after the first halves the sides.
        groups: of the norms; divides every width.
    """

    def __init__(self, widths: Widths = (24, 32, 48, 64, 96, 128), groups: PositiveInt = 8):
        super().__init__(len(CHANNELS) * FOLD**2, 2 * FOLD**2, widths, groups)
        self.multiple = FOLD * 2 ** (len(widths) - 1)

    def forward(self, known: Tensor) -> Tensor:
        found = F.pixel_shuffle(super().forward(F.pixel_unshuffle(known, FOLD)), FOLD)
        louder, occupied = found.float().chunk(2, 1)  # (B, 1, H, W) each
        free = torch.sigmoid(3 - 6 * known[:, PLAN : PLAN + 1] - occupied)
        return (along_way_round(known) + louder) * free


def cut(window: int, fold: int, *images: Tensor) -> tuple[Tensor, ...]:
    """The same random window of images (B, C, H, W), `window` pixels a side.

    It lies at multiples of `fold`. A side that is shorter stays whole.
    """
    tall, wide = (min(window, length) for length in images[0].shape[-2:])
    rooms = ((images[0].shape[-2] - tall) // fold, (images[0].shape[-1] - wide) // fold)
    y, x = (fold * int(torch.randint(room + 1, ())) for room in rooms)
    return tuple(image[..., y : y + tall, x : x + wide] for image in images)
