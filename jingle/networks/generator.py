"""An agent that chooses and a writer that makes the piece, by the names of conf/model.

Axes: B batch, C latent channels, T frames (75 a second). Latents are as the networks see them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from experiments.shared.errors import InputError
from jingle.networks.cascade import Cascade
from jingle.networks.composition import MOST, Decomposition, Recomposition, log_power
from jingle.networks.familiarity import Familiarity
from jingle.networks.gate import Gate
from jingle.networks.loudness import Separated, of_own
from jingle.networks.published import AttentionAgent, PublishedCascade

AGENTS = {"compositional": Decomposition, "gate": Gate, "attention": AttentionAgent}
WRITERS = {"recomposition": Recomposition, "rotary": Cascade, "published": PublishedCascade}


@dataclass(frozen=True)
class Made:
    """What a generator makes of a batch of sources, each (B, C, T)."""

    outputs: list[Tensor]  # of the writer, by stage; the last is the piece
    masks: tuple[Tensor, Tensor]  # of input and target
    parts: dict[str, Tensor]  # of both sources, where the agent takes them apart
    familiarity: Tensor  # (B, 2) in [0, 1], of input and target: how far the agent was trusted
    done: Tensor  # (B, 1, 1) in [0, 1], of what the agent would change: what was changed


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
        self.familiarity = Familiarity() if self.decomposes else None
        # how much of what the agent, and each stage, would change pays: see `jingle.paying`
        stages = len(self.cascade.stages) if self.decomposes and self.levels else 0
        self.register_buffer("pays", torch.ones(1 + stages))
        # each stage of a recomposition learns from its own error alone: all weigh the same
        self.early = float(len(self.cascade.stages)) if self.levels else 0.3

    def forward(
        self,
        a: Tensor,
        b: Tensor,
        separated: tuple[Tensor, Tensor] | None = None,
        temperature: float = 1.0,
        noise: float = 0.0,
        variation: tuple[Tensor, Tensor] | None = None,
        levels: tuple[Tensor, Tensor] | None = None,
    ) -> Made:
        """A piece of `a` and `b` (B, C, T).

        Args:
            a: the input.
            b: the target.
            separated: percussive of `a` and harmonic of `b` as HPSS has them, if it `decomposes`.
            temperature: the gate's.
            noise: as in `blur`.
            variation: factors on what passes of each source, of one of several takes.
            levels: LUFS (B, 5) of both songs and their parts, of the whole files, where known.
        """
        trusted = torch.ones(len(a), 2, device=a.device)
        done = torch.ones(len(a), 1, 1, device=a.device)
        if not self.decomposes:
            masks = self.agent(a, b, temperature)
            if variation:
                masks = masks[0] * variation[0], masks[1] * variation[1]
            passed = (masks[0] * a, masks[1] * b) if self.levels else masks
            return Made(self.cascade(a, b, passed, noise), masks, {}, trusted, done)
        sources = torch.cat([a, b])
        percussive = torch.cat([separated[0], b - separated[1]])
        stages: list[Tensor] = []
        if not self.training:
            familiar = self.familiarity(sources, percussive)
            trusted = torch.cat(familiar[:, :, 0].split(len(a)), 1)
            both = trusted.amin(1)[:, None, None]  # a piece of which one song is strange is strange
            done = self.pays[0] * both
            stages = [pays * both for pays in self.pays[1:]]
        found, size, parts = self.agent(sources, percussive, done.repeat(2, 1, 1)), len(a), {}
        for name, part in zip(("percussive", "harmonic"), found, strict=True):
            parts |= {f"input_{name}": part[:size], f"target_{name}": part[size:]}
        chosen = parts["input_percussive"], parts["target_harmonic"]
        if variation:
            chosen = chosen[0] * variation[0], chosen[1] * variation[1]
        masks = passing(chosen[0], a), passing(chosen[1], b)
        if not self.levels:
            return Made(self.cascade(a, b, chosen, noise), masks, parts, trusted, done)
        heard = Separated(*separated, *levels) if levels else None
        outputs = self.cascade(a, b, chosen, noise, heard, stages)
        return Made(outputs, masks, parts, trusted, done)

    def start(self, loudness: Tensor) -> None:
        """Tell the writer what each channel (C,) adds to the loudness, if it makes parts equal."""
        if self.levels:
            self.cascade.levels.measured(loudness)

    @torch.no_grad()
    def gains(
        self,
        parts: tuple[Tensor, Tensor],
        a: Tensor,
        b: Tensor,
        levels: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Factors (B, 1, 1) in the blend of true `parts` of `a` and `b`; if it `levels`.

        By their levels (B, 5), where known, else by latents.
        """
        return of_own(*levels) if levels else self.cascade.levels(*parts, a, b)

    def part_gains(
        self,
        parts: dict[str, Tensor],
        a: Tensor,
        b: Tensor,
        levels: tuple[Tensor, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """The factor (B, 1, 1) of each true part in a blend of it, whichever way round."""
        if not self.levels:
            return dict.fromkeys(parts, torch.ones(()))
        gains = {}
        for names, (one, two), order in (
            (("input_percussive", "target_harmonic"), (a, b), (0, 1)),
            (("target_percussive", "input_harmonic"), (b, a), (1, 0)),
        ):
            known = (levels[order[0]], levels[order[1]]) if levels else None
            found = self.gains((parts[names[0]], parts[names[1]]), one, two, known)
            gains |= dict(zip(names, found, strict=True))
        return gains


def passing(part: Tensor, source: Tensor) -> Tensor:
    """How much of each cell of a source (B, C, T) its part is, over three frames, in [0, 1.5]."""
    ratio = (log_power(part) - log_power(source)) / 2
    return ratio.exp().clamp(max=MOST)


def check(key: str, value: str, known: Iterable[str]) -> None:
    """Raises InputError where `value` is none of `known`."""
    if value not in known:
        raise InputError(f"model.{key}={value}: expected one of {', '.join(known)}")
