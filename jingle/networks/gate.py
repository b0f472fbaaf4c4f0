"""The agent: one gate decides, for groups of channels at a musical rate, whose latents pass.

Axes: B batch, C latent channels, T frames (75 a second), K groups of neighbouring channels, N gate
frames (`frames` latent frames each: 8 give 9.4 a second), W width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.shared.kinds import PositiveInt
from jingle.networks.cascade import Attention, rotary


def balance(logits: Tensor, temperature: float, *, rounds: int = 24) -> Tensor:
    """Shift the logits (B, ...) of each sample so that sigmoid(logits / temperature) has mean 0.5.

    The shift starts from the median, is found by bisection, and gets its gradient from one Newton
    step at the root (the implicit function theorem): a mean that cannot move sends no gradient.
    """
    flat = logits.flatten(1)
    with torch.no_grad():
        middle = flat.median(1, keepdim=True).values
        reach = 8 * temperature + (flat.mean(1, keepdim=True) - middle).abs()
        low, high = middle - reach, middle + reach
        for _ in range(rounds):
            middle = (low + high) / 2
            above = torch.sigmoid((flat - middle) / temperature).mean(1, keepdim=True) > 0.5
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        gate = torch.sigmoid((flat - middle) / temperature)
        slopes = gate * (1 - gate)
        slopes = slopes / slopes.sum(1, keepdim=True).clamp_min(1e-12)
    shift = middle + (slopes * (flat - flat.detach())).sum(1, keepdim=True)
    return (flat - shift).view_as(logits)


def spread(logits: Tensor) -> Tensor:
    """Centre the logits (B, ...) of each sample on their median, and make their lower quartile 1.

    Three quarters of the cells then have an absolute logit of at least 1, whatever their
    distribution. (Scaled by their standard deviation, a few large logits let most others sit near
    0, where the gate passes both halves: it learned to, and complementarity fell to 0.88.)
    """
    flat = logits.flatten(1)
    flat = flat - flat.median(1, keepdim=True).values
    quartile = flat.abs().kthvalue(max(1, flat.shape[1] // 4), 1, keepdim=True).values
    return (flat / (quartile + 1e-4)).view_as(logits)


class Local(nn.Module):
    """A residual block that hears its neighbours: depthwise, then pointwise, convolution."""

    def __init__(self, width: int, kernel: int = 5):
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.depth = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.point = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.point(F.gelu(self.depth(self.norm(x))))


class Gate(nn.Module):
    """One logit field L (B, K, N) from both sources; masks g and 1 - g of (B, C, T).

    By construction: masks sum to one (coverage error 0), each sample's mask has mean 0.5
    (`balance`), and the lower quartile of its absolute logits is 1 (`spread`), so that
    `temperature` alone sets how sharp the gate is: Gaussian logits give 4 E[g(1-g)] of about 0.51 x
    temperature below 0.5 (4 times their density at 0, which is 0.319, the lower quartile of a
    standard normal's absolute value, over sqrt(2 pi)). A fixed binomial filter in time keeps it
    from chattering; logits are interpolated before the sigmoid, which keeps edges sharp.
    """

    def __init__(
        self,
        channels: int = 128,
        *,
        groups: PositiveInt = 16,
        width: PositiveInt = 192,
        heads: PositiveInt = 4,
        depth: PositiveInt = 2,
        frames: PositiveInt = 8,
    ):
        super().__init__()
        if channels % groups:
            raise ValueError(f"expected groups that divide {channels} channels, got {groups}")
        self.frames, self.heads = frames, heads
        self.read = nn.ModuleList(nn.Conv1d(2 * channels, width, 1) for _ in "ab")
        self.join = nn.Conv1d(2 * width, width, 1)
        self.before = nn.Sequential(*(Local(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)  # one for both directions
        self.after = nn.Sequential(*(Local(width) for _ in range(depth)))
        self.write = nn.Conv1d(width, groups, 1)
        # which fields each channel follows; at first its own group's
        self.share = nn.Parameter(torch.eye(groups).repeat_interleave(channels // groups, 0))
        self.register_buffer("filter", torch.tensor([[[0.25, 0.5, 0.25]]]), persistent=False)

    def heard(self, latents: Tensor) -> Tensor:
        """Mean and log power of each channel in each gate frame: (B, C, T) -> (B, 2 C, N).

        Latents oscillate; where a source is loud shows in their power, which a few convolutions
        would have to learn first.
        """
        latents = F.pad(latents, (0, -latents.shape[-1] % self.frames), mode="replicate")
        mean, power = (F.avg_pool1d(z, self.frames) for z in (latents, latents.square()))
        return torch.cat([mean, (power + 1e-2).log()], 1)

    def logits(self, a: Tensor, b: Tensor) -> Tensor:
        """The field (B, K, N), not yet centred or scaled, from standardised latents (B, C, T)."""
        x, y = (read(self.heard(z)) for read, z in zip(self.read, (a, b), strict=True))
        local = self.before(self.join(torch.cat([x, y], 1)))
        left, right = (self.norm(z.transpose(1, 2)) for z in (x, y))
        angles = rotary(left.shape[1], left.shape[2] // self.heads, left)
        across = self.attention(left, right, angles) + self.attention(right, left, angles)
        return self.write(self.after(local + across.transpose(1, 2)))

    def forward(self, a: Tensor, b: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        field = self.logits(a, b).float()
        with torch.autocast(field.device.type, enabled=False):
            smooth = F.pad(field, (1, 1), mode="replicate").flatten(0, 1)[:, None]
            smooth = F.conv1d(smooth, self.filter).view_as(field)
            smooth = F.interpolate(self.share @ smooth, scale_factor=self.frames, mode="linear")
            smooth = smooth[..., : a.shape[-1]]
            smooth = spread(smooth)
            gate = torch.sigmoid(balance(smooth, temperature) / temperature)
        return gate, 1 - gate
