"""What a map must beat: four that nobody trained, built from the training frames' statistics.

Each is a function (coordinates (B, D), inverse) -> (coordinates (B, D), log-determinant (B,)).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from molecular_flow.coordinates.internal import InternalCoordinates, wrap
from molecular_flow.flow.splines import MIN_BIN, spline

Map = Callable[[Tensor, bool], tuple[Tensor, Tensor]]


def make(
    coordinates: InternalCoordinates, frames: dict[float, Tensor], centre: Tensor, bins: int = 12
) -> dict[str, Map]:
    """The baselines by name, for training frames {source: (M, D), target: (M, D)}.

    identity: plain replica exchange. stretch: stiff coordinates by sqrt(T_t / T_s) about their
    source mean, exact for harmonic modes. moment_match: each stiff coordinate's mean and deviation
    matched. marginal_splines: stretch, and each torsion's own distribution matched at `bins`
    quantiles about `centre` (K,).
    """
    (source, first), (target, second) = frames.items()
    split, half = coordinates.stiff, coordinates.period / 2
    mean_s, mean_t = first[:, :split].mean(0), second[:, :split].mean(0)
    deviation_s, deviation_t = first[:, :split].std(0), second[:, :split].std(0)
    ratio = torch.full_like(mean_s, (target / source) ** 0.5)
    levels = torch.linspace(0, 1, bins + 1, device=first.device)[1:-1]
    turns = [wrap(z[:, split:] - centre, 2 * half) / half for z in (first, second)]
    edges = [_edges(turn, levels) for turn in turns]
    sizes = torch.stack([edge.diff(dim=1) for edge in edges], 1)  # (K, 2, bins)
    density = sizes[:, 1] / sizes[:, 0]
    inner = 2 / (1 / density[:, 1:] + 1 / density[:, :-1])
    ends = 2 / (1 / density[:, :1] + 1 / density[:, -1:])
    slope = torch.cat([ends, inner, ends], 1)

    def torsions(turn: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        shape = (p.expand(len(turn), *p.shape) for p in (sizes, slope))
        value, log = spline(turn, *shape, inverse)
        return value, log.sum(1)

    def identity(z: Tensor, inverse: bool):
        return z, torch.zeros_like(z[:, 0])

    def scaled(scale: Tensor, start: Tensor, end: Tensor, with_splines: bool = False) -> Map:
        def apply(z: Tensor, inverse: bool):
            stiff, torsion = z[:, :split], z[:, split:]
            if inverse:
                stiff, log = start + (stiff - end) / scale, -scale.log().sum()
            else:
                stiff, log = end + (stiff - start) * scale, scale.log().sum()
            log = log.expand(len(z))
            if with_splines:
                turn, bend = torsions(wrap(torsion - centre, 2 * half) / half, inverse)
                torsion, log = centre + turn * half, log + bend
            return torch.cat([stiff, torsion], 1), log

        return apply

    return {
        "identity": identity,
        "stretch": scaled(ratio, mean_s, mean_s),
        "moment_match": scaled(deviation_t / deviation_s, mean_s, mean_t),
        "marginal_splines": scaled(ratio, mean_s, mean_s, with_splines=True),
    }


def _edges(turn: Tensor, levels: Tensor) -> Tensor:
    """Quantiles (K, bins + 1) of columns of (M, K), from -1 to 1, none closer than a bin may be."""
    rows = turn[:: max(1, len(turn) // 100_000)]
    inner = torch.quantile(rows, levels.to(rows), dim=0).T
    one = torch.ones_like(inner[:, :1])
    edges = torch.cat([-one, inner, one], 1)
    gaps = edges.diff(dim=1).clamp_min(2 * MIN_BIN)
    gaps = 2 * gaps / gaps.sum(1, keepdim=True)
    return torch.cat([-one, -1 + gaps.cumsum(1)[:, :-1], one], 1)
