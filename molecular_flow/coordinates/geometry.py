"""Angles and dihedrals of positions, and angles brought into their period."""

import math

import torch
from torch import Tensor


def wrap(angle: Tensor, period: Tensor | float = 2 * math.pi) -> Tensor:
    """The angle moved by whole periods into [-period/2, period/2)."""
    return angle - period * torch.floor(angle / period + 0.5)


def angle(x: Tensor, i, j, k) -> Tensor:
    """Angles (B, M) in radians at atoms `j` of positions (B, N, 3)."""
    u, v = x[:, i] - x[:, j], x[:, k] - x[:, j]
    return torch.atan2(torch.linalg.cross(u, v).norm(dim=-1), (u * v).sum(-1))


def dihedral(x: Tensor, i, j, k, m) -> Tensor:
    """Dihedral angles (B, M) in radians of atoms i-j-k-m, IUPAC sign."""
    first, axis, last = x[:, j] - x[:, i], x[:, k] - x[:, j], x[:, m] - x[:, k]
    left, right = torch.linalg.cross(first, axis), torch.linalg.cross(axis, last)
    sine = axis.norm(dim=-1) * (first * right).sum(-1)
    return torch.atan2(sine, (left * right).sum(-1))
