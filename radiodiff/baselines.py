"""What to beat: trivial and classical codecs, each a function of maps (B, 1, H, W) in [-1, 1]."""

import io
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class PatchPCA:
    """A linear code of patches: mean (side^2,), orthonormal basis (Z, side^2), std (Z,)."""

    mean: Tensor
    basis: Tensor
    std: Tensor
    side: int

    def __call__(self, maps: Tensor) -> Tensor:
        """Maps, coded with Z numbers a patch and decoded."""
        basis, mean = self.basis.to(maps), self.mean.to(maps)
        patches = F.unfold(maps, self.side, stride=self.side).transpose(1, 2) - mean  # (B, hw, n)
        made = (patches @ basis.T) @ basis + mean
        return F.fold(made.transpose(1, 2), maps.shape[-2:], self.side, stride=self.side)


def fit_patch_pca(patches: np.ndarray, side: int, components: int) -> PatchPCA:
    """The best linear code of `patches` (N, side^2) with that many components."""
    mean = patches.mean(0, dtype=np.float64)
    centred = patches - mean
    variances, vectors = np.linalg.eigh(centred.T.astype(np.float64) @ centred / len(patches))
    kept = slice(None, -components - 1, -1)
    basis, std = vectors.T[kept], np.sqrt(np.maximum(variances[kept], 0.0))
    return PatchPCA(*(torch.from_numpy(a.astype(np.float32)) for a in (mean, basis, std)), side)


def constant(maps: Tensor, level: float) -> Tensor:
    return torch.full_like(maps, level)


def down_up(maps: Tensor, factor: int) -> Tensor:
    """Box mean of factor x factor pixels, then bilinear."""
    small = F.avg_pool2d(maps, factor)
    return F.interpolate(small, size=maps.shape[-2:], mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Codec:
    """An image format: its name for Pillow, the option that sets its quality, and the values."""

    format: str
    option: str
    qualities: tuple[int, ...]
    further: dict

    def write(self, pixels: np.ndarray, quality: int) -> bytes:
        value = [quality] if self.option == "quality_layers" else quality
        with io.BytesIO() as stream:
            Image.fromarray(pixels).save(
                stream, self.format, **{self.option: value}, **self.further
            )
            return stream.getvalue()


CODECS = {
    "jpeg": Codec("JPEG", "quality", (2, 5, 10, 20, 40, 60, 75, 90), {"optimize": True}),
    # Quality layers of JPEG 2000 are ratios of compression here: 8 bits a pixel over them.
    "jpeg2000": Codec(
        "JPEG2000", "quality_layers", (80, 40, 24, 16, 12, 8, 6, 4),
        {"quality_mode": "rates", "irreversible": True},
    ),
    "webp": Codec("WEBP", "quality", (1, 10, 30, 50, 70, 80, 90, 97), {"method": 6}),
    "avif": Codec("AVIF", "quality", (10, 25, 40, 50, 60, 70, 80, 90), {"subsampling": "4:0:0"}),
}  # fmt: skip


def through_file(maps: Tensor, kind: Codec, quality: int) -> tuple[Tensor, Tensor]:
    """Maps written in a format and read again; and bits a pixel (B,) of the whole files."""
    made, rates = [], []
    for image in maps[:, 0].float().cpu().numpy():
        file = kind.write(((image + 1) * 127.5).round().clip(0, 255).astype(np.uint8), quality)
        with Image.open(io.BytesIO(file)) as opened:
            pixels = np.asarray(opened.convert("L"), np.float32)
        made.append(pixels / 127.5 - 1)
        rates.append(8 * len(file) / image.size)
    return torch.from_numpy(np.stack(made))[:, None].to(maps), maps.new_tensor(rates)


def choose_quality(rates: dict[int, float], rate: float) -> int:
    """The cheapest quality that costs at least `rate` bits a pixel, else the dearest."""
    enough = {q: r for q, r in rates.items() if r >= rate}
    return min(enough, key=enough.get) if enough else max(rates, key=rates.get)
