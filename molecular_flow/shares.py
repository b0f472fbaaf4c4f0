"""What the torsions explain of the works: how far the shares of basins are from right.

Axes: `M` frames, `K` torsions, `F` features.
"""

import itertools

import torch
from torch import Tensor, nn

MEMORY = 0.95  # of what was known, kept at each batch
FIRST = 10  # batches before anything is said
FURTHEST = 4.0  # nats from the median: what a work counts at most
RIDGE = 0.02  # of the frames that are remembered


class Explained(nn.Module):
    """Least squares of one direction's works on Fourier terms of torsions, of recent batches.

    Terms: two harmonics of each torsion, and the products of the first of each two. `period` (K,)
    in radians: turning groups, of shorter period, have no basins and take no part.
    """

    def __init__(self, period: Tensor):
        super().__init__()
        self.register_buffer("whole", (period > 6).nonzero()[:, 0], persistent=False)
        pairs = list(itertools.combinations(range(len(self.whole)), 2))
        self.register_buffer("pairs", torch.tensor(pairs).view(-1, 2).T, persistent=False)
        size = 1 + 4 * len(self.whole) + 4 * len(pairs)
        self.register_buffer("square", torch.zeros(size, size, dtype=torch.float64))
        self.register_buffer("product", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def _features(self, torsion: Tensor) -> Tensor:
        """Torsions (M, K) in radians to (M, F)."""
        angle = torsion[:, self.whole].double()
        one = torch.stack([angle.cos(), angle.sin()], -1)
        two = torch.stack([(2 * angle).cos(), (2 * angle).sin()], -1)
        cross = one[:, self.pairs[0], :, None] * one[:, self.pairs[1], None, :]
        ones = torch.ones_like(angle[:, :1])
        return torch.cat([ones, one.flatten(1), two.flatten(1), cross.flatten(1)], 1)

    @torch.no_grad()
    def forward(self, torsion: Tensor, work: Tensor) -> Tensor:
        """What was known explains of works (M,) at moved torsions (M, K); its mean here is 0.

        These frames are learned from afterwards, so that none explains itself.
        """
        x = self._features(torsion)
        said = torch.zeros_like(work)
        if self.batches >= FIRST:
            total = self.square[0, 0]  # frames
            ridge = RIDGE * total * torch.eye(len(self.square)).to(self.square)
            ridge[0, 0] = 0
            found = torch.linalg.solve(self.square + ridge, self.product)
            said = (x @ found).to(work)
            said = said - said.mean()
        middle = work.nan_to_num(torch.inf).median()
        y = (work.nan_to_num(torch.inf) - middle).clamp(-FURTHEST, FURTHEST).double()
        self.square.mul_(MEMORY).add_(x.T @ x)
        self.product.mul_(MEMORY).add_(x.T @ y)
        self.batches += 1
        return said
