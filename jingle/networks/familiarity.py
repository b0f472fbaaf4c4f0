"""Whether a song sounds like those that an agent was trained on.

Axes: B batch, C latent channels, T frames (75 a second), N songs, D features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BANDS = 8
FOLDS = 5
KNOWN = 0.98  # share of the training's own kind that is trusted in full
FAR = 1.1  # times as far as that: not trusted at all
SHRINKAGE = 0.1  # of the covariance towards its diagonal


def features(source: Tensor, percussive: Tensor) -> Tensor:
    """What a song sounds like, whatever its level: (B, D) of latents (B, C, T).

    In each band, of what HPSS finds percussive and of the rest: mean and deviation over time of the
    log power, relative to the song's; how far both move together; how uneven the band is inside.
    """
    found, moved = [], []
    whole = source.square().mean((1, 2)).clamp_min(1e-8).log()[:, None]
    for part in (percussive, source - percussive):
        power = part.square().unflatten(1, (BANDS, -1)).mean(2)  # (B, bands, T)
        level = (F.avg_pool1d(power, min(5, power.shape[-1])) + 1e-6).log()
        found += [level.mean(2) - whole, level.std(2, correction=0)]
        moved.append(level - level.mean(2, keepdim=True))
    spread = found[1] * found[3]
    found.append((moved[0] * moved[1]).mean(2) / (spread + 0.1))
    cells = (F.avg_pool1d(source.square(), min(3, source.shape[-1])) + 1e-5).log()
    found.append(cells.unflatten(1, (BANDS, -1)).std(2).mean(2))
    return torch.cat(found, 1).float()


class Familiarity(nn.Module):
    """The share (B, 1, 1), in [0, 1], of an agent's changes that songs are given.

    1 within the distance (Mahalanobis's, a feature) that 98 % of the training's own kind have,
    where the songs that are asked for are not among those that the distance is fitted to (five
    folds); from there down to 0 at 1.1 times as far: what an agent has learned does not hold for
    music unlike that which it has heard, and it then leaves what HPSS found as it is. Not
    measured: 1.
    """

    def __init__(self, size: int = 6 * BANDS):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("whiten", torch.zeros(size, size))
        self.register_buffer("limit", torch.ones(()))

    @torch.no_grad()
    def measured(self, found: Tensor) -> None:
        """Fit it to the `features` (N, D) of the training's songs; of few it stays at 1."""
        if len(found) < 2 * FOLDS:
            return
        fold = torch.arange(len(found)) % FOLDS
        held_out = torch.cat(
            [far(found[fold == k], *fitted(found[fold != k])) for k in range(FOLDS)]
        )
        mean, whiten = fitted(found)
        self.mean.copy_(mean)
        self.whiten.copy_(whiten)
        self.limit.copy_(held_out.quantile(KNOWN))

    def distance(self, source: Tensor, percussive: Tensor) -> Tensor:
        """How far songs (B, C, T) are from the training's, in units of the limit (B,)."""
        with torch.autocast(source.device.type, enabled=False):
            found = features(source.float(), percussive.float())
            return far(found, self.mean, self.whiten) / self.limit

    def forward(self, source: Tensor, percussive: Tensor) -> Tensor:
        share = (FAR - self.distance(source, percussive)) / (FAR - 1)
        return share.clamp(0.0, 1.0)[:, None, None]


def fitted(found: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) of features (N, D), and what makes them white (D, D)."""
    mean = found.mean(0)
    covariance = torch.cov((found - mean).T)
    diagonal = covariance.diagonal().clamp_min(1e-4)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * diagonal.diag()
    values, vectors = torch.linalg.eigh(covariance.double())
    return mean, (vectors * values.clamp_min(1e-6).rsqrt()).float()


def far(found: Tensor, mean: Tensor, whiten: Tensor) -> Tensor:
    """Root mean square (B,) of white features."""
    return ((found - mean) @ whiten).square().mean(1).sqrt()
