"""Intervals around estimated maps: from the spread of several maps, as wide as they have to be.

How many standard deviations an interval has is measured on validation cities (split conformal
prediction, Lei et al. 2018), so that on those the shares hold by construction; whether they hold on
unseen cities is what is tested. Axes: K maps, B batch, H W map. Maps are gray in [0, 1].
"""

import math

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

    def widths(self) -> tuple[float, ...]:
        """Standard deviations on either side that cover `SHARES` of the pixels."""
        below = self.counts.cumsum(0) / self.counts.sum()
        at = torch.searchsorted(below.cpu(), torch.tensor(SHARES, dtype=torch.float64))
        return tuple(self.ends[at.clamp_max(BINS - 1)].tolist())

    def compute(self) -> Tensor:
        """(BINS,): share of pixels whose ratio is at most `ends`."""
        return self.counts.cumsum(0) / self.counts.sum()

    def mean_spread(self) -> float:
        """Gray, over the free pixels."""
        return float(self.width / self.counts.sum())

    def coverage(self, widths: tuple[float, ...]) -> tuple[float, ...]:
        """Share of pixels within so many standard deviations, for each of `widths`."""
        found = self.compute().cpu()
        places = [
            round((math.log10(max(w, 10**FINEST)) - FINEST) / (COARSEST - FINEST) * BINS) - 1
            for w in widths
        ]
        return tuple(float(found[min(max(place, 0), BINS - 1)]) for place in places)


class Widths(nn.Module):
    """Measured, not learned: standard deviations to take for each of `SHARES`; in checkpoints."""

    def __init__(self):
        super().__init__()
        self.register_buffer("values", torch.tensor(GAUSSIAN))

    def take(self, found: tuple[float, ...]) -> None:
        self.values.copy_(torch.tensor(found))
