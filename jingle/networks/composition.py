"""The compositional agent: each source is taken apart by soft masks, the parts make the new piece.

Axes: B batch, C latent channels, T frames (75 a second), W width. Latents are standardised.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.shared.kinds import PositiveInt
from jingle.networks.cascade import blur
from jingle.networks.loudness import Levels, Separated

HPSS = (1.0, 0.0, 0.0, 1.0)  # the masks that give its own parts
MOST = 1.5  # of a mask: overlapping sources may cancel, so that a part exceeds the mix
# What a cell is compared with: its neighbours in the spectrum, or in time (channels or frames).
NEIGHBOURS = (("channels", 15), ("frames", 31), ("channels", 5), ("frames", 9))


def log_power(latents: Tensor, frames: int = 3) -> Tensor:
    """Log of the power (B, C, T) over `frames` frames: latents oscillate, power does not."""
    return (pooled(latents.square(), "frames", frames) + 1e-3).log()


def pooled(x: Tensor, along: str, size: int) -> Tensor:
    """Mean of (B, C, T) over `size` neighbours along "channels" or "frames", ends repeated."""
    x = x.transpose(1, 2) if along == "channels" else x
    x = F.avg_pool1d(F.pad(x, (size // 2, size // 2), mode="replicate"), size, 1)
    return x.transpose(1, 2) if along == "channels" else x


class Heard(nn.Module):
    """A residual block with a long memory: dilated depthwise, then pointwise convolutions."""

    def __init__(self, width: int, dilation: int, kernel: int = 7):
        super().__init__()
        reach = dilation * (kernel // 2)
        self.norm = nn.GroupNorm(1, width)
        self.depth = nn.Conv1d(width, width, kernel, padding=reach, dilation=dilation, groups=width)
        self.widen, self.narrow = nn.Conv1d(width, 2 * width, 1), nn.Conv1d(2 * width, width, 1)
        nn.init.zeros_(self.narrow.bias)
        with torch.no_grad():
            self.narrow.weight *= 0.3  # near the identity at first, whatever the depth

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.gelu(self.widen(self.depth(self.norm(x)))))


def stack(width: int, depth: int) -> nn.Sequential:
    """`depth` blocks whose dilations double and begin again after four: +-0.6 s each round."""
    return nn.Sequential(
        *(Heard(width, 2 ** (k % 4)) for k in range(depth)), nn.GroupNorm(1, width)
    )


class Decomposition(nn.Module):
    """Takes any source apart: four independent soft masks in [0, 1.5], two for either part.

    What median filters find (HPSS, Fitzgerald 2010), percussive p and harmonic h = source - p, is
    heard beside the source; the rhythmic part is m p + n h, the harmonic one likewise, each mask
    cell by cell, so that an untrained network gives HPSS's parts. A network that hears all channels
    for 0.6 s and, linearly, each cell's own contrasts (log power against its neighbours' in the
    spectrum and in time, and p against h) learns what to move. One network takes both sources
    apart, so that each teaches all masks.
    """

    def __init__(self, channels: int = 128, *, width: PositiveInt = 192, depth: PositiveInt = 6):
        super().__init__()
        contrasts = len(NEIGHBOURS) + 1
        self.read = nn.Conv1d((4 + len(NEIGHBOURS)) * channels, width, 1)
        self.blocks = stack(width, depth)
        self.write = nn.Conv1d(width, 4 * channels, 1)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)
        first = torch.tensor(HPSS)
        self.start = nn.Parameter(first[:, None, None].repeat(1, channels, 1))
        self.guess = nn.Parameter(torch.zeros(4, contrasts, channels, 1))

    def masks(self, source: Tensor, percussive: Tensor) -> tuple[Tensor, ...]:
        """Of p and h for the rhythmic part, of p and h for the harmonic one, each (B, C, T)."""
        power, sharp = log_power(source), log_power(percussive)
        smooth = log_power(source - percussive)
        around = [pooled(power, along, size) for along, size in NEIGHBOURS]
        seen = [source, percussive, *(0.3 * x for x in (power, sharp - smooth, *around))]
        corrections = self.write(self.blocks(self.read(torch.cat(seen, 1)))).float().chunk(4, 1)
        contrast = torch.stack([*(x - power for x in around), sharp - smooth], 1).float()
        # 0.0: ONNX takes no mixture of whole and broken numbers
        return tuple(
            (first + correction + (weights * contrast).sum(1)).clamp(0.0, MOST)
            for first, correction, weights in zip(self.start, corrections, self.guess, strict=True)
        )

    def forward(
        self, source: Tensor, percussive: Tensor, share: Tensor | float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """The rhythmic and the harmonic part (B, C, T) of sources; `percussive` is HPSS's.

        `share`, of what the network would change in HPSS's parts, broadcasts against (B, C, T).
        """
        harmonic = source - percussive
        m_p, m_h, n_p, n_h = (
            first + share * (mask - first)
            for first, mask in zip(HPSS, self.masks(source, percussive), strict=True)
        )
        return m_p * percussive + m_h * harmonic, n_p * percussive + n_h * harmonic


class Refinement(nn.Module):
    """One stage: hears parts, sources and the piece so far, and proposes what to change in it.

    The change is multiplicative and additive: more or less of either source, cell by cell, and what
    no mask of the sources carries, in proportion to how loud they are around a cell: what is silent
    in both stays silent. It is 0 at first.
    """

    SEEN = 5  # both parts, the piece, both sources

    def __init__(self, channels: int, width: PositiveInt, depth: PositiveInt):
        super().__init__()
        self.read = nn.Conv1d(2 * self.SEEN * channels, width, 1)
        self.blocks = stack(width, depth)
        self.write = nn.Conv1d(width, 3 * channels, 1)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)

    def forward(self, x: Tensor, y: Tensor, piece: Tensor, a: Tensor, b: Tensor) -> Tensor:
        seen = (x, y, piece, a, b)
        heard = torch.cat([*seen, *(0.3 * log_power(z) for z in seen)], 1)
        more_a, more_b, more = self.write(self.blocks(self.read(heard))).float().chunk(3, 1)
        near = pooled(pooled(a.square() + b.square(), "frames", 3), "channels", 5)
        return torch.tanh(more_a) * a + torch.tanh(more_b) * b + (near + 1e-8).sqrt() * more


class Recomposition(nn.Module):
    """The writer of the compositional agent: parts made equally loud, added up, refined in stages.

    o_0 = the parts' sum; o_k+1 = o_k + change_k. A stage learns from a detached o_k: it cannot
    make an earlier one worse to look better itself, and each is supervised.
    """

    def __init__(
        self, channels: int = 128, widths: tuple[PositiveInt, ...] = (128,), *, depth: int = 4
    ):
        super().__init__()
        self.levels = Levels(channels)
        self.stages = nn.ModuleList(Refinement(channels, width, depth) for width in widths)

    def forward(
        self,
        a: Tensor,
        b: Tensor,
        parts: tuple[Tensor, Tensor],
        noise: float = 0.0,
        separated: Separated | None = None,
        shares: Sequence[Tensor | float] = (),
    ) -> list[Tensor]:
        """o_0, o_1, ... (B, C, T).

        Args:
            a: the input.
            b: the target.
            parts: of either, (B, C, T).
            noise: as in `blur`.
            separated: what HPSS found, and how loud it is.
            shares: of each stage's change that is made; none: all of it.
        """
        x, y = parts
        if noise:
            a, b, x, y = (blur(z, noise) for z in (a, b, x, y))
        gains = self.levels(x, y, a, b, separated)
        x, y = gains[0] * x, gains[1] * y
        output = x + y
        outputs = [output]
        for stage, share in zip(self.stages, shares or (1.0,) * len(self.stages), strict=True):
            before = output.detach()
            output = before + share * stage(x.detach(), y.detach(), before, a, b)
            outputs.append(output)
        return outputs
