"""How good estimated maps are: sums a map, pooled over a test set as the field does.

Maps (B, 1, H, W) come in gray, [0, 1]; a sum is one value a map, (B,).
"""

import torch
from torch import Tensor
from torchmetrics import Metric

from radiodiff.metrics import (
    PARTS,
    RESAMPLES,
    SPAN_DB,
    edge_square,
    nmse,
    parts,
    psnr,
    ssim,
    steps,
)

# What is added up over maps; `ratios` makes metrics of the totals.
SUMS = (
    *("maps", "pixels", "square", "absolute", "energy", "edge_square"),
    *("ssim", "psnr", "lit_maps", "map_nmse"),
    *(f"{what}_{part}" for part in PARTS for what in ("pixels", "square")),
    *("hits", "alarms", "misses", "steps_made", "steps_true"),
)
NAMES = (
    *("nmse", "rmse", "rmse_db", "mae_db", "psnr", "ssim", "edge_rmse", "sharpness"),
    *("coverage_f1",),
    *("map_nmse", "map_psnr"),
    *(f"rmse_db_{part}" for part in PARTS),
)
BETTER_HIGH = ("psnr", "ssim", "coverage_f1", "map_psnr")


def sums(
    made: Tensor, maps: Tensor, buildings: Tensor, sight: Tensor, threshold: float
) -> dict[str, Tensor]:
    """The `SUMS` of each map; `made` is clamped to [0, 1].

    A pixel is covered where its gray is at least `threshold`. `edge_square` is of the steps between
    neighbours; `steps_made` and `steps_true` are those of either, squared, between free pixels. An
    all-dark map has no NMSE of its own: it is no `lit_maps`.
    """
    made = made.clamp(0, 1)
    square, axes = (made - maps).square(), (1, 2, 3)
    own, there = made >= threshold, maps >= threshold
    each = nmse(made, maps)
    found = {
        "maps": torch.ones_like(each),
        "pixels": torch.full_like(each, square[0].numel()),
        "square": square.sum(axes),
        "absolute": (made - maps).abs().sum(axes),
        "energy": maps.square().sum(axes),
        "edge_square": edge_square(made, maps),
        "ssim": ssim(made, maps),
        "psnr": psnr(made, maps),
        "lit_maps": each.isfinite().to(each),
        "map_nmse": each.nan_to_num(0.0),
        "hits": (own & there).sum(axes),
        "alarms": (own & ~there).sum(axes),
        "misses": (~own & there).sum(axes),
        "steps_made": steps(made, buildings),
        "steps_true": steps(maps, buildings),
    }
    for name, mask in parts(buildings, sight).items():
        found[f"pixels_{name}"] = mask.sum(axes)
        found[f"square_{name}"] = (square * mask).sum(axes)
    return found


def ratios(total: dict[str, Tensor]) -> dict[str, Tensor]:
    """The `NAMES` from totals of any shape: pooled, but for ssim, map_nmse and map_psnr.

    Sharpness is the energy of steps between free neighbours over the true maps': 1 as sharp, below
    blurred. Pooled NMSE is the squared error of all maps over the energy of all; where nothing was
    to be covered and nothing was said to be, the F1 is NaN.
    """
    mean = total["square"] / total["pixels"]
    found = {
        "nmse": total["square"] / total["energy"],
        "rmse": mean.sqrt(),
        "rmse_db": SPAN_DB * mean.sqrt(),
        "mae_db": SPAN_DB * total["absolute"] / total["pixels"],
        "psnr": -10 * mean.clamp_min(1e-10).log10(),
        "ssim": total["ssim"] / total["maps"],
        "edge_rmse": (total["edge_square"] / total["maps"]).sqrt(),
        "sharpness": total["steps_made"] / total["steps_true"],
        "coverage_f1": 2 * total["hits"] / (2 * total["hits"] + total["alarms"] + total["misses"]),
        "map_nmse": total["map_nmse"] / total["lit_maps"],
        "map_psnr": total["psnr"] / total["maps"],
    }
    for part in PARTS:
        share = total[f"square_{part}"] / total[f"pixels_{part}"]
        found[f"rmse_db_{part}"] = SPAN_DB * share.sqrt()
    return found


class Pooled(Metric):
    """Gathers `sums`, one row a map, with the city of each; over all ranks."""

    full_state_update = False

    def __init__(self):
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")
        self.add_state("cities", [], dist_reduce_fx="cat")

    def update(self, found: dict[str, Tensor], cities: Tensor) -> None:
        self.rows.append(torch.stack([found[name].double() for name in SUMS], 1).detach())
        self.cities.append(cities)

    def compute(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Metrics over all maps, and the same (resamples,) of a bootstrap over cities.

        Every table of the same maps is resampled alike, so their differences are paired. One city
        alone has no spread: NaN.
        """
        rows, cities = (
            torch.cat(x) if isinstance(x, list) else x for x in (self.rows, self.cities)
        )
        each = torch.stack([rows[cities == city].sum(0) for city in cities.unique()]).cpu()
        draws = torch.Generator().manual_seed(0)
        picks = torch.randint(len(each), (RESAMPLES, len(each)), generator=draws)
        spread = each[picks].sum(1)  # (resamples, sums)
        if len(each) == 1:
            spread = torch.full_like(spread, torch.nan)
        whole = each.sum(0)
        return tuple(
            ratios(dict(zip(SUMS, totals.unbind(-1), strict=True))) for totals in (whole, spread)
        )


def interval(draws: Tensor) -> tuple[float, float]:
    """The middle 95 % of a bootstrap's draws, of which some may be NaN."""
    return tuple(torch.nanquantile(draws, torch.tensor([0.025, 0.975]).to(draws)).tolist())


def lead(name: str, ours: Tensor, theirs: Tensor) -> Tensor:
    """By how much we are better, draw by draw; positive whichever way `name` is better."""
    if name == "sharpness":
        return (theirs - 1).abs() - (ours - 1).abs()
    return ours - theirs if name in BETTER_HIGH else theirs - ours
