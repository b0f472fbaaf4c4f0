"""One new piece of two songs: coded, written by the model, decoded, measured and pictured."""

import math

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.shared.errors import InputError
from experiments.shared.plots import new_figure
from jingle import metrics
from jingle.pairs import blend, latents, levels
from jingle.pieces import takes, windows
from jingle.sound import audio, features, spectral

RATE = 75  # latent frames a second
SHORTEST = 0.04  # seconds; below this nothing can be said about time


def make_piece(
    module,
    codec,
    a: np.ndarray,
    b: np.ndarray,
    *,
    window: int,
    overlap: int,
    batch: int = 4,
    count: int = 1,
    seed: int = 0,
) -> tuple[dict[str, np.ndarray], dict[str, Tensor], dict]:
    """A piece of two songs, as long as the shorter, by overlapping windows.

    Args:
        module: the trained agent: `generate`, `standard` and `device` are used.
        codec: the one it was trained with.
        a: input song, (samples,) at 24 kHz.
        b: target song, likewise.
        window: frames at once.
        overlap: frames that neighbouring windows share.
        batch: windows at once.
        count: of takes.
        seed: of the takes after the first.

    Returns:
        Audio {"input", "target", "drums", "chords", "hpss_mix", "output"} of equal length, none
        above 1: the parts of A and B that separation finds, and their blend, are beside ours; other
        takes are "take_2", ...; both masks (128, T); a report of plain numbers: "metrics",
        "baselines", "seams", and of several takes "takes".

    Raises:
        InputError: a song shorter than three frames, or a model that gives no finite sound.
    """
    length = min(len(a), len(b))
    if length < SHORTEST * audio.RATE:
        raise InputError(
            f"the shorter song lasts {length / audio.RATE:.3f} s, expected at least {SHORTEST} s"
        )
    a, b = a[:length], b[:length]
    drums, chords = blend.separate(a, "percussive"), blend.separate(b, "harmonic")
    mixed = blend.blend(drums, chords, blend.loudness(a), blend.loudness(b))
    coded = [encode(codec, wave) for wave in (a, b, mixed)]  # (128, T) each
    songs = {"input": coded[0], "target": coded[1], "hpss_mix": coded[2]}
    songs |= {"input_hpss": encode(codec, drums), "target_hpss": encode(codec, chords)}
    for side, wave in (("input", a), ("target", b)):
        loud = torch.from_numpy(levels.of_sound(wave)).float().T  # (5, 1)
        songs[f"{side}_levels"] = loud.expand(-1, coded[0].shape[1])
    options = {"window": window, "overlap": overlap, "batch": batch, "device": module.device}
    song, seams = windows.generate(module.generate, songs, **options)
    average = (coded[0] + coded[1]) / 2
    raw, plain, mixed_again = (
        decode(codec, z, length) for z in (song["output"], average, coded[2])
    )
    if not np.isfinite(raw).all():
        raise InputError("the model gives no finite sound; it may have diverged in training")
    output = audio.peak_safe(raw)
    masks = {name: song[name] for name in ("input_mask", "target_mask")}
    pieces = {"a": a, "b": b, "o": output, "p": plain, "h": mixed}
    heard = {name: features.analyse(wave) for name, wave in pieces.items()}
    standard = [module.standard(z[None].to(module.device)).cpu() for z in (*coded, average)]
    piece = module.standard(song["output"][None].to(module.device)).cpu()
    report = {
        "metrics": {
            **of_masks(standard[0], standard[1], *(mask[None] for mask in masks.values())),
            **of_piece(piece, *standard[:3], raw, mixed_again),
            **features.compare(heard["o"], heard["a"], heard["b"]),
        },
        "baselines": {
            "plain_average": {
                **of_piece(standard[3], *standard[:3], plain, mixed_again),
                **features.compare(heard["p"], heard["a"], heard["b"]),
            },
            "hpss_mix": {
                **of_piece(standard[2], *standard[:3], mixed_again, mixed_again),
                **features.compare(heard["h"], heard["a"], heard["b"]),
            },
            "input_alone": features.compare(heard["a"], heard["a"], heard["b"]),
            "target_alone": features.compare(heard["b"], heard["a"], heard["b"]),
        },
        "seams": seams,
        "familiarity": dict(zip(("input", "target"), trusted_of(song), strict=True)),
        "drums_raised_db": blend.raised(drums, blend.loudness(a), blend.loudness(b)),
        "seconds": length / audio.RATE,
        "peak_before_limiting": float(np.abs(raw).max(initial=0.0)),
    }
    waves = {"input": a, "target": b, "drums": drums, "chords": chords, "hpss_mix": mixed}
    waves = {name: audio.peak_safe(wave) for name, wave in waves.items()} | {"output": output}
    for take in range(1, count):
        more = takes.variation(take, *coded[0].shape, seed=seed)
        other, _ = windows.generate(module.generate, songs | more, **options)
        waves[f"take_{take + 1}"] = audio.peak_safe(decode(codec, other["output"], length))
    if count > 1:
        report["takes"] = takes.compared(waves, (heard["a"], heard["b"]))
    return waves, masks, plain_numbers(report)


