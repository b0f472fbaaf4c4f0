"""What is measured once of the training set's latents: scales, additivity, gains, a reference.

Axes: C latent channels, T frames (75 a second).
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from jingle.pairs import blend
from jingle.pairs.cache import LatentStore
from jingle.pairs.triples import Triple

FRAMES = 20_000  # that a fit sees at most: thousands for each number
ROUNDS = 8  # of reweighting
HOP = 320  # samples of 24 kHz audio a frame


def read(store: LatentStore, key: str) -> Tensor:
    """Latents (C, T), float32."""
    return torch.from_numpy(np.array(store.get(key))).T.float()


def scales(store: LatentStore, keys: Iterable[str]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (C,) of each channel over all of `keys`."""
    count, total, squares = 0, 0.0, 0.0
    for key in sorted(keys):
        array = read(store, key).double()
        count += array.shape[1]
        total, squares = total + array.sum(1), squares + array.square().sum(1)
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0.0).sqrt()
    # a channel that stands still (or silence throughout) must not be divided by nothing
    floor = 0.01 * float(std.square().mean().sqrt()) or 1.0
    return mean.float(), std.clamp_min(floor).float()


def heard(store: LatentStore, triple: Triple, frames: int) -> list[tuple[Tensor, Tensor]]:
    """The first crops of input and target, whole, and what HPSS finds percussive in them."""
    names = ("input", "input_hpss", "target", "target_hpss")
    a, p, b, h = (read(store, triple.keys[name])[None, :, :frames] for name in names)
    return [(a, p), (b, b - h)]


def additivity_error(store: LatentStore, triples: list[Triple], std: Tensor) -> float:
    """Mean |song - percussive part - harmonic part| of the inputs, in standard deviations.

    Near 0 where the codec is linear and the parts add up: then parts can be mixed as latents.
    """
    errors = [
        (
            (song - percussive[:, : song.shape[1]] - harmonic[:, : song.shape[1]]) / std[:, None]
        ).abs()
        for song, percussive, harmonic in (
            (read(store, t.keys[n]) for n in ("input", "input_percussive", "input_harmonic"))
            for t in triples
        )
    ]
    return float(torch.cat(errors, 1).mean())


def channel_gains(store: LatentStore, triples: list[Triple]) -> Tensor:
    """The fixed mix nearest to the blends: blend = g0 input + g1 target + g2, each (C,), as (3, C).

    Least absolute deviations of raw latents, by iteratively reweighted least squares: what the
    distance counts, and a better baseline than least squares.
    """
    rng, rows = np.random.default_rng(0), []
    share = max(1, FRAMES // len(triples))
    for triple in triples:
        arrays = [read(store, triple.keys[name]) for name in ("input", "target", "blend")]
        length = min(array.shape[1] for array in arrays)
        chosen = torch.from_numpy(rng.choice(length, min(share, length), replace=False))
        rows.append(torch.stack([array[:, chosen] for array in arrays]))
    a, b, blend = torch.cat(rows, 2).double()  # (C, frames)
    x = torch.stack([a, b, torch.ones_like(a)], 1)  # (C, 3, frames)
    weights = torch.ones_like(blend)
    for _ in range(ROUNDS):
        gram = (x * weights[:, None]) @ x.mT + 1e-9 * torch.eye(3, dtype=x.dtype)
        gains = torch.linalg.solve(gram, (x * (weights * blend)[:, None]).sum(2))  # (C, 3)
        error = (blend - (gains[:, :, None] * x).sum(1)).abs()
        weights = 1 / error.clamp_min(1e-3 * error.mean())
    return gains.T.float()


@torch.no_grad()
def rest(codec, *, frames: int = 75) -> Tensor:
    """Latents (C,) of silence. Channels that hold a level rest below their mean, not at it."""
    device = next(codec.parameters(), torch.zeros(())).device
    silent = codec.encode(torch.zeros(1, 1, 3 * frames * HOP, device=device))
    return silent[0, :, frames : 2 * frames].mean(1).float().cpu()


@torch.no_grad()
def channel_loudness(codec, mean: Tensor, std: Tensor, *, frames: int = 75) -> Tensor:
    """How much each channel (C,) adds to the loudness of what is decoded, as power (BS.1770).

    Noise of each channel's own deviation is decoded by itself, the others resting at their mean:
    exact where the codec is linear.
    """
    device = next(codec.parameters(), torch.zeros(())).device
    noise = torch.randn(frames, generator=torch.Generator().manual_seed(0))
    rest = mean[:, None].expand(-1, frames)
    probes = rest + torch.diag_embed(std)[:, :, None] * noise  # (C, C, frames): one channel each
    silent = codec.decode(rest[None].to(device)).cpu()[0, 0]
    powers = []
    for group in probes.split(16):
        waves = codec.decode(group.to(device)).cpu()[:, 0] - silent
        powers += [10 ** (blend.loudness(wave.numpy()) / 10) for wave in waves]
    return torch.tensor(powers, dtype=torch.float32).clamp_min(1e-12)
