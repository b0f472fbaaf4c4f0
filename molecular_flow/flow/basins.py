"""Where the torsions' splines start: each basin stretched within its own walls.

Between two temperatures a torsion's frames spread within every basin, as stiff coordinates do, and
some change basin. A start that gives basins their right shares, too, puts frames onto barriers; so
the cuts between basins stay in place here, and quantiles are matched from cut to cut.

Axes: `M` frames, `J` bins of a spline. Torsions are in units of half a period about their centres.
"""

import itertools
import math

import torch
from torch import Tensor

from molecular_flow.coordinates.internal import wrap
from molecular_flow.flow.splines import MIN_BIN, MIN_SLOPE, SHIFT

PLACES = 72  # of the histograms that are searched for basins, and for where nobody is
SMOOTH = 5  # places
SHALLOW = 0.5  # of the lower of two peaks: what lies between them is no cut from here on
FEW = 100  # frames in a basin at either temperature, below which it is left alone
TAIL = 0.05  # the outermost quantiles that are matched
STEP = 0.04  # of a quantile's level, for its slope
STEEPEST = 3.0


def start(cold: Tensor, hot: Tensor, bins: int) -> Tensor:
    """Parameters (3 J,), as `splines.knots` reads them, of the map from `cold` to `hot` (M,).

    Zero, which is the identity, where no basin has frames enough.
    """
    bounds = [-1.0, *cuts(torch.cat([cold, hot]), bins), 1.0]
    parts = list(itertools.pairwise(bounds))
    frames = [[x[(x >= a) & (x < b)].double() for x in (cold, hot)] for a, b in parts]
    if max(min(len(one), len(two)) for one, two in frames) < FEW:
        return torch.zeros(3 * bins, dtype=torch.float64)
    counts = _allotted([min(len(one), len(two)) for one, two in frames], bins)
    edges, slopes = [[-1.0], [-1.0]], [1.0]
    for (_, right), sides, count in zip(parts, frames, counts, strict=True):
        levels = _levels(count)
        ends = torch.cat([(levels - STEP).clamp_min(0.005), (levels + STEP).clamp_max(0.995)])
        inner, spans = [], []
        for side, row in zip(sides, edges, strict=True):
            if count > 1:
                inner = torch.quantile(side, levels).tolist()
                spans.append(torch.quantile(side, ends).view(2, -1).diff(dim=0)[0])
                row += inner
            row.append(right)
        if count > 1:
            slopes += (spans[1] / spans[0]).clamp(1 / STEEPEST, STEEPEST).tolist()
        slopes.append(1.0)
    sizes = torch.tensor(edges, dtype=torch.float64).diff(dim=1).clamp_min(4 * MIN_BIN)
    sizes = 2 * sizes / sizes.sum(1, keepdim=True)
    secant = sizes[1] / sizes[0]
    slope = torch.tensor(slopes[:-1], dtype=torch.float64)
    walls = torch.tensor([any(abs(x - b) < 1e-9 for b in bounds) for x in edges[0][:-1]])
    both = 2 / (1 / secant + 1 / secant.roll(1))  # of the bins on either side
    slope = torch.where(walls, both.clamp(1 / STEEPEST, 1.0), slope)
    shares = (sizes - 2 * MIN_BIN).log()
    shares = shares - shares.mean(1, keepdim=True)
    return torch.cat([shares.flatten(), (slope - MIN_SLOPE).expm1().log() - SHIFT])


def circle(angle: Tensor) -> Tensor:
    """Counts (J,) of angles (M,) in radians around the circle."""
    return torch.histc(wrap(angle).float(), PLACES, -math.pi, math.pi)


def centre(counts: Tensor) -> Tensor:
    """The angle opposite to where fewest are, in radians, of counts (J,) as of `circle`."""
    smooth = torch.cat([counts[-4:], counts, counts[:4]]).unfold(0, 9, 1).mean(1)
    empty = (smooth.argmin() + 0.5) / PLACES * 2 * math.pi - math.pi
    return wrap(empty + math.pi)


def cuts(turn: Tensor, bins: int) -> list[float]:
    """Where basins of torsions (M,) meet, rising, within (-1, 1); at most J / 2 - 1 of them."""
    counts = torch.histc(turn.float(), PLACES, -1, 1)
    reach = SMOOTH // 2
    counts = torch.cat([counts[-reach:], counts, counts[:reach]]).unfold(0, SMOOTH, 1).mean(1)
    height = counts.tolist()
    found = []
    for n in range(1, PLACES - 1):
        before, here, after = height[n - 1 : n + 2]
        if (here < before and here <= after) or (here == 0 < before):
            found.append(n)
    while found:
        walls = [0, *found, PLACES - 1]
        peaks = [max(height[a : b + 1]) for a, b in itertools.pairwise(walls)]
        depth = [height[n] / max(min(peaks[i], peaks[i + 1]), 1e-9) for i, n in enumerate(found)]
        worst = max(range(len(found)), key=depth.__getitem__)
        if depth[worst] <= SHALLOW and len(found) < bins // 2:
            break
        found.pop(worst)
    return [(2 * n + 1) / PLACES - 1 for n in found]


def _allotted(frames: list[int], bins: int) -> list[int]:
    """How many of the J bins each basin gets: one, and more where there are frames."""
    given = [1] * len(frames)
    while sum(given) < bins:
        need = [(n**0.5 / g if n >= FEW else 0.0) for n, g in zip(frames, given, strict=True)]
        given[need.index(max(need))] += 1
    return given


def _levels(bins: int) -> Tensor:
    """Quantiles (bins - 1,) that inner knots are put at."""
    if bins == 2:
        return torch.tensor([0.5], dtype=torch.float64)
    return torch.linspace(TAIL, 1 - TAIL, bins - 1, dtype=torch.float64)