def trusted_of(song: dict[str, Tensor]) -> list[float | None]:
    """How far the agent was trusted with either source, mean over the song; see `Familiarity`."""
    if "familiarity" not in song:
        return [None, None]
    return [float(share) for share in song["familiarity"].mean(1)]


def encode(codec, wave: np.ndarray) -> Tensor:
    """Latents (128, T) on the CPU of a wave (samples,)."""
    return latents.encode(codec, torch.from_numpy(wave)[None, None])[0].cpu()


def decode(codec, z: Tensor, length: int) -> np.ndarray:
    """The first `length` samples of the sound of latents (128, T)."""
    return latents.decode(codec, z[None])[0, 0, :length].cpu().numpy()


def of_masks(a: Tensor, b: Tensor, m: Tensor, n: Tensor) -> dict[str, float]:
    """Every mask metric of a whole song, with chance-corrected complementarity."""
    found = {name: float(value) for name, value in metrics.of_masks(a, b, m, n).items()}
    chance = float(m.mean() * n.mean())
    found["chance_corrected"] = 1 - (1 - found["complementarity"]) / chance if chance else math.nan
    return found


def of_piece(
    piece: Tensor, a: Tensor, b: Tensor, mixed: Tensor, wave: np.ndarray, reference: np.ndarray
) -> dict[str, float]:
    """Copying and distance to the blend, of standardised latents (1, 128, T) and sound."""
    found = {name: float(v) for name, v in metrics.of_piece(piece, a, b, mixed).items()}
    pair = (torch.from_numpy(x)[None] for x in (wave, reference))
    return found | {"mel_distance": float(spectral.mel_distance(*pair))}


def plain_numbers(report):
    """`report` with None for every number that is none, so that it is valid JSON."""
    if isinstance(report, dict):
        return {name: plain_numbers(value) for name, value in report.items()}
    return None if isinstance(report, float) and not math.isfinite(report) else report


def picture(waves: dict[str, np.ndarray], masks: dict[str, Tensor]) -> Figure:
    """Spectrograms (80 dB deep) of the songs above both masks, over seconds."""
    figure, axes = new_figure(len(waves) + len(masks), 1, size=(10, 1.7), sharex=True)
    style = {"aspect": "auto", "origin": "lower", "interpolation": "nearest"}
    for axis, (name, wave) in zip(axes, waves.items(), strict=False):
        seconds = len(wave) / audio.RATE
        hop = max(256, len(wave) // 4000)  # no more columns than pixels
        wave = torch.from_numpy(np.pad(wave, (0, max(0, 1024 - len(wave)))))
        power = torch.stft(wave, 1024, hop, window=torch.hann_window(1024), return_complex=True)
        level = 20 * torch.log10(power.abs() / power.abs().amax().clamp_min(1e-6) + 1e-4)
        extent = (0, seconds, 0, audio.RATE / 2000)
        axis.imshow(level.numpy(), extent=extent, vmin=-80, vmax=0, cmap="magma", **style)
        axis.set(title=name, ylabel="kHz")
    for axis, (name, mask) in zip(axes[len(waves) :], masks.items(), strict=True):
        extent = (0, mask.shape[1] / RATE, 0, len(mask))
        axis.imshow(mask.numpy(), extent=extent, vmin=0, vmax=1, **style)
        axis.set(title=f"{name.replace('_', ' ')}: mean {mask.mean():.3f}", ylabel="channel")
    for axis in axes:
        axis.grid(False)
    axes[-1].set_xlabel("seconds")
    return figure
