"""A split's metrics with their intervals, and by how much they lead over the baselines'."""

import math

import torch
from torch import Tensor

from radiodiff.estimate.metrics import Pooled, interval, lead

LEADS = ("nmse", "ssim", "coverage_f1", "edge_rmse", "sharpness")
Found = tuple[dict[str, Tensor], dict[str, Tensor]]  # metrics, and their bootstrap


def found(table: Pooled) -> Found:
    """A table's metrics, and their bootstrap; what no map has (a NaN) is left out."""
    values, draws = table.compute()
    return {name: value for name, value in values.items() if value.isfinite()}, draws


def beside(
    baselines: dict[str, dict[str, float]], prefix: str, tables: dict[str, Found], others: list[str]
) -> dict[str, Tensor]:
    """The metrics of `tables["model"]` with their intervals, and the lower ends of its leads.

    Metrics of the `others` are added to `baselines`. Over the regressor, which a flow starts from,
    also the upper ends: a lead's interval around 0 is of two that are level.
    """
    values, draws = tables["model"]
    logged = {f"{prefix}{name}": value for name, value in values.items()}
    for name in values:
        low, high = interval(draws[name])
        if math.isfinite(low):
            ends = {f"{prefix}{name}_low": low, f"{prefix}{name}_high": high}
            logged |= {tag: torch.tensor(value) for tag, value in ends.items()}
    for other in others:
        theirs, spread = tables[other]
        kept = baselines.setdefault(other, {})
        kept |= {f"{prefix}{k}": float(v) for k, v in theirs.items() if k in values}
        for name in LEADS:
            low, high = interval(lead(name, draws[name], spread[name]))
            if math.isfinite(low):
                logged[f"{prefix}{name}_lead_{other}_low"] = torch.tensor(low)
                if other == "regressor":
                    logged[f"{prefix}{name}_lead_{other}_high"] = torch.tensor(high)
    return logged
