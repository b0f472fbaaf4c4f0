"""Networks that read torsions (and stiff coordinates) and set the parameters of the transforms.

All start at zero output. Axes: `B` batch, `V` visible torsions, `F` features of one: cosines, then
sines, of one to three turns; `O` outputs (coordinates to be set), `P` parameters of one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

HARMONICS = 3
FEATURES = 2 * HARMONICS


class Features(nn.Module):
    """Torsions (..., V) in units of half a period to (..., V, F)."""

    def __init__(self):
        super().__init__()
        turns = torch.pi * torch.arange(1, HARMONICS + 1, dtype=torch.float64)
        quarter = torch.full_like(turns, -torch.pi / 2)  # sin(x) = cos(x - pi / 2)
        self.register_buffer("turns", turns.repeat(2), persistent=False)
        shift = torch.cat([torch.zeros_like(quarter), quarter])
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, turn: Tensor) -> Tensor:
        return torch.addcmul(self.shift, turn[..., None], self.turns).cos()


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that gives zero until it is trained."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class MLP(nn.Module):
    """Two hidden layers over everything visible."""

    def __init__(self, visible: list[int], moved: list[int], parameters: int, *, width: int,
                 stiff: Sequence[int] = ()):  # fmt: skip
        super().__init__()
        self.shape = (len(moved), parameters)
        self.net = nn.Sequential(
            nn.Linear(len(visible) * FEATURES + len(stiff) + 2, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            zero_linear(width, len(moved) * parameters),
        )

    @property
    def last_bias(self) -> Tensor:
        """What the parameters are (O P,) before anything is learned."""
        return self.net[-1].bias

    def forward(self, seen: Tensor, temperatures: Tensor, stiff: Tensor | None = None) -> Tensor:
        """Parameters (B, O, P) of features (B, V, F), (B, 2) temperatures, stiff coordinates."""
        parts = [seen.flatten(1), temperatures]
        if stiff is not None:
            parts.append(stiff)
        return self.net(torch.cat(parts, 1)).unflatten(1, self.shape)
