"""Intervals around estimated maps: from the spread of several maps, as wide as they have to be.

How many standard deviations an interval has is measured on validation cities (split conformal
prediction, Lei et al. 2018), so that on those the shares hold by construction; whether they hold on
unseen cities is what is tested. Axes: K maps, B batch, H W map. Maps are gray in [0, 1].
"""

import torch
from torch import Tensor, nn
from torchmetrics import Metric

SHARES = (0.5, 0.9)
GAUSSIAN = (0.6745, 1.6449)  # standard deviations on either side of what a Gaussian has these for
FLOOR = 0.5 / 255  # gray; a spread below the rounding of maps is none
BINS, FINEST, COARSEST = 2000, -3.0, 3.0  # of log10 of the ratio of error and spread


def spread(maps: Tensor) -> Tensor:
    """(K, B, 1, H, W) -> standard deviation (B, 1, H, W), at least `FLOOR`."""
    return maps.std(0).clamp_min(FLOOR)


class Calibration(Metric):
    """Ratios of error and spread at free pixels, as a histogram: coverage, and widths to take."""

    full_state_update = False

    def __init__(self):
        super().__init__()
        self.add_state("counts", torch.zeros(BINS, dtype=torch.float64), dist_reduce_fx="sum")
        zero = torch.zeros((), dtype=torch.float64)
        self.add_state("width", zero, dist_reduce_fx="sum")

    def update(self, centre: Tensor, spreads: Tensor, maps: Tensor, buildings: Tensor) -> None:
        outside = ~buildings
        ratio = ((maps - centre).abs() / spreads)[outside].clamp_min(10**FINEST)
        place = (ratio.log10() - FINEST) / (COARSEST - FINEST) * BINS
        found = place.long().clamp(0, BINS - 1)
        self.counts += torch.bincount(found, minlength=BINS).double()
        self.width += spreads[outside].double().sum()

    @property
    def ends(self) -> Tensor:
        """(BINS,): the ratio at each bin's upper end."""
        exponents = torch.arange(1, BINS + 1) / BINS * (COARSEST - FINEST) + FINEST
        return 10**exponents

    def compute(self) -> tuple[Tensor, float]:
        """(BINS,): share of pixels whose ratio is at most `ends`; mean spread (gray) of them."""
        pixels = self.counts.sum()
        return (self.counts.cumsum(0) / pixels).cpu(), float(self.width / pixels)

    def widths(self) -> tuple[float, ...]:
        """Standard deviations on either side that cover `SHARES` of the pixels."""
        at = torch.searchsorted(self.compute()[0], torch.tensor(SHARES, dtype=torch.float64))
        return tuple(self.ends[at.clamp_max(BINS - 1)].tolist())

    def coverage(self, widths: tuple[float, ...]) -> tuple[float, ...]:
        """Share of pixels within so many standard deviations, for each of `widths`."""
        below = self.compute()[0]
        at = torch.searchsorted(self.ends, torch.tensor(widths) * 0.9999)
        return tuple(below[at.clamp_max(BINS - 1)].tolist())


class Widths(nn.Module):
    """Measured, not learned: standard deviations to take for each of `SHARES`; in checkpoints."""

    def __init__(self):
        super().__init__()
        self.register_buffer("values", torch.tensor(GAUSSIAN))

    def take(self, found: tuple[float, ...]) -> None:
        self.values.copy_(torch.tensor(found))
