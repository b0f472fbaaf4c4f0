"""The loss terms, one pure function each, named as the keys of conf/loss/creative_agent.yaml.

Axes: B batch, C latent channels, T frames (75 a second). Masks m (input) and n (target) are
(B, C, T) in [0, 1]; latents are as the network sees them. Every function gives a scalar to be made
small.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from jingle.sound import spectral as spectral_distances

TERMS = (
    *("target", "input", "spectral", "mel", "gan", "mask_reg", "balance"),
    *("parts", "power", "blend"),
)
DEAR = ("spectral", "mel")  # need decoded audio: with weight 0 they are not computed


def blend(outputs: list[Tensor], wanted: Tensor, *, early: float = 0.3) -> Tensor:
    """L1 of the last stage's output, plus `early` x the mean L1 of the stages before it."""
    *before, last = [F.l1_loss(output, wanted) for output in outputs]
    return last + early * torch.stack(before).mean() if before else last


def power(outputs: list[Tensor], wanted: Tensor, *, floor: float = 1e-4) -> Tensor:
    """L1 of the log power of each cell over three frames, the mean over stages; in nepers.

    What a mean absolute error hardly sees and the ear does: what should be silent and is not. A
    mel distance of latents, as it were, that needs no decoding; `floor` is 40 dB below the mean.
    """
    seen = [(F.avg_pool1d(z.square(), 3, 1) + floor).log() for z in (wanted, *outputs)]
    return torch.stack([F.l1_loss(z, seen[0]) for z in seen[1:]]).mean() / 2


def parts(
    made: Mapping[str, Tensor], truth: Mapping[str, Tensor], gains: Mapping[str, Tensor]
) -> Tensor:
    """L1 of each part (B, C, T), percussive and harmonic, as loud as in a blend; mean over sources.

    What a part is wrong by in the blend, whichever blend: `gains` (B, 1, 1) are its factors there.
    """
    return sum((gains[name] * (part - truth[name])).abs().mean() for name, part in made.items()) / 2


def input(output: Tensor, a: Tensor) -> Tensor:
    """L1 to the input's latents."""
    return F.l1_loss(output, a)


def target(output: Tensor, b: Tensor) -> Tensor:
    """L1 to the target's latents; the published system's copying began here."""
    return F.l1_loss(output, b)


def mel(made: Tensor, real: Tensor) -> Tensor:
    """Multi-scale mel distance of decoded audio (B, 1, S), in log10."""
    return spectral_distances.mel_distance(made, real).mean()


def spectral(made: Tensor, real: Tensor) -> Tensor:
    """Multi-resolution spectral convergence of decoded audio (B, 1, S)."""
    return spectral_distances.stft_distance(made, real).mean()


def gan(fake: Tensor) -> Tensor:
    """The generator's side of the hinge game: -mean score."""
    return -fake.mean()


def gan_published(fake: Tensor) -> Tensor:
    """The generator's side of the published game: cross-entropy towards `real`."""
    return F.softplus(-fake).mean()


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's side of the hinge game; 2 when it cannot tell (Lim and Ye 2017)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def bce(real: Tensor, fake: Tensor) -> Tensor:
    """The published discriminator's loss; 2 ln 2 when it guesses."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def overlap(m: Tensor, n: Tensor) -> Tensor:
    """mean(m n): 0 for complementary binary masks, 0.25 for two constant halves."""
    return (m * n).mean()


def coverage(m: Tensor, n: Tensor) -> Tensor:
    """mean((m + n - 1)^2): 0 where every cell is passed exactly once."""
    return (m + n - 1).square().mean()


def temporal(
    m: Tensor,
    n: Tensor,
    *,
    variance: float = 0.12,
    least: float = 0.02,
    changes: float = 3.0,
    rate: float = 75.0,
) -> Tensor:
    """Shortfall of movement in time, plus half the excess of restlessness; 0 when both are met.

    Movement: unbiased variance along T, as it would be if the mask were binary (x 0.25 over the
    mask's mean squared distance from one half), so that an annealed gate is not pushed while still
    soft. Each sample's mean over channels should reach `variance`, and each channel `least`, so
    that none stands still; shortfalls are relative. Restlessness: total variation a second of each
    sample against `changes`, relative.
    """
    still, restless = [], []
    for mask in (m, n):
        hardness = (mask - 0.5).square().mean((1, 2)).clamp_min(1e-4)
        moved = mask.var(2) * (0.25 / hardness)[:, None]  # (B, C)
        still.append(F.relu(1 - moved.mean(1) / variance).mean())
        still.append(F.relu(1 - moved / least).mean())
        path = mask.diff(dim=2).abs().mean((1, 2)) * rate
        restless.append(F.relu(path / changes - 1).mean())
    return sum(still) / 2 + 0.5 * sum(restless) / 2


def temporal_published(m: Tensor, n: Tensor) -> Tensor:
    """Hinge on the variance along T averaged over the batch; at most 0.1, when nothing moves."""
    return F.relu(0.05 - m.var(2).mean()) + F.relu(0.05 - n.var(2).mean())


def mask_reg(overlap: Tensor, coverage: Tensor, temporal: Tensor) -> Tensor:
    """The published composition of its parts."""
    return overlap + 0.5 * coverage + 5.0 * temporal


def balance(m: Tensor, n: Tensor) -> Tensor:
    """Squared distance of each sample's mask means from one half."""
    return ((m.mean((1, 2)) - 0.5).square() + (n.mean((1, 2)) - 0.5).square()).mean()


def balance_published(m: Tensor, n: Tensor) -> Tensor:
    """Squared distance of the whole batch's mask means from one half: samples may be unbalanced."""
    return (m.mean() - 0.5).square() + (n.mean() - 0.5).square()


def of_masks(
    m: Tensor, n: Tensor, *, each: bool = True
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parts of `mask_reg`, and the terms `mask_reg` and `balance`.

    Args:
        m: (B, C, T), of the input.
        n: (B, C, T), of the target.
        each: ask every sample and channel for movement and balance; else, as published, the batch.
    """
    parts = {
        "overlap": overlap(m, n),
        "coverage": coverage(m, n),
        "temporal": (temporal if each else temporal_published)(m, n),
    }
    level = (balance if each else balance_published)(m, n)
    return parts, {"mask_reg": mask_reg(**parts), "balance": level}


def of_piece(
    outputs: list[Tensor], a: Tensor, b: Tensor, wanted: Tensor, *, early: float
) -> dict[str, Tensor]:
    """The terms of what was written, `outputs` by stage, that need no sound."""
    return {
        "input": input(outputs[-1], a),
        "target": target(outputs[-1], b),
        "blend": blend(outputs, wanted, early=early),
        "power": power(outputs, wanted),
    }
