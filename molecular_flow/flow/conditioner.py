"""Networks that read torsions (and stiff coordinates) and set the parameters of the transforms.

All start at zero output. Axes: `B` batch, `V` visible torsions, `F` features of one: cosines, then
sines, of one to three turns; `O` outputs (coordinates to be set), `P` parameters of one.
"""

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
                 stiff: int = 0):  # fmt: skip
        super().__init__()
        self.shape = (len(moved), parameters)
        self.net = nn.Sequential(
            nn.Linear(len(visible) * FEATURES + stiff + 2, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            zero_linear(width, len(moved) * parameters),
        )

    def forward(self, seen: Tensor, temperatures: Tensor, stiff: Tensor | None = None) -> Tensor:
        """Parameters (B, O, P) of features (B, V, F), (B, 2) temperatures, stiff coordinates."""
        parts = [seen.flatten(1), temperatures]
        if stiff is not None:
            parts.append(stiff)
        return self.net(torch.cat(parts, 1)).unflatten(1, self.shape)


class Transformer(nn.Module):
    """Tokens: each visible torsion, each atom to be placed, the temperatures; pre-norm blocks.

    `visible` and `moved` name the atom that each coordinate places; coordinates of one atom share a
    token and differ in the head's slot. Visible stiff coordinates enter the temperatures' token.
    """

    def __init__(self, visible: list[int], moved: list[int], parameters: int, *, width: int,
                 stiff: int = 0, atoms: int, blocks: int = 1, heads: int = 4):  # fmt: skip
        super().__init__()
        asked = sorted(set(moved))
        slots = [moved[:n].count(atom) for n, atom in enumerate(moved)]
        self.parameters, self.slots = parameters, max(slots) + 1
        place = [asked.index(atom) * self.slots + s for atom, s in zip(moved, slots, strict=True)]
        self.register_buffer("visible", torch.tensor(visible, dtype=torch.long), persistent=False)
        self.register_buffer("asked", torch.tensor(asked), persistent=False)
        self.register_buffer("place", torch.tensor(place), persistent=False)
        self.value = nn.Linear(FEATURES, width)
        self.heat = nn.Linear(2 + stiff, width)
        self.atom = nn.Parameter(torch.randn(atoms, width) * 0.3)
        self.kind = nn.Parameter(torch.randn(2, width) * 0.3)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = zero_linear(width, self.slots * parameters)
        # One bias per coordinate: atoms differ in what they need without any context.
        self.bias = nn.Parameter(torch.zeros(len(moved), parameters))

    def forward(self, seen: Tensor, temperatures: Tensor, stiff: Tensor | None = None) -> Tensor:
        """Parameters (B, O, P) of features (B, V, F), (B, 2) temperatures, stiff coordinates."""
        heat = temperatures if stiff is None else torch.cat([temperatures, stiff], 1)
        seen = self.value(seen) + self.atom[self.visible] + self.kind[0]
        asked = (self.atom[self.asked] + self.kind[1]).expand(len(seen), -1, -1)
        tokens = torch.cat([asked, seen, self.heat(heat)[:, None]], 1)  # (B, tokens, width)
        for block in self.blocks:
            tokens = block(tokens)
        out = self.head(self.norm(tokens[:, : len(self.asked)]))
        out = out.unflatten(2, (self.slots, self.parameters)).flatten(1, 2)
        return out[:, self.place] + self.bias


class Block(nn.Module):
    """Pre-norm attention and a feed-forward layer; no dropout, which would break the inverse."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.first(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*qkv.unbind(0))
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.feed(self.second(x))
