"""The default model: frame tokens through a causal transformer, then a decoder for every cell.

`B` batch, `S` frames, `K` tracks, `C` channels. The decoder is non-linear and knows its track, and
what it says is a change to the value carried on: untrained, the model is persistence, exactly.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.shared.errors import InputError
from multitrack.edit.drivers import HEARD, SMOOTH
from multitrack.edit.state import COUNTERS
from multitrack.edit.timeline import ASSETS, TRACKS
from multitrack.examples.features import OFFERS, features, features_size, offers, reacted

# Sizes in which geometry is measured inside: scale %, x, y canvas, crops %.
UNITS = (50.0, 0.25, 0.25, 25.0, 25.0, 25.0, 25.0)
REACH = (300.0, 1.0, 1.0, 100.0, 100.0, 100.0, 100.0)  # an extrapolation never goes farther
PRESETS = {
    "small": {"width": 256, "layers": 4, "heads": 8, "feedforward": 512, "cell": 48},
    "base": {"width": 384, "layers": 5, "heads": 8, "feedforward": 1024, "cell": 64},
    "large": {"width": 512, "layers": 6, "heads": 8, "feedforward": 1024, "cell": 64},
}
ONSETS = COUNTERS.index("onsets")
OLD, OLDEST = 10.0, 30.0  # frames: an age at which trust stands, and beyond which it falls no more


class Block(nn.Module):
    """One pre-norm transformer layer that sees no later frame."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float):
        super().__init__()
        if width % heads:
            raise InputError(f"heads={heads}: expected a number that divides width={width}")
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, feedforward), nn.Linear(feedforward, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, frames, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, S, C)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self._drop(self.out(seen.transpose(1, 2).reshape(batch, frames, width)))
        return x + self._drop(self.down(F.gelu(self.up(self.norm2(x)))))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class TrackTransformer(nn.Module):
    """Cells (B, S, K) and their past -> active (.., 2), asset (.., 10) logits, values (.., 7)."""

    def __init__(
        self,
        *,
        width: int = 256,
        layers: int = 4,
        heads: int = 8,
        feedforward: int = 512,
        cell: int = 48,
        dropout: float = 0.1,
        tracks: int = TRACKS,
    ):
        super().__init__()
        self.tracks, self.cell = tracks, cell
        channels = features_size()
        self.embed = nn.Linear(channels, cell)
        self.track = nn.Parameter(torch.randn(tracks, cell) * 0.2)
        self.frame = nn.Linear(tracks * cell, width)
        self.signals = nn.Linear(HEARD + 1, width)
        self.blocks = nn.ModuleList(
            Block(width, heads, feedforward, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.spread = nn.Linear(width, tracks * cell)  # the frame as each track sees it
        self.own = nn.Linear(channels, cell)
        self.deepen = nn.Linear(cell, cell)
        self.mix = nn.Linear(cell, cell)
        many = len(UNITS)
        self.parts = [2, len(ASSETS), many, many, OFFERS * many, 2 * len(SMOOTH), 1]
        self.head = nn.Linear(cell, sum(self.parts))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        # Where and what a clip on a track is that has held none before.
        self.place = nn.Parameter(torch.zeros(tracks, many))
        self.kind = nn.Parameter(torch.zeros(tracks, len(ASSETS)))
        # How sure persistence is after OLD frames, in logits.
        self.trust = nn.Parameter(torch.tensor([3.0, 3.0]))
        self.register_buffer("units", torch.tensor(UNITS), persistent=False)
        self.register_buffer("reach", torch.tensor(REACH), persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Batch as `tasks.example` describes it, stacked."""
        past, known = batch["past"], batch["known"]
        cells = features(batch, self.units)  # (B, S, K, C)
        tokens = self.frame(F.gelu(self.embed(cells) + self.track).flatten(2))
        tokens = tokens + self.signals(batch["drivers"])
        tokens = tokens + positions(tokens.shape[1], tokens.shape[2]).to(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        seen = self.spread(self.norm(tokens)).unflatten(-1, (self.tracks, self.cell))
        own = F.gelu(self.own(cells) + self.track)
        hidden = F.gelu(seen + own + self.deepen(own))
        hidden = hidden + F.gelu(self.mix(hidden))
        active, asset, change, gate, taken, follow, turn = self.head(hidden).split(self.parts, -1)
        on = torch.stack([1 - past[..., 0], past[..., 0]], -1) * known[..., None]
        kind = F.one_hot(past[..., 1].long(), len(ASSETS)) * known[..., None]
        # What changes at some rate has changed after half as long with half the odds.
        fresh = torch.log(OLD / batch["age"].clamp(1, OLDEST))[..., None]
        # At first the head says 0 to everything: the past is copied.
        swing = turn * (reacted(batch) * (batch["recalled"][..., 0] - past[..., 0]))[..., None]
        active = active + torch.cat([-swing, swing], -1)
        values = past[..., 2:] + torch.sigmoid(gate - fresh) * change * self.units
        shares = taken.unflatten(-1, (OFFERS, -1)).unbind(-2)
        for share, offer in zip(shares, offers(batch, self.reach), strict=True):
            values = values + share * offer
        followed = (follow.unflatten(-1, (2, -1)) * batch["moved"]).sum(-1)
        values = values + F.pad(followed, (1, len(UNITS) - 3))
        empty = (batch["counters"][..., ONSETS] == 0)[..., None]
        values, asset = values + empty * self.place * self.units, asset + empty * self.kind
        return {
            "active": on * (self.trust[0] + fresh) + active,
            "asset": kind * (self.trust[1] + fresh) + asset,
            "values": values,
        }


def positions(frames: int, width: int) -> Tensor:
    """Sinusoidal positions (S, C), Vaswani et al. 2017."""
    at = torch.arange(frames)[:, None] * torch.exp(
        torch.arange(0, width, 2) * (-math.log(10000.0) / width)
    )
    return torch.stack([at.sin(), at.cos()], -1).flatten(1)
