"""A linear codec and tiny folders of pairs, so that tests need no trained weights."""

from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from jingle.data import JinglePairs

HOP, DIMENSION = 320, 128


class LinearCodec(torch.nn.Module):
    """Frames of 320 samples on 128 fixed orthonormal directions: fast, exact and causal.

    `decode` is the adjoint, so that encode(decode(z)) = z.
    """

    name, identity, meaningful, note = "linear", "linear-1", True, ""
    sample_rate, hop, dimension = 24_000, HOP, DIMENSION

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        square = torch.randn(HOP, DIMENSION, generator=generator)
        self.register_buffer("basis", torch.linalg.qr(square).Q)  # (320, 128)
        self.encoded = 0

    def encode(self, audio: Tensor) -> Tensor:
        self.encoded += len(audio)
        samples = audio.shape[-1]
        padded = torch.nn.functional.pad(audio, (0, -samples % HOP))
        frames = padded.reshape(len(audio), -1, HOP) @ self.basis  # (B, T, 128)
        return frames.transpose(1, 2)

    def decode(self, latents: Tensor, start: int = 0) -> Tensor:
        return (latents.transpose(1, 2) @ self.basis.T).reshape(len(latents), 1, -1)


def music(seconds: float, seed: int, rate: int = 24_000) -> np.ndarray:
    """A chord with clicks at a tempo of its own, (samples,) float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * f * time) for f in rng.uniform(110, 880, 3)) * 0.05
    period = rng.uniform(0.2, 0.4)
    clicks = rng.standard_normal(len(time)) * np.exp(-(time % period) * 60) * 0.2
    return (tone + clicks).astype(np.float32)


def make_pairs(
    root: Path,
    *,
    train: int = 4,
    val: int = 2,
    test: int = 0,
    seconds: float = 1.0,
    stems: bool = False,
) -> Path:
    """A folder of pairs; `stems`: with true stems, which spares the separation."""
    for number, (split, size) in enumerate({"train": train, "val": val, "test": test}.items()):
        for index in range(size):
            for side, name in enumerate(("input", "output")):
                sound = music(seconds, 1000 * number + 10 * index + side)
                save(root / split / f"pair_{index:04d}_{name}.wav", sound)
                if stems:
                    part = ("percussive", "harmonic")[side]
                    file = root / "stems" / split / f"pair_{index:04d}_{name}_{part}.wav"
                    save(file, sound * 0.5)
    return root


def save(file: Path, sound: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, sound, 24_000)


def module_for(root, cache, *, ready=True, **options):
    sizes = {"seconds": 0.8, "batch_size": 2, "partners": 2, "cache_workers": 0, "num_workers": 0}
    options = sizes | options
    data = JinglePairs(root=str(root), cache=str(cache), **options)
    data._codec = LinearCodec()
    if ready:
        data.prepare_data()
        data.setup("fit")
    return data


def encoded(sound):
    return LinearCodec().encode(torch.as_tensor(sound)[None, None])[0]


def average(songs):
    """A model that works frame by frame, so that windows must not show at all."""
    a, b = songs["input"], songs["target"]
    return {"output": (a + b) / 2, "input_mask": torch.sigmoid(a), "target_mask": torch.sigmoid(-a)}
