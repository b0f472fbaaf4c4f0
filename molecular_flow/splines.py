"""Circular rational-quadratic splines: monotone maps of [-1, 1) onto itself, identity at zero.

Durkan, Bekasov, Murray, Papamakarios 2019; on the circle Rezende et al. 2020. The end points are
fixed and share one slope, so that the map and its derivative are continuous across them.
"""

import math

import torch
from torch import Tensor

MIN_BIN = 1e-3
MIN_SLOPE = 1e-2
SHIFT = math.log(math.expm1(1 - MIN_SLOPE))  # softplus(SHIFT) + MIN_SLOPE = 1


def knots(raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Parameters (..., 3 J) of J bins to widths, heights (..., J) and slopes (..., J + 1)."""
    width, height, slope = raw.unflatten(-1, (3, -1)).unbind(-2)
    bins = width.shape[-1]
    room = 2 - 2 * MIN_BIN * bins
    width = 2 * MIN_BIN + room * width.softmax(-1)
    height = 2 * MIN_BIN + room * height.softmax(-1)
    slope = torch.nn.functional.softplus(slope + SHIFT) + MIN_SLOPE
    return width, height, torch.cat([slope, slope[..., :1]], -1)


def spline(
    x: Tensor, width: Tensor, height: Tensor, slope: Tensor, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Values and log-derivatives (...) of x (...) in [-1, 1]; shapes of the rest as `knots` gives.

    `inverse` maps back, at the same cost.
    """
    left = width.cumsum(-1) - width - 1
    low = height.cumsum(-1) - height - 1
    edges = low if inverse else left
    place = (x[..., None] >= edges[..., 1:]).sum(-1, keepdim=True)
    table = torch.stack([left, width, low, height, slope[..., :-1], slope[..., 1:]], -2)
    index = place[..., None, :].expand(*table.shape[:-1], 1)
    x0, w, y0, h, d0, d1 = table.gather(-1, index).squeeze(-1).unbind(-1)
    s = h / w
    bend = d0 + d1 - 2 * s
    if inverse:
        rise = x - y0
        a = h * (s - d0) + rise * bend
        b = h * d0 - rise * bend
        c = -s * rise
        t = 2 * c / (-b - (b * b - 4 * a * c).clamp_min(0).sqrt())
        t = t.clamp(0, 1)
        value = x0 + t * w
    else:
        t = ((x - x0) / w).clamp(0, 1)
        value = y0 + h * (s * t * t + d0 * t * (1 - t)) / (s + bend * t * (1 - t))
    rest = t * (1 - t)
    log_slope = (
        2 * s.log()
        + (d1 * t * t + 2 * s * rest + d0 * (1 - t) ** 2).log()
        - 2 * (s + bend * rest).log()
    )
    return value, -log_slope if inverse else log_slope
