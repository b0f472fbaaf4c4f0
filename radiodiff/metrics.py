"""How good reconstructions are: kernels for each map, and their table over unseen cities.

Maps (B, 1, H, W) come in gray, [0, 1]; kernels return one value a map, (B,).
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

SPAN_DB = 99.16  # of gray 0 to 1
DARK = 1e-5  # mean square gray; below, a map holds less than its rounding
EDGE = 3  # pixels from a building's edge
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003
RESAMPLES = 1000
PARTS = ("sight", "shadow", "building", "edges")
NAMES = (
    "l1",
    "rmse",
    "rmse_db",
    "nmse",
    "psnr",
    "ssim",
    "ms_ssim",
    "edge_rmse",
    "sharpness",
    *(f"rmse_db_{p}" for p in PARTS),
)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over (1, H, W) where `mask`; NaN where it is empty."""
    return (values * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3))


def nmse(made: Tensor, maps: Tensor) -> Tensor:
    """Squared error over the map's own energy; NaN of a map that is dark all over."""
    energy = maps.square().mean((1, 2, 3))
    found = (made - maps).square().mean((1, 2, 3)) / energy
    return torch.where(energy > DARK, found, torch.nan)


def psnr(made: Tensor, maps: Tensor) -> Tensor:
    """In dB, data range 1; at most 100 dB."""
    return -10 * (made - maps).square().mean((1, 2, 3)).clamp_min(1e-10).log10()


def window(side: int, size: int = 11, sigma: float = 1.5) -> Tensor:
    """(side - size + 1, side): a Gaussian window at each place, as a matrix to multiply by.

    In double precision matrices are an order faster on a CPU than convolutions.
    """
    x = torch.arange(size, dtype=torch.float64) - size // 2
    bell = (-x.square() / (2 * sigma**2)).exp()
    places = torch.arange(side - size + 1)[:, None]
    matrix = torch.zeros(side - size + 1, side, dtype=torch.float64)
    return matrix.scatter(
        1, places + torch.arange(size), (bell / bell.sum()).expand(len(places), -1)
    )


