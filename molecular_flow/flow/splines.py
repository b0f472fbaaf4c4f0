"""Circular rational-quadratic splines: monotone maps of [-1, 1) onto itself, identity at zero.

Durkan, Bekasov, Murray, Papamakarios 2019; on the circle Rezende et al. 2020. The end points are
fixed and share one slope, so that the map and its derivative are continuous across them.

Names: in its bin a point has the place t in [0, 1]; w and h are the bin's width and height, s their
ratio h / w, d0 and d1 the slopes at its two ends, x0 and y0 its lower left corner.
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
    sizes = torch.add(2 * MIN_BIN, raw[..., :2, :].softmax(-1), alpha=_room(raw))
    slope = torch.nn.functional.softplus(raw[..., 2, :] + SHIFT) + MIN_SLOPE
    return sizes, torch.cat([slope, slope[..., :1]], -1)


def _room(raw: Tensor) -> float:
    """What the J bins of (..., J) share beyond their least size."""
    return 2 - 2 * MIN_BIN * raw.shape[-1]


def spline(x: Tensor, sizes: Tensor, slope: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """Values and log-derivatives (...) of x (...) in [-1, 1]; shapes of the rest as `knots` gives.

    `inverse` maps back, at the same cost.
    """
    _, corner = _find(x, sizes, slope, inverse)
    return _evaluate(x, corner, inverse)[:2]


def conditional_spline(x: Tensor, raw: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """`spline` of x (...) with the knots of raw (..., 3 J), whose gradient is written by hand.

    Automatic differentiation would walk through every one of some sixty small operations.
    """
    return _ConditionalSpline.apply(x, raw, inverse)


def _find(x: Tensor, sizes: Tensor, slope: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
    """The number (..., 1) of each point's bin, and its (x0, y0, w, h, d0, d1) as (6, ...)."""
    starts = sizes.cumsum(-1) - sizes - 1  # (..., 2, J): left and lower edges
    edges = starts[..., 1 if inverse else 0, 1:]
    place = (x[..., None] >= edges).sum(-1, keepdim=True)
    table = torch.cat([starts, sizes, slope[..., None, :-1], slope[..., None, 1:]], -2)
    index = place[..., None, :].expand(*table.shape[:-1], 1)
    return place, table.gather(-1, index).squeeze(-1).movedim(-1, 0)


def _evaluate(x: Tensor, corner: Tensor, inverse: bool) -> tuple[Tensor, Tensor, tuple]:
    """Value and log-derivative (...) of points in their bins `corner` (6, ...).

    Also what the gradient is made of: t, s, bend = d0 + d1 - 2 s, rest = t (1 - t), low, which is
    1 / (s + bend rest), top = d1 t^2 + 2 s rest + d0 (1 - t)^2 and F' = top (s low)^2.
    """
    x0, y0, w, h, d0, d1 = corner.unbind(0)
    s = h / w
    twice = s + s
    bend = d0 + d1 - twice
    if inverse:
        # The root of a t^2 + b t = c that is stable where a vanishes.
        rise = x - y0
        tilt = rise * bend
        a, b, c = torch.addcmul(tilt, h, s - d0), torch.addcmul(-tilt, h, d0), s * rise
        t = ((c + c) / (b + torch.addcmul(b * b, a, c, value=4).clamp_min(0).sqrt())).clamp(0, 1)
    else:
        t = ((x - x0) / w).clamp(0, 1)
    left, square = 1 - t, t * t
    rest = t * left
    low = torch.addcmul(s, bend, rest).reciprocal()
    top = torch.addcmul(torch.addcmul(d1 * square, twice, rest), d0 * left, left)
    slope = top * (s * low).square()
    if inverse:
        value = torch.addcmul(x0, t, w)
    else:
        value = torch.addcmul(y0, h, torch.addcmul(s * square, d0, rest) * low)
    log_slope = slope.log()
    return value, -log_slope if inverse else log_slope, (t, s, bend, rest, low, top, slope)


