"""What a user would do instead of training, the tool of the field first, and trivial masks.

Axes: B batch, C latent channels, T frames (75 a second). Pieces are standardised latents.
"""

from collections.abc import Callable

import torch
from torch import Tensor

PIECES = (
    "hpss_mix",  # librosa's percussive part of A with its harmonic part of B, equally loud
    "plain_average",
    "channel_gain",  # the fixed mix of each channel that fits the training blends best
    "stage_0",  # the writer's first output, before its stages
    "gated_sum",  # what the masks pass, added up
    "input_alone",
    "target_alone",
    "silence",
    "blend_itself",  # what could be reached at best
)
MASKS = ("constant_half", "random_bits", "static_split", "alternation_2s")
HEARD = tuple(name for name in PIECES if name not in ("gated_sum", "silence"))  # decoded in a test


def pieces(
    batch: dict[str, Tensor],
    outputs: list[Tensor],
    masks: tuple[Tensor, Tensor],
    gains: Tensor,
    standard: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """Every baseline's piece (B, C, T), standardised, for a batch of raw latents.

    Args:
        batch: raw latents `input`, `target`, `blend`, `hpss_mix`.
        outputs: the writer's outputs by stage, standardised.
        masks: the agent's.
        gains: (3, C) raw, of `jingle.pairs.statistics.channel_gains`.
        standard: from raw to standardised latents.
    """
    a, b = standard(batch["input"]), standard(batch["target"])
    fixed = gains[0][:, None] * batch["input"] + gains[1][:, None] * batch["target"]
    return {
        "hpss_mix": standard(batch["hpss_mix"]),
        "plain_average": (a + b) / 2,
        "channel_gain": standard(fixed + gains[2][:, None]),
        "stage_0": outputs[0],
        "gated_sum": masks[0] * a + masks[1] * b,
        "input_alone": a,
        "target_alone": b,
        "silence": torch.zeros_like(a),
        "blend_itself": standard(batch["blend"]),
    }


def masks(like: Tensor, generator: torch.Generator) -> dict[str, tuple[Tensor, Tensor]]:
    """The trivial agents' masks, shaped as `like` (B, C, T): what a good number must beat."""
    one, half = torch.ones_like(like), torch.full_like(like, 0.5)
    bits = [torch.randint(0, 2, like.shape, generator=generator).to(like) for _ in range(2)]
    static = one.clone()
    static[:, like.shape[1] // 2 :] = 0
    seconds = torch.arange(like.shape[2], device=like.device) / 75
    alternating = one * ((seconds // 2) % 2 == 0)
    return {
        "constant_half": (half, half),
        "random_bits": (bits[0], bits[1]),
        "static_split": (static, 1 - static),
        "alternation_2s": (alternating, 1 - alternating),
    }
