"""New songs from the parts of known ones: as many training pairs as there are combinations.

Axes: B batch, C latent channels, T frames (75 a second).
"""

import torch
from torch import Tensor

RANGE = 6.0  # dB: each part is made louder or softer by up to so much


def remix(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Both sources of a batch made anew: each percussive part with the harmonic part of another.

    Latents must add up as sounds do (`JinglePairs.additive`). Every part gets a level of its own.
    The blend is not made: what it would be follows from the parts (`Recomposition.levels`).

    Args:
        batch: raw latents (B, C, T), with the parts of both songs.
    """
    made = {}
    for side in ("input", "target"):
        percussive, harmonic = batch[f"{side}_percussive"], batch[f"{side}_harmonic"]
        size = len(harmonic)
        # from either song: what is harmony of a target may be that of an input
        other = batch["target_harmonic" if side == "input" else "input_harmonic"]
        pool = torch.cat([harmonic, other])
        harmonic = pool[torch.randperm(2 * size, device=pool.device)[:size]]
        parts = {}
        for name, part in (("percussive", percussive), ("harmonic", harmonic)):
            level = RANGE * (2 * torch.rand(size, 1, 1, device=part.device) - 1)
            parts[f"{side}_{name}"] = 10 ** (level / 20) * part
        made |= parts | {side: sum(parts.values())}
    return made
