"""Rectangles of clips on the canvas, from the nine parameters: corners, areas, overlap."""

import torch
from torch import Tensor


def rectangles(scale: Tensor, centre: Tensor, crop: Tensor, source: Tensor, canvas: Tensor):
    """Corners (left, top, right, bottom) in pixels of the canvas, clipped to it: (..., 4).

    scale: (...) percent, 100 = native pixels. centre: (..., 2) of the uncropped clip, from the
    canvas centre in canvas widths and heights. crop: (..., 4) left, right, top, bottom, percent of
    the source. source, canvas: (..., 2) width and height, pixels. Rotation is not drawn.
    """
    size = source * scale[..., None] / 100
    origin = canvas * (0.5 + centre) - size / 2
    near = origin + size * crop[..., 0::2] / 100
    far = origin + size * (1 - crop[..., 1::2] / 100)
    zero = torch.zeros_like(near)
    near, far = torch.clamp(near, zero, canvas), torch.clamp(far, zero, canvas)
    return torch.cat([near, torch.maximum(near, far)], -1)


def area(rectangle: Tensor) -> Tensor:
    """Pixels covered: (...)."""
    return (rectangle[..., 2:] - rectangle[..., :2]).clamp_min(0).prod(-1)


def iou(one: Tensor, two: Tensor) -> Tensor:
    """Intersection over union of rectangles (..., 4); two empty ones agree (1)."""
    near = torch.maximum(one[..., :2], two[..., :2])
    far = torch.minimum(one[..., 2:], two[..., 2:])
    inter = area(torch.cat([near, far], -1))
    union = area(one) + area(two) - inter
    return torch.where(union > 0, inter / union.clamp_min(1e-9), torch.ones_like(union))
