"""What a codec's round trip keeps of a song, and what trivial codecs keep.

Axes: `B` songs, `S` samples at 24 kHz. Kernels take (B, 1, S) and return one value a song.
"""

import math

import numpy as np
import soxr
import torch
from torch import Tensor
from torchmetrics import Metric

from jingle.sound import features, spectral

RATE = 24_000
NAMES = ("si_sdr", "mel_distance", "stft_distance", "onset_f1", "chroma", "harmony", "buzz")
FRAME = 320  # samples
HIGH = 4_650.0  # Hz, above which our codec substitutes noise


def compare(audio: Tensor, reference: Tensor) -> dict[str, Tensor]:
    """Every metric of `audio` against `reference`, (B,) each, on the CPU.

    `si_sdr` in dB; `mel_distance` and `stft_distance` as in `jingle.sound.spectral`;
    `onset_f1` within 50 ms; `chroma`, the cosine of librosa's chroma vectors, frames weighted by
    loudness; `harmony`, the same of vectors less their means, which unrelated music brings near 0;
    `buzz`, of `audio` alone, as in `buzz` below.
    """
    heard = [
        _heard(found, wanted)
        for found, wanted in zip(spectral.flat(audio), spectral.flat(reference), strict=True)
    ]
    found = {
        "si_sdr": spectral.si_sdr(audio, reference),
        "mel_distance": spectral.mel_distance(audio, reference),
        "stft_distance": spectral.stft_distance(audio, reference),
    }
    found |= {name: torch.tensor([h[name] for h in heard]) for name in heard[0]}
    found["buzz"] = buzz(audio)
    return {name: value.detach().float().cpu() for name, value in found.items()}


def buzz(audio: Tensor) -> Tensor:
    """Autocorrelation at one frame of what lies above 4.65 kHz, (B,): 0 for noise, 1 for a buzz.

    A decoder that makes the same noise in every frame is heard as a tone of 75 Hz. Steady tones in
    the music correlate with themselves too: compare with the original's.
    """
    flat = spectral.flat(audio).float()
    spectrum = torch.fft.rfft(flat)
    frequency = torch.fft.rfftfreq(flat.shape[1], 1 / RATE, device=flat.device)
    spectrum[:, frequency < HIGH] = 0
    samples = torch.fft.irfft(spectrum, flat.shape[1])
    power = samples.square().sum(dim=1).clamp_min(1e-12)
    return (samples[:, FRAME:] * samples[:, :-FRAME]).sum(dim=1) / power


def _heard(audio: Tensor, reference: Tensor) -> dict[str, float]:
    found, wanted = features.analyse(audio), features.analyse(reference)
    return {
        "onset_f1": features.onset_f1(wanted.onsets, found.onsets),
        "chroma": chroma_cosine(wanted, found),
        "harmony": features.chroma_similarity(wanted, found),
    }


def chroma_cosine(reference: features.Features, audio: features.Features) -> float:
    """Cosine of chroma vectors frame by frame, weighted by the reference's loudness."""
    length = min(reference.chroma.shape[1], audio.chroma.shape[1])
    a, b = reference.chroma[:, :length], audio.chroma[:, :length]
    weights = reference.loudness[:length]
    sizes = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    cosine = (a * b).sum(axis=0) / np.maximum(sizes, 1e-20)
    return float((weights * cosine).sum() / max(weights.sum(), 1e-12))


def resample_8k(audio: Tensor) -> Tensor:
    """The baseline of a telephone: to 8 kHz and back, (B, 1, S)."""
    kept = [soxr.resample(row, RATE, 8000) for row in _rows(audio)]
    back = np.stack([soxr.resample(row, 8000, RATE)[: audio.shape[-1]] for row in kept])
    back = np.pad(back, ((0, 0), (0, audio.shape[-1] - back.shape[1])))
    return torch.from_numpy(back).float().reshape(audio.shape).to(audio.device)


def mu_law_8bit(audio: Tensor) -> Tensor:
    """The baseline of 8 bits a sample (G.711's curve, mu = 255): 192 kbit/s, (B, 1, S)."""
    size = torch.log1p(255 * audio.abs().clamp(max=1)) / math.log(256)
    level = torch.round(size * 127) / 127
    return torch.sign(audio) * torch.expm1(level * math.log(256)) / 255


BASELINES = {"resample_8k": resample_8k, "mu_law_8bit": mu_law_8bit}


def _rows(audio: Tensor) -> np.ndarray:
    return spectral.flat(audio).detach().cpu().numpy()


class SongTable(Metric):
    """Collects `compare`'s values; `compute` gives the median SI-SDR, its minimum and means."""

    full_state_update = False

    def __init__(self):
        super().__init__()
        for name in NAMES:
            self.add_state(f"each_{name}", [], dist_reduce_fx="cat")

    def update(self, audio: Tensor, reference: Tensor) -> None:
        for name, values in compare(audio, reference).items():
            getattr(self, f"each_{name}").append(values.to(self.device))

    def compute(self) -> dict[str, float]:
        found = {}
        for name in NAMES:
            values = getattr(self, f"each_{name}")
            values = torch.cat(values) if isinstance(values, list) else values
            if name == "si_sdr":
                found["si_sdr"] = float(values.median())
                found["si_sdr_worst"] = float(values.min())
            else:
                found[name] = float(values.mean())
        return found
