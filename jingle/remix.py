"""New pairs from known songs: as many training pairs as there are pairs of songs.

Axes: B batch, C latent channels, T frames (75 a second).
"""

import torch
from torch import Tensor

RANGE = 6.0  # dB: each song is made louder or softer by up to so much
NAMES = ("percussive", "harmonic")


def remix(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Any two songs of a batch as input and target, each at a level of its own.

    Songs stay whole, so that what separation finds in them stays true. Latents must add up as
    sounds do (`JinglePairs.additive`): of an input's separated percussive part and a target's
    harmonic one the others follow. The blend is not made: what it would be follows from the parts
    (`Recomposition.levels`).

    Args:
        batch: latents (B, C, T), 0 for silence, with the parts of both songs; and perhaps their
            levels (B, 5, 1), LUFS.
    """
    a, b = batch["input"], batch["target"]
    songs = {"": torch.cat([a, b])}
    songs["hpss"] = torch.cat([batch["input_hpss"], b - batch["target_hpss"]])
    for name in NAMES:
        songs[name] = torch.cat([batch[f"input_{name}"], batch[f"target_{name}"]])
    size = len(a)
    order = torch.randperm(2 * size, device=a.device)
    level = RANGE * (2 * torch.rand(2 * size, 1, 1, device=a.device) - 1)
    songs = {name: (10 ** (level / 20) * song)[order] for name, song in songs.items()}
    if "input_levels" in batch:
        songs["levels"] = (torch.cat([batch["input_levels"], batch["target_levels"]]) + level)[
            order
        ]
    made = {"input": songs[""][:size], "target": songs[""][size:]}
    made["input_hpss"] = songs["hpss"][:size]
    made["target_hpss"] = made["target"] - songs["hpss"][size:]
    for name in NAMES:
        made[f"input_{name}"], made[f"target_{name}"] = songs[name][:size], songs[name][size:]
    if "levels" in songs:
        made["input_levels"], made["target_levels"] = songs["levels"].split(size)
    return made
