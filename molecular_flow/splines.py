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


def knots(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Parameters (..., 3 J) of J bins to their sizes (..., 2, J) and slopes (..., J + 1).

    Sizes are widths, then heights; each row sums to 2.
    """
    raw = raw.unflatten(-1, (3, -1))
    room = 2 - 2 * MIN_BIN * raw.shape[-1]
    sizes = torch.add(2 * MIN_BIN, raw[..., :2, :].softmax(-1), alpha=room)
    slope = torch.nn.functional.softplus(raw[..., 2, :] + SHIFT) + MIN_SLOPE
    return sizes, torch.cat([slope, slope[..., :1]], -1)


def spline(x: Tensor, sizes: Tensor, slope: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """Values and log-derivatives (...) of x (...) in [-1, 1]; shapes of the rest as `knots` gives.

    `inverse` maps back, at the same cost.
    """
    starts = sizes.cumsum(-1) - sizes - 1  # (..., 2, J): left and lower edges
    edges = starts[..., 1 if inverse else 0, 1:].detach()
    place = (x.detach()[..., None] >= edges).sum(-1, keepdim=True)
    table = torch.cat([starts, sizes, slope[..., None, :-1], slope[..., None, 1:]], -2)
    index = place[..., None, :].expand(*table.shape[:-1], 1)
    x0, y0, w, h, d0, d1 = table.gather(-1, index).squeeze(-1).unbind(-1)
    s = h / w
    bend = d0 + d1 - 2 * s
    if inverse:
        rise = x - y0
        tilt = rise * bend
        a, b, c = torch.addcmul(tilt, h, s - d0), torch.addcmul(-tilt, h, d0), -s * rise
        t = (2 * c / (-b - (b * b - 4 * a * c).clamp_min(0).sqrt())).clamp(0, 1)
        rest = t * (1 - t)
        value = torch.addcmul(x0, t, w)
    else:
        t = ((x - x0) / w).clamp(0, 1)
        rest = t * (1 - t)
        value = y0 + h * (s * t * t + d0 * rest) / torch.addcmul(s, bend, rest)
    top = d1 * t * t + 2 * s * rest + d0 * (1 - t) ** 2
    log_slope = (top * (s / torch.addcmul(s, bend, rest)).square()).log()
    return value, -log_slope if inverse else log_slope
