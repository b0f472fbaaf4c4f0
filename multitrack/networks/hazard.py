"""The cut head: how likely each moment is a cut, and to which camera. Causal in the edit.

`N` moments, `C` cameras, `F` features of `examples.moments`. Time to event: a moment's probability
is that of a cut there, given the edit up to the tick from which it is told.
"""

from torch import Tensor, nn

from multitrack.examples.moments import WIDTH, WITH

RARE = -4.0  # logit of a cut at a moment of which nothing is known: one in five seconds


class CutHead(nn.Module):
    """Two small networks: of a moment, and of each camera as the next."""

    def __init__(self, hidden: int = 64, dropout: float = 0.1):
        super().__init__()
        self.moment = nn.Sequential(
            nn.Linear(WIDTH, hidden), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 1),
        )  # fmt: skip
        nn.init.constant_(self.moment[-1].bias, RARE)
        self.camera = nn.Sequential(nn.Linear(WITH, 16), nn.GELU(), nn.Linear(16, 1))

    def forward(self, moments: Tensor) -> Tensor:
        """Logits of a cut (...) at moments (..., F)."""
        return self.moment(moments)[..., 0]

    def cameras(self, candidates: Tensor) -> Tensor:
        """Logits (..., C) of each camera as the next, from `candidates` (..., C, WITH).

        The one that shows is none: a cut leads to another.
        """
        return self.camera(candidates)[..., 0] - 1e4 * candidates[..., 2]
