"""Weights looked up by chemical names: each is a sum of what all share and what few have alone.

Axes: `B` batch, `R` residues, `I` inputs, `W` width, `M` message, `O` outputs, `P` parameters of
one, `L` names that a weight is a sum over.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]


class Table(nn.Module):
    """One set of tensors of the given `shapes` for each of `names`.

    All in one matrix, for a lookup costs the same for one tensor and for a hundred. `bounds`: those
    tensors start uniform within, in the row of the name `first`; all others are zero.
    """

    def __init__(self, names: Mapping[str, int], shapes: Shapes,
                 bounds: Mapping[str, float] | None = None, first: str = "all"):  # fmt: skip
        super().__init__()
        self.shapes = dict(shapes)
        self.sizes = [math.prod(shape) for shape in self.shapes.values()]
        weight = torch.zeros(len(names), sum(self.sizes))
        self.weight = nn.Parameter(weight)
        with torch.no_grad():
            for name, bound in (bounds or {}).items():
                self.part(name)[names[first]].uniform_(-bound, bound)

    def part(self, name: str) -> Tensor:
        """The columns (names, size) of one tensor, to write to."""
        return self.weight.split(self.sizes, 1)[list(self.shapes).index(name)]

    def forward(self, index: Tensor) -> dict[str, Tensor]:
        """Numbers of names (N, L) to tensors (N, *shape): the sums over L names."""
        rows = self.weight.index_select(0, index.flatten()).view(*index.shape, -1).sum(1)
        return {
            name: part.unflatten(1, shape)
            for part, (name, shape) in zip(
                rows.split(self.sizes, 1), self.shapes.items(), strict=True
            )
        }


class Weights(NamedTuple):
    """Of one network in one peptide: (R, inputs, outputs) and biases (R, 1, outputs).

    own: residue's inputs to its message and hidden units; beside: both neighbours' messages to
    hidden units; deep: to the second hidden layer; last: to all outputs' parameters.
    """

    own: Tensor
    own_bias: Tensor
    beside: Tensor
    deep: Tensor
    deep_bias: Tensor
    last: Tensor
    last_bias: Tensor


def shapes(inputs: int, width: int, message: int) -> tuple[Shapes, dict[str, float]]:
    """A network's tensors of each residue, and the bounds within which they start."""
    found = {
        "own": (inputs, message + width),
        "own_bias": (1, message + width),
        "beside": (2 * message, width),
        "deep": (width, width),
        "deep_bias": (1, width),
    }
    fan = {"own": inputs / 2, "own_bias": inputs / 2, "beside": 2 * message}  # half are absent
    return found, {name: 1 / math.sqrt(fan.get(name, width)) for name in found}


def run(inputs: Tensor, weights: Weights) -> Tensor:
    """Outputs (R, B, O P) of inputs (R, B, I): two hidden layers, neighbours' messages in between.

    A residue at the end of the chain has nothing beside it.
    """
    act = nn.functional.silu
    message = weights.beside.shape[1] // 2
    first = torch.baddbmm(weights.own_bias, inputs, weights.own)
    told, hidden = first.split([message, first.shape[2] - message], 2)
    told = act(told)
    none = torch.zeros_like(told[:1])
    beside = torch.cat([torch.cat([none, told[:-1]]), torch.cat([told[1:], none])], 2)
    hidden = act(torch.baddbmm(hidden, beside, weights.beside))
    hidden = act(torch.baddbmm(weights.deep_bias, hidden, weights.deep))
    return torch.baddbmm(weights.last_bias, hidden, weights.last)
