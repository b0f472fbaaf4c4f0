"""All pairs of `N` atoms by their offset: (i, i + k), counted around the end, k = 1 ... N / 2.

Pairs of one offset are two slices of a table of atoms, so that neither pair vectors nor sums over
an atom's pairs gather anything: products with the (P, N) incidence, mostly zeros, were half of the
energy's time at 138 atoms. Axes: `K` rows, one an offset, `N` first atoms, `B` batch.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def pairs(atoms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and second atoms (K, N) of all pairs, and their shares.

    Of an even number of atoms the last offset has every pair twice: a half each.
    """
    row, first = np.indices((atoms // 2, atoms))
    share = np.where(2 * (row + 1) == atoms, 0.5, 1.0)
    return first, (first + row + 1) % atoms, share


def ranges(atoms: int, most: int) -> list[slice]:
    """All rows, at most `most` at a time."""
    rows = atoms // 2
    return [slice(start, min(start + most, rows)) for start in range(0, rows, most)]


def twice(values: Tensor) -> Tensor:
    """Values (..., N, B) of atoms, again behind the end: (..., 2 N, B)."""
    return torch.cat([values] * 2, -2)


def of_first(values: Tensor) -> Tensor:
    """Of values (..., 2 N, B) those of pairs' first atoms (..., 1, N, B)."""
    return values[..., None, : values.shape[-2] // 2, :]


def of_second(values: Tensor, rows: slice) -> Tensor:
    """Of values (..., 2 N, B) those of pairs' second atoms (..., K, N, B), as a view.

    Its strides by row and by atom are the same, and torch may lay a new result out either way.
    """
    atoms = values.shape[-2] // 2
    reached = values[..., rows.start + 1 : rows.stop + atoms, :]
    return reached.unfold(-2, atoms, 1).transpose(-1, -2)


def between(operation: Callable, values: Tensor, rows: slice) -> Tensor:
    """`operation` (torch.sub, say) of pairs' first and second values, row by row in memory."""
    second = of_second(values, rows)
    return operation(of_first(values), second, out=values.new_empty(second.shape))


def add_first(total: Tensor, values: Tensor) -> None:
    """Add values of pairs (..., K, N, B) to `total` (..., 2 N, B) of their first atoms."""
    total[..., : values.shape[-2], :] += values.sum(-3)


def add_second(total: Tensor, values: Tensor, rows: slice, sign: int = 1) -> None:
    """Likewise of their second atoms: rows of N + K, read as one shorter, shift by one each."""
    count, atoms = values.shape[-3:-1]
    length = atoms + count - 1
    padded = functional.pad(values, (0, 0, 0, count)).flatten(-3, -2)
    columns = padded[..., : count * length, :].unflatten(-2, (count, length)).sum(-3)
    total[..., rows.start + 1 : rows.stop + atoms, :].add_(columns, alpha=sign)


def fold(total: Tensor) -> Tensor:
    """Sums (..., 2 N, B) of atoms, counted around the end: (..., N, B)."""
    first, again = total.chunk(2, -2)
    return first + again
