"""From latents to sound, and what is then measured or trained on.

Axes: B batch, C latent channels, T frames (75 a second), S samples (24 kHz, 320 a frame). A codec
is anything with `decode`: raw latents (B, C, T) -> audio (B, 1, S), differentiable.
"""

import torch
from torch import Tensor

from jingle.sound import features, spectral

RATE = 24_000
HOP = 320
MARGIN = 38  # frames (0.5 s) decoded before a crop and thrown away: the codec is causal


def sound(codec, latents: Tensor) -> Tensor:
    """Audio (B, 1, S) of raw latents, in float32 whatever the training's precision."""
    with torch.autocast(latents.device.type, enabled=False):
        return codec.decode(latents.float())


def crop(codec, made: Tensor, real: Tensor, *, seconds: float) -> tuple[Tensor, Tensor]:
    """One random crop of one random sample of `made` and `real` (B, C, T): audio (1, 1, S)."""
    frames = min(round(seconds * RATE / HOP), made.shape[2])
    sample = int(torch.randint(len(made), ()))
    first = int(torch.randint(made.shape[2] - frames + 1, ()))
    margin = min(MARGIN, first)
    part = slice(first - margin, first + frames)
    with torch.no_grad():
        truth = sound(codec, real[sample : sample + 1, :, part])
    heard = sound(codec, made[sample : sample + 1, :, part])
    return heard[..., margin * HOP :], truth[..., margin * HOP :]


@torch.no_grad()
def compare(codec, sources: dict[str, Tensor], piece: Tensor) -> dict[str, dict[str, Tensor]]:
    """Rhythm kept of A, harmony used of B, and mel distance to the blend, decoded, each (B,).

    For the piece ("model") and for what it must beat or could reach: the plain average of the
    latents, both sources alone, and the blend itself.

    Args:
        codec: decodes.
        sources: raw latents `input`, `target`, `blend`, each (B, C, T).
        piece: raw latents (B, C, T).
    """
    pieces = {
        "model": piece,
        "plain_average": (sources["input"] + sources["target"]) / 2,
        "input_alone": sources["input"],
        "target_alone": sources["target"],
        "blend_itself": sources["blend"],
    }
    waves = {name: sound(codec, latents).cpu() for name, latents in pieces.items()}
    analyses = {name: [features.analyse(wave) for wave in batch] for name, batch in waves.items()}
    found = {}
    for name, analysed in analyses.items():
        every = [
            features.compare(*three)
            for three in zip(
                analysed, analyses["input_alone"], analyses["target_alone"], strict=True
            )
        ]
        found[name] = {
            key: torch.tensor([one[key] for one in every])
            for key in ("rhythm_f1", "rhythm_correlation", "harmony")
        }
        found[name]["mel_distance"] = spectral.mel_distance(waves[name], waves["blend_itself"])
    return found
