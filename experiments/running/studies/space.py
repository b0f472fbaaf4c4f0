"""What a search may choose: ranges and choices by configuration key, in values that are rounded."""

import math
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler

from experiments.shared.errors import InputError


@dataclass
class Range:
    """Of one key: from `low` to `high`, both included, or one of `choices`.

    Whole numbers where both ends are; `log`: equal chances for equal factors.
    """

    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    choices: list[Any] | None = None

    def distribution(self, key: str) -> BaseDistribution:
        """As Optuna has it.

        Raises:
            InputError: neither a range nor choices, or an empty one.
        """
        where = f"hpo.space.{key}"
        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.low is None or self.high is None:
            raise InputError(f"{where}: expected {{low: A, high: B}}, perhaps log, or choices")
        if self.low >= self.high or (self.log and self.low <= 0):
            least = " above 0" if self.log else ""
            raise InputError(
                f"{where}: low={self.low}, high={self.high}: expected low{least} below high"
            )
        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


def rounded(value: Any, distribution: BaseDistribution, digits: int) -> Any:
    """A float with `digits` significant digits, within its range; anything else as it is."""
    if not isinstance(distribution, FloatDistribution) or value == 0:
        return value
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return min(max(round(float(value), places), distribution.low), distribution.high)


class RoundedTPE(TPESampler):
    """Optuna's sampler, whose values are those that names and tables show.

    Args:
        digits: significant ones of a float.
        options: the sampler's.
    """

    def __init__(self, digits: int, **options):
        super().__init__(**options)
        self.digits = digits

    def sample_relative(self, study, trial, search_space) -> dict[str, Any]:
        found = super().sample_relative(study, trial, search_space)
        return {k: rounded(v, search_space[k], self.digits) for k, v in found.items()}

    def sample_independent(self, study, trial, param_name, param_distribution) -> Any:
        value = super().sample_independent(study, trial, param_name, param_distribution)
        return rounded(value, param_distribution, self.digits)
