"""What a listener would check in a decoded piece: whose drums, whose harmony, how near the blend.

Axes: B batch, C latent channels, T frames (75 a second).
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from jingle.pairs import blend
from jingle.pieces import listening
from jingle.sound import features, sets, spectral

TOLERANCE = 0.05  # seconds between two onsets that count as one


def listen(wave: np.ndarray | Tensor) -> features.Features:
    """The analysis of a piece; its onsets are those of its percussive part, by itself."""
    wave = features.mono(wave)
    return replace(features.analyse(wave), **drums(blend.separate(wave, "percussive")))


def drums(percussive: np.ndarray | Tensor) -> dict[str, np.ndarray]:
    """Onset envelope and onsets of a percussive part."""
    envelope = features.onset_envelope(percussive)
    return {"envelope": envelope, "onsets": features.onset_times(envelope)}


def leaked(kept: np.ndarray, other: np.ndarray, heard: np.ndarray) -> float:
    """Share of the onsets `other` (seconds) that are heard; those that `kept` has too are no leak.

    NaN where there are none.
    """
    near = np.abs(other[:, None] - kept[None]).min(1, initial=np.inf) <= TOLERANCE
    alone = other[~near]
    if not len(alone):
        return float("nan")
    return features.matches(alone, heard, TOLERANCE) / len(alone)


def compare(
    pieces: dict[str, Tensor], parts: dict[str, Tensor], blends: Tensor
) -> tuple[dict[str, dict[str, Tensor]], dict[str, np.ndarray]]:
    """Every metric of `jingle.metrics.HEARD` for each set of pieces, and their `sets.windows`.

    Kept rhythm: F1 and correlation of the piece's drum onsets with those of the input's percussive
    part; its leak: the share of the target's own drum onsets that the piece has, and the
    correlation. Used harmony: pitch classes against the target's harmonic part; its leak: against
    the input's.

    Args:
        pieces: audio (B, 1, S) by name.
        parts: audio (B, 1, S): `input`, `target`, and `input_percussive`, `input_harmonic`,
            `target_percussive`, `target_harmonic`, true stems where they are known.
        blends: audio (B, 1, S).
    """
    kept, other = (
        [drums(wave) for wave in parts[f"{side}_percussive"]] for side in ("input", "target")
    )
    used, left = (
        [features.analyse(wave) for wave in parts[f"{side}_harmonic"]]
        for side in ("target", "input")
    )
    silent = drumless(parts)
    found, seen = {}, {}
    for name, waves in pieces.items():
        each = [
            of_piece(listen(wave), *truth)
            for wave, *truth in zip(waves, kept, other, used, left, strict=True)
        ]
        found[name] = {key: torch.tensor([one[key] for one in each]) for key in each[0]}
        found[name]["drumless"] = silent
        found[name]["mel_distance"] = spectral.mel_distance(waves, blends)
        seen[name] = np.concatenate([sets.windows(features.mono(wave)) for wave in waves])
    return found, seen


def drumless(parts: dict[str, Tensor]) -> Tensor:
    """1 where the input (B,) has no drums to keep, see `blend.raised`, else 0.

    Args:
        parts: as in `compare`.
    """
    names = ("input_percussive", "input", "target")
    rows = zip(*(map(features.mono, parts[name]) for name in names), strict=True)
    raised = [blend.raised(x, blend.loudness(a), blend.loudness(b)) for x, a, b in rows]
    return torch.tensor([float(db >= blend.DRUMLESS_DB) for db in raised])


def of_piece(
    piece: features.Features,
    kept: dict[str, np.ndarray],
    other: dict[str, np.ndarray],
    used: features.Features,
    left: features.Features,
) -> dict[str, float]:
    """The metrics of one piece, of A's and B's drums and of B's and A's harmony."""
    return {
        "rhythm_f1": features.onset_f1(kept["onsets"], piece.onsets, TOLERANCE),
        "rhythm_correlation": features.envelope_correlation(kept["envelope"], piece.envelope),
        "rhythm_leak": leaked(kept["onsets"], other["onsets"], piece.onsets),
        "rhythm_leak_correlation": features.envelope_correlation(other["envelope"], piece.envelope),
        "harmony": features.chroma_similarity(used, piece),
        "harmony_leak": features.chroma_similarity(left, piece),
    }


def headroom(codec, latents: Tensor) -> Tensor:
    """Factors (B, 1, 1) that turn raw latents (B, C, T) down to a peak of 0.99, as pieces are.

    At most 1. They mean the same in latents where the codec is linear enough, and only there.
    """
    peaks = listening.sound(codec, latents).abs().amax((1, 2))[:, None, None]
    return (blend.RECIPE["ceiling"] / peaks.clamp_min(1e-9)).clamp_max(1.0)
