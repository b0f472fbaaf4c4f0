"""An agent that chooses and a writer that makes the piece, by the names of conf/model.

Axes: B batch, C latent channels, T frames (75 a second). Latents are as the networks see them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from experiments.shared.errors import InputError
from jingle.networks.cascade import Cascade
from jingle.networks.composition import Decomposition, Recomposition
from jingle.networks.gate import Gate
from jingle.networks.published import AttentionAgent, PublishedCascade

AGENTS = {"compositional": Decomposition, "gate": Gate, "attention": AttentionAgent}
WRITERS = {"recomposition": Recomposition, "rotary": Cascade, "published": PublishedCascade}


@dataclass(frozen=True)
class Made:
    """What a generator makes of a batch of sources, each (B, C, T)."""

    outputs: list[Tensor]  # of the writer, by stage; the last is the piece
    masks: tuple[Tensor, Tensor]  # of input and target
    parts: dict[str, Tensor]  # of both sources, where the agent takes them apart


class Generator(nn.Module):
    """Agent and writer.

    Args:
        agent: of `AGENTS`.
        writer: of `WRITERS`, or "auto": the recomposition for the compositional agent, else rotary.
        sizes: arguments of either, by their names.

    Raises:
        InputError: a name that is none.
    """

    def __init__(self, agent: str, writer: str, sizes: dict[str, dict | None]):
        super().__init__()
        check("agent", agent, AGENTS)
        check("writer", writer, ("auto", *WRITERS))
        if writer == "auto":
            writer = "recomposition" if agent == "compositional" else "rotary"
        self.agent = AGENTS[agent](**(sizes.get(agent) or {}))
        self.cascade = WRITERS[writer](**(sizes.get(writer) or {}))
        self.decomposes = isinstance(self.agent, Decomposition)
        self.levels = isinstance(self.cascade, Recomposition)
        # each stage of a recomposition learns from its own error alone: all weigh the same
        self.early = float(len(self.cascade.stages)) if self.levels else 0.3

    def forward(self, a: Tensor, b: Tensor, temperature: float = 1.0, noise: float = 0.0) -> Made:
        """A piece of `a` and `b` (B, C, T); `temperature` is the gate's, `noise` as in `blur`."""
        if not self.decomposes:
            masks = self.agent(a, b, temperature)
            return Made(self.cascade(a, b, masks, noise), masks, {})
        percussive, harmonic = self.agent.masks(torch.cat([a, b]))
        size, parts = len(a), {}
        for name, mask in (("percussive", percussive), ("harmonic", harmonic)):
            parts |= {f"input_{name}": mask[:size] * a, f"target_{name}": mask[size:] * b}
        masks = percussive[:size], harmonic[size:]
        return Made(self.cascade(a, b, masks, noise), masks, parts)

    def start(self, loudness: Tensor) -> None:
        """Tell the writer what each channel (C,) adds to the loudness, if it makes parts equal."""
        if self.levels:
            self.cascade.levels.measured(loudness)

    @torch.no_grad()
    def gains(self, x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Factors (B, 1, 1) of parts `x` of `a` and `y` of `b` in the blend; if it `levels`."""
        return self.cascade.levels(x, y, a, b)

    def part_gains(self, parts: dict[str, Tensor], a: Tensor, b: Tensor) -> dict[str, Tensor]:
        """The factor (B, 1, 1) of each part in a blend that it could be in, whichever way round."""
        if not self.levels:
            return dict.fromkeys(parts, torch.ones(()))
        gains = {}
        for names in (
            ("input_percussive", "target_harmonic"),
            ("target_percussive", "input_harmonic"),
        ):
            found = self.gains(*(parts[name] for name in names), a, b)
            gains |= dict(zip(names, found, strict=True))
        return gains


def check(key: str, value: str, known: Iterable[str]) -> None:
    """Raises InputError where `value` is none of `known`."""
    if value not in known:
        raise InputError(f"model.{key}={value}: expected one of {', '.join(known)}")
