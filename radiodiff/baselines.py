"""What to beat: trivial and classical codecs, each a function of maps (B, 1, H, W) in [-1, 1]."""

import io
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

QUALITIES = (2, 5, 10, 15, 20, 30, 40, 50, 60, 75, 90)
SCAN = b"\xff\xda"  # where a JPEG's header ends and its data begin


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


def jpeg(maps: Tensor, quality: int) -> tuple[Tensor, Tensor]:
    """Maps coded as JPEG and decoded; and bits a pixel (B,), headers not counted."""
    made, rates = [], []
    for image in maps[:, 0].cpu():
        gray = ((image.numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
        with io.BytesIO() as stream:
            Image.fromarray(gray).save(stream, "JPEG", quality=quality, optimize=True)
            code = stream.getvalue()
            made.append(np.asarray(Image.open(stream), np.float32) / 127.5 - 1)
        rates.append(8 * (len(code) - code.index(SCAN)) / gray.size)
    return torch.from_numpy(np.stack(made))[:, None].to(maps), torch.tensor(rates)


def choose_quality(rates: dict[int, float], rate: float) -> int:
    """The lowest quality that costs at least `rate` bits a pixel, else the highest."""
    return min((q for q, r in rates.items() if r >= rate), default=max(rates))
