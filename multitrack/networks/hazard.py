"""The cut head: how likely each moment is a cut. Causal in the edit.

`F` features of `examples.moments`. Time to event: a moment's probability is that of a cut there,
given the edit up to the tick from which it is told.
"""

import torch
from torch import Tensor, nn

from multitrack.examples.moments import DRIVEN, FORETOLD, WIDTH

RARE, NEARLY = 0.003, 0.97  # least and most of what the editor's habits foretell
# Log odds by which that is changed at most where somebody has the floor. Of 1, 0.5 and 0.25, on 48
# validation edits under noise: F1 0.752, 0.761, 0.762; without noise all have 0.905 to 0.907.
REACH = 0.25


def habitual(moments: Tensor) -> Tensor:
    """P(cut) (...) at moments (..., F) by the editor's habits alone."""
    return moments[..., FORETOLD].clamp(RARE, NEARLY)


class CutHead(nn.Module):
    """What the editor's habits foretell, changed by a small network of all that is told."""

    def __init__(self, hidden: int = 64, dropout: float = 0.1):
        super().__init__()
        self.moment = nn.Sequential(
            nn.Linear(WIDTH, hidden), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 1),
        )  # fmt: skip
        nn.init.zeros_(self.moment[-1].weight)
        nn.init.zeros_(self.moment[-1].bias)
        # Whether the network's word counts where somebody has the floor: validation decides.
        self.register_buffer("heeded", torch.tensor(0.0))

    def forward(self, moments: Tensor, heeded: float | None = None) -> Tensor:
        """Logits of a cut (...) at moments (..., F): untrained, what the habits foretell.

        heeded: 1 or 0 instead of the buffer's.
        """
        foretold = habitual(moments).logit()
        change, driven = self.moment(moments)[..., 0], moments[..., DRIVEN] > 0.5
        bounded = REACH * torch.tanh(change / REACH) * (self.heeded if heeded is None else heeded)
        return foretold + torch.where(driven, bounded, change)
