"""A model of fixed length put to use on whole songs: overlapping windows, cross-faded.

Axes: B batch, C latent channels, T frames of the song, W frames of a window.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise

import torch
from torch import Tensor

from experiments.shared.progress import progress


def starts(length: int, window: int, overlap: int) -> list[int]:
    """First frames of the windows that cover `length` frames, the last one ending with the song.

    Neighbours share at least `overlap` frames; `length` is at least `window`.
    """
    step = window - overlap
    if step < 1 or length < window:
        raise ValueError(f"expected overlap < window <= length, got {overlap}, {window}, {length}")
    regular = list(range(0, length - window + 1, step))
    return regular if regular[-1] == length - window else [*regular, length - window]


def fade(window: int, overlap: int) -> Tensor:
    """A window's weights (W,): linear ramps of `overlap` frames, nowhere 0."""
    ramp = torch.arange(1, window + 1, dtype=torch.float32) / (overlap + 1)
    return torch.minimum(ramp, ramp.flip(0)).clamp(max=1.0)


@torch.inference_mode()
def generate(
    make: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    songs: dict[str, Tensor],
    *,
    window: int,
    overlap: int,
    batch: int = 4,
    device: torch.device | str = "cpu",
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """`make` on windows of the latents `songs`, (C, T) each, put together by cross-fades.

    The fade is in latent space, so that the song is decoded once and whole: there is no phase to
    cancel and no click. Songs shorter than a window are padded with their last frame and cut again.

    Args:
        make: a dictionary of (B, C, W) to a dictionary of (B, C', W), a module's `generate`.
        songs: latents by name, of input, target and what else `make` wants.
        window: frames at once, those of training.
        overlap: frames shared by neighbouring windows.
        batch: windows at once.
        device: where `make` works.

    Returns:
        The dictionary of (C', T) on the CPU, and how well neighbours agree, see `seams`.
    """
    length = songs["input"].shape[-1]
    whole = max(length, window)
    songs = {
        name: torch.cat([x, x[:, -1:].expand(-1, whole - length)], 1) for name, x in songs.items()
    }
    first, weights = starts(whole, window, overlap), fade(window, overlap)
    sums: dict[str, Tensor] = {}
    total, parts = torch.zeros(whole), []
    steps: Iterable[int] = range(0, len(first), batch)
    if len(first) > batch:
        steps = progress(steps, "writing the piece", "batch", total=-(-len(first) // batch))
    for index in steps:
        group = first[index : index + batch]
        cut = {
            name: torch.stack([x[:, s : s + window] for s in group]).to(device)
            for name, x in songs.items()
        }
        made = {name: value.float().cpu() for name, value in make(cut).items()}
        for row, start in enumerate(group):
            total[start : start + window] += weights
            for name, value in made.items():
                place = sums.setdefault(name, torch.zeros(value.shape[1], whole))
                place[:, start : start + window] += weights * value[row]
        parts += list(made["output"])
    song = {name: (value / total)[:, :length] for name, value in sums.items()}
    return song, seams(parts, first, song["output"])


def seams(parts: list[Tensor], first: list[int], song: Tensor) -> dict[str, float]:
    """How much neighbouring windows disagree, and whether one hears where they meet.

    `disagreement`: RMS difference of neighbours where they overlap, over the song's standard
    deviation (0: the windows agree). `step`: mean change from frame to frame within overlaps, over
    that elsewhere (1: overlaps move as the rest does; an abrupt join is above 1).
    """
    if len(parts) < 2:
        return {"windows": len(parts), "disagreement": 0.0, "step": 1.0}
    square, count = 0.0, 0
    inside = torch.zeros(song.shape[1] - 1, dtype=torch.bool)
    for (one, two), (s, t) in zip(pairwise(parts), pairwise(first), strict=True):
        shared = one.shape[1] - (t - s)
        difference = one[:, t - s :] - two[:, :shared]
        square, count = square + float(difference.square().sum()), count + difference.numel()
        # one frame wider on both sides: an abrupt join would lie at the edges
        inside[max(0, t - 1) : t + shared] = True
    change = song.diff(dim=1).abs().mean(0)
    spread = float(song.std(dim=1, correction=0).square().mean().sqrt())
    elsewhere = float(change[~inside].mean()) if (~inside).any() else float(change.mean())
    return {
        "windows": len(parts),
        "disagreement": (square / max(count, 1)) ** 0.5 / max(spread, 1e-8),
        "step": float(change[inside].mean()) / max(elsewhere, 1e-8) if inside.any() else 1.0,
    }
