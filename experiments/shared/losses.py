"""The weighted sum of named loss terms, and the check that weights and terms agree in name."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from experiments.shared.errors import InputError


def check_names(weights: Mapping[str, float], terms: Iterable[str]) -> None:
    """Stop unless `weights` (configuration) and `terms` (code) have the same names.

    Raises:
        InputError: for a missing, an unknown, a negative or a non-finite weight.
    """
    terms = set(terms)
    unknown, missing = sorted(set(weights) - terms), sorted(terms - set(weights))
    if unknown:
        raise InputError(f"unknown loss weight {unknown}: expected one of {sorted(terms)}")
    if missing:
        raise InputError(f"missing loss weight {missing}: add it to conf/loss (0 switches it off)")
    for name, weight in weights.items():
        if not math.isfinite(weight) or weight < 0:
            raise InputError(f"loss.{name}={weight}: expected a finite weight >= 0")


def weighted_sum(
    terms: Mapping[str, Tensor], weights: Mapping[str, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum w*term over the scalar `terms`; also each term's detached share |w*term| / sum."""
    weighted = {name: weights[name] * term for name, term in terms.items()}
    total = torch.stack(list(weighted.values())).sum()
    sizes = {name: value.detach().abs() for name, value in weighted.items()}
    whole = torch.stack(list(sizes.values())).sum().clamp_min(torch.finfo(torch.float32).tiny)
    return total, {name: size / whole for name, size in sizes.items()}
