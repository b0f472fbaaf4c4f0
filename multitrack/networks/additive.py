"""The published model, wiring and all, kept to show its floor: output = g(frame) + c(track).

After the encoder a track embedding is added and only linear maps follow, so that all tracks get the
same signal over time. Exactly 2,230,547 parameters at the published sizes.
"""

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from multitrack.edit.timeline import ASSETS, REST, TRACKS
from multitrack.networks.cell import positions


class AdditiveTransformer(nn.Module):
    """As `network.TrackTransformer` from outside; inside z-scores (B, S, K * 9), bidirectional."""

    def __init__(
        self,
        *,
        width: int = 256,
        layers: int = 4,
        heads: int = 8,
        feedforward: int = 512,
        dropout: float = 0.1,
        tracks: int = TRACKS,
    ):
        super().__init__()
        self.input = nn.Linear(tracks * 9, width)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(width, heads, feedforward, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.track = nn.Embedding(tracks, width)
        self.project = nn.Linear(width, width)
        self.active, self.asset = nn.Linear(width, 2), nn.Linear(width, len(ASSETS))
        self.values = nn.ModuleList(nn.Linear(width, 1) for _ in range(7))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        self.register_buffer("rest", torch.tensor(REST), persistent=False)
        self.register_buffer("mean", torch.zeros(tracks, 7))
        self.register_buffer("std", torch.ones(tracks, 7))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        # As published, an empty cell holds the resting values, not those carried on.
        past = torch.where(batch["past"][..., :1] > 0.5, batch["past"], self.rest)
        cells = torch.cat([past[..., :2], (past[..., 2:] - self.mean) / self.std], -1)
        tokens = self.input(cells.flatten(2))
        tokens = self.dropout(tokens + positions(tokens.shape[1], tokens.shape[2]).to(tokens))
        tokens = self.encoder(tokens)
        hidden = self.project(tokens[:, :, None] + self.track.weight)  # (B, S, K, C)
        values = torch.cat([head(hidden) for head in self.values], -1)
        return {
            "active": self.active(hidden),
            "asset": self.asset(hidden),
            "values": values * self.std + self.mean,
        }


def early_cosine(
    optimizer: Optimizer, *, warmup: int, total: int, epochs: int, floor: float, early: int = 5
) -> LambdaLR:
    """The published schedule: by epochs, a cosine to `floor` x base rate at `epochs - early`.

    After that it rises again: 3.99e-6 after 50 epochs from 1e-4. `total` and `warmup` count steps;
    as published there is no warm-up.
    """
    lowest, steps = max(1, epochs - early), max(1, total // epochs)

    def factor(count: int) -> float:
        if count < warmup:
            return (count + 1) / warmup
        turned = math.pi * (count // steps) / lowest
        return floor + (1 - floor) * 0.5 * (1 + math.cos(turned))

    return LambdaLR(optimizer, factor)