class _ConditionalSpline(torch.autograd.Function):
    """Ties value and log-derivative into autograd by closed formulas."""

    @staticmethod
    def forward(ctx, x: Tensor, raw: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        sizes, slope = knots(raw)
        place, corner = _find(x, sizes, slope, inverse)
        value, log_slope, made_of = _evaluate(x, corner, inverse)
        ctx.save_for_backward(raw, sizes, place, corner, *made_of)
        ctx.inverse = inverse
        # The path gradient asks for no gradient by the log-derivative: None, not zeros.
        ctx.set_materialize_grads(False)
        return value, log_slope

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, by_value: Tensor | None, by_log: Tensor | None):
        raw, sizes, place, corner, *made_of = ctx.saved_tensors
        t, s, _, rest, low, _, slope = made_of
        w, h, d0, _ = corner[2:].unbind(0)
        if by_value is None:
            by_value = torch.zeros_like(t)
        if by_log is not None:
            log_t, log_s, log_d0, log_d1 = _log_gradient(corner, *made_of)
            by_log = -by_log if ctx.inverse else by_log
        # First the forward map's gradient at fixed x, by t and by the bin's numbers.
        if ctx.inverse:
            # x = F^-1(y): dx = (dy - dF) / F', and its log-derivative is minus that of F at x.
            by_t, by_x0 = -by_value * w, by_value
            by_x = by_value if by_log is None else torch.addcmul(by_value, by_log, log_t / w)
            by_x = by_x / slope
            by_value = -by_x
        else:
            by_t = by_value * slope * w
            by_t = by_t if by_log is None else torch.addcmul(by_t, by_log, log_t)
            by_x = by_t / w
            by_x0 = -by_x
        square = t * t
        share = torch.addcmul(s * square, d0, rest) * low  # of h
        lift = by_value * h * low
        # The denominator s + bend rest changes with s by 1 - 2 rest.
        by_s = lift * torch.addcmul(square - share, share, rest, value=2)
        lift = lift * rest
        by_d1 = -lift * share
        by_d0 = lift + by_d1
        if by_log is not None:
            by_s = torch.addcmul(by_s, by_log, log_s)
            by_d0 = torch.addcmul(by_d0, by_log, log_d0)
            by_d1 = torch.addcmul(by_d1, by_log, log_d1)
        by_ratio = by_s / w
        own = (
            torch.addcmul(by_x0 * t, by_ratio, s, value=-1),
            torch.addcmul(by_ratio, by_value, share),
        )
        own, corners = torch.stack(own, -1), torch.stack([by_x0, by_value], -1)
        ends = torch.stack([by_d0, by_d1], -1)
        return by_x, _by_raw(raw, sizes, place, corners, own, ends), None


def _log_gradient(corner: Tensor, t, s, bend, rest, low, top, slope) -> tuple[Tensor, ...]:
    """Of the forward map's log-derivative: its derivatives by t, s, d0 and d1, at fixed x."""
    d0, d1 = corner[4:].unbind(0)
    left, over, both = 1 - t, top.reciprocal(), rest * low
    lean, both = left - t, both + both
    log_t = torch.addcmul(torch.addcmul(d1 * t, s, lean), d0, left, value=-1) * over
    log_t = torch.addcmul(log_t, low * bend, lean, value=-1)
    log_s = torch.addcmul(s.reciprocal() - low + both, rest, over)
    log_d0, log_d1 = left * left * over - both, t * t * over - both
    return log_t + log_t, log_s + log_s, log_d0, log_d1


def _by_raw(
    raw: Tensor, sizes: Tensor, place: Tensor, corners: Tensor, own: Tensor, ends: Tensor
) -> Tensor:
    """Gradient (..., 3 J) by the parameters, from those (..., 2) by corner, size and end slopes."""
    bins = sizes.shape[-1]
    number = torch.arange(bins, device=raw.device)
    before = (number < place)[..., None, :] * corners[..., None]  # a corner sums earlier sizes
    by_size = before.scatter_add(-1, place[..., None, :].expand(*own.shape, 1), own[..., None])
    share = (sizes - 2 * MIN_BIN).mul_(by_size)  # of the room, times the gradient
    inner = share.sum(-1, keepdim=True) / _room(sizes)
    by_sizes = torch.addcmul(share, sizes - 2 * MIN_BIN, inner, value=-1)
    by_slope = torch.zeros_like(sizes[..., 0, :])
    by_slope.scatter_add_(-1, torch.cat([place, (place + 1) % bins], -1), ends)
    by_slope = by_slope * torch.sigmoid(raw[..., 2 * bins :] + SHIFT)
    return torch.cat([by_sizes.flatten(-2), by_slope], -1)
