"""The spread of a flow's maps as intervals, beside intervals that are as wide everywhere."""

import torch
from torch import Tensor, nn

from radiodiff.estimate.intervals import GAUSSIAN, SHARES, Calibration, Widths, spread
from radiodiff.metrics import SPAN_DB


class Uncertainty(nn.Module):
    """Intervals of a split: ours, from several maps; and the regressor's, of one constant width.

    Both get their widths on validation cities.
    """

    def __init__(self):
        super().__init__()
        self.tables = nn.ModuleDict({"ours": Calibration(), "constant": Calibration()})
        self.widths = nn.ModuleDict({"ours": Widths(), "constant": Widths()})
        self.noise = torch.Generator().manual_seed(0)

    def begin(self, rank: int) -> None:
        for table in self.tables.values():
            table.reset()
        self.noise.manual_seed(rank)

    def update(self, maps: Tensor, regressed: Tensor, true: Tensor, buildings: Tensor) -> None:
        """Maps (K, B, 1, H, W) beside the regressor's and the true ones (B, 1, H, W)."""
        self.tables["ours"].update(maps.mean(0), spread(maps), true, buildings)
        one = torch.full_like(true, 1 / SPAN_DB)  # 1 dB everywhere
        self.tables["constant"].update(regressed, one, true, buildings)

    def intervals(self, maps: Tensor) -> dict[str, Tensor]:
        """`low_50`, `high_50`, ... of maps (K, B, 1, H, W), gray."""
        centre, reach, found = maps.mean(0), spread(maps), {}
        for share, width in zip(SHARES, self.widths["ours"].values.tolist(), strict=True):
            for name, sign in (("low", -1), ("high", 1)):
                found[f"{name}_{round(100 * share)}"] = centre + sign * width * reach
        return found

    def calibrate(self) -> None:
        for name, table in self.tables.items():
            self.widths[name].take(table.widths())

    def found(self) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Coverage and mean width (dB) of intervals: ours, and the regressor's.

        `spread_coverage_*` is ours with a Gaussian's widths, before anything is calibrated.
        """
        logged = []
        for name, table in self.tables.items():
            widths = tuple(self.widths[name].values.tolist())
            values, (_, mean) = {}, table.compute()
            for share, width, covered in zip(SHARES, widths, table.coverage(widths), strict=True):
                level = round(100 * share)
                values[f"interval_{level}_coverage"] = covered
                values[f"interval_{level}_db"] = 2 * SPAN_DB * width * mean
            logged.append(values)
        for share, covered in zip(SHARES, self.tables["ours"].coverage(GAUSSIAN), strict=True):
            logged[0][f"spread_coverage_{round(100 * share)}"] = covered
        return {name: torch.tensor(value) for name, value in logged[0].items()}, logged[1]