def structure(made: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure part; Gaussian window of 11, data range 1, no padding."""
    a, b = made.double(), maps.double()
    down, across = (window(side).to(a.device) for side in a.shape[-2:])

    def blur(x: Tensor) -> Tensor:
        return down @ x @ across.T

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    both = blur(a * b) - mean_a * mean_b
    contrast = (2 * both + 0.03**2) / (var_a + var_b + 0.03**2)
    light = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    return (light * contrast).mean((1, 2, 3)), contrast.mean((1, 2, 3))


def ssim(made: Tensor, maps: Tensor) -> Tensor:
    return structure(made, maps)[0].float()


def ms_ssim(made: Tensor, maps: Tensor) -> Tensor:
    """On five scales, or as many as the window fits into (their weights then sum to 1 again)."""
    side = min(maps.shape[-2:])
    count = sum(side // 2**k >= 11 for k in range(len(SCALES)))
    weights = [w / sum(SCALES[:count]) for w in SCALES[:count]]
    product = torch.ones(len(maps), dtype=torch.float64, device=maps.device)
    for level, weight in enumerate(weights):
        whole, contrast = structure(made, maps)
        part = whole if level == count - 1 else contrast
        product = product * part.clamp_min(0) ** weight
        made, maps = F.avg_pool2d(made, 2), F.avg_pool2d(maps, 2)
    return product.float()


def edge_square(made: Tensor, maps: Tensor) -> Tensor:
    """Mean squared difference of the steps between neighbours, down and across, added."""
    return sum((made.diff(dim=a) - maps.diff(dim=a)).square().mean((1, 2, 3)) for a in (-2, -1))


def steps(maps: Tensor, buildings: Tensor) -> Tensor:
    """Energy of the steps between free neighbours: borders of shadows; smaller where blurred."""
    free, axes = ~buildings, (1, 2, 3)
    down = (maps.diff(dim=-2).square() * (free[..., 1:, :] & free[..., :-1, :])).sum(axes)
    return down + (maps.diff(dim=-1).square() * (free[..., 1:] & free[..., :-1])).sum(axes)


def sharpness(made: Tensor, maps: Tensor, buildings: Tensor) -> Tensor:
    """Their `steps` over the true map's: 1 as sharp, below blurred; NaN of an even map."""
    true = steps(maps, buildings)
    return torch.where(true > 0, steps(made, buildings) / true, torch.nan)


def edges(buildings: Tensor, reach: int = EDGE) -> Tensor:
    """Pixels within `reach` of the boundary between building and free ground, of either side."""
    return grown(buildings, reach) & grown(~buildings, reach)


def grown(mask: Tensor, reach: int) -> Tensor:
    """Pixels with one of `mask` (..., H, W) within `reach` down and across: a square's dilation."""
    for axis, beyond in ((-2, (0, 0, reach, reach)), (-1, (reach, reach))):
        wide, length = F.pad(mask, beyond), mask.shape[axis]
        shifts = (wide.narrow(axis, start, length) for start in range(2 * reach + 1))
        mask = functools.reduce(torch.logical_or, shifts)
    return mask


def parts(buildings: Tensor, sight: Tensor) -> dict[str, Tensor]:
    """Masks of the `PARTS` of a map."""
    return {
        "sight": sight & ~buildings,
        "shadow": ~sight & ~buildings,
        "building": buildings,
        "edges": edges(buildings),
    }


def compare(made: Tensor, maps: Tensor, buildings: Tensor, sight: Tensor) -> dict[str, Tensor]:
    """All metrics of each map; `made` is clamped to [0, 1], where gray lives."""
    made = made.clamp(0, 1)
    error = made - maps
    square = error.square()
    rmse = square.mean((1, 2, 3)).sqrt()
    found = {
        "l1": error.abs().mean((1, 2, 3)),
        "rmse": rmse,
        "rmse_db": SPAN_DB * rmse,
        "nmse": nmse(made, maps),
        "psnr": psnr(made, maps),
        "ssim": ssim(made, maps),
        "ms_ssim": ms_ssim(made, maps),
        "edge_rmse": edge_square(made, maps).sqrt(),
        "sharpness": sharpness(made, maps, buildings),
    }
    for name, mask in parts(buildings, sight).items():
        found[f"rmse_db_{name}"] = SPAN_DB * masked_mean(square, mask).sqrt()
    return found


class Table(Metric):
    """Gathers values of named metrics, one a map, with the city of each; over all ranks."""

    full_state_update = False

    def __init__(self, names: tuple[str, ...]):
        super().__init__()
        self.names = names
        self.add_state("rows", [], dist_reduce_fx="cat")
        self.add_state("cities", [], dist_reduce_fx="cat")

    def update(self, values: dict[str, Tensor], cities: Tensor) -> None:
        self.rows.append(torch.stack([values[name].float() for name in self.names], 1).detach())
        self.cities.append(cities)

    def compute(self) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
        """Means over cities, and the 95 % intervals of a bootstrap over cities.

        A city's value is the mean of its maps; where a map has none (no shadow in it), it is left
        out. One city alone has no interval: NaN.
        """
        rows, cities = (
            torch.cat(x) if isinstance(x, list) else x for x in (self.rows, self.cities)
        )
        each = torch.stack([rows[cities == city].nanmean(0) for city in cities.unique()]).cpu()
        draws = torch.Generator().manual_seed(0)
        picks = torch.randint(len(each), (RESAMPLES, len(each)), generator=draws)
        spread = each[picks].nanmean(1)  # (resamples, names)
        low, high = torch.nanquantile(spread, torch.tensor([0.025, 0.975]), dim=0)
        means = each.nanmean(0)
        if len(each) == 1:
            low, high = torch.full_like(low, torch.nan), torch.full_like(high, torch.nan)
        return (
            dict(zip(self.names, means, strict=True)),
            {n: (low[i], high[i]) for i, n in enumerate(self.names)},
        )


class LatentHealth(Metric):
    """Moments of posterior means and the rate, over a whole split; (B, Z, h, w) a batch."""

    full_state_update = False

    def __init__(self, channels: int):
        super().__init__()
        for name in ("total", "squares"):
            zeros = torch.zeros(channels, dtype=torch.float64)
            self.add_state(name, zeros, dist_reduce_fx="sum")
        for name in ("count", "nats", "pixels"):
            zero = torch.zeros((), dtype=torch.float64)
            self.add_state(name, zero, dist_reduce_fx="sum")
        self.add_state("channel_nats", torch.zeros(channels, dtype=torch.float64), "sum")

    def update(self, mean: Tensor, nats: Tensor, pixels: int) -> None:
        mean, nats = mean.double(), nats.double()
        self.total += mean.sum((0, 2, 3))
        self.squares += mean.square().sum((0, 2, 3))
        self.count += mean.numel() / mean.shape[1]
        self.channel_nats += nats.sum((0, 2, 3))
        self.nats += nats.sum()
        self.pixels += pixels

    def compute(self) -> dict[str, Tensor]:
        """`bits_per_pixel`, `nats_per_dim`, `active`; `mean`, `std` and `channel_nats` (Z,).

        `active`: share of channels whose mean varies by more than 0.01 (Burda et al. 2016).
        """
        mean = self.total / self.count
        std = (self.squares / self.count - mean.square()).clamp_min(0).sqrt()
        return {
            "bits_per_pixel": self.nats / self.pixels / torch.log(torch.tensor(2.0)),
            "nats_per_dim": self.nats / (self.count * len(mean)),
            "active": (std.square() > 0.01).double().mean(),
            "mean": mean,
            "std": std,
            "channel_nats": self.channel_nats / self.count,
        }
