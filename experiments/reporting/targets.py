"""Stated targets (`">= 0.97"`, `"0.49..0.51"`, `"0.5 +- 0.02"`) and whether a value meets them."""

import math
import re
from dataclasses import dataclass

from experiments.shared.errors import InputError

NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
COMPARISON = re.compile(rf"^(>=|<=|>|<|==)\s*{NUMBER}$")
RANGE = re.compile(rf"^{NUMBER}\s*\.\.\s*{NUMBER}$")
AROUND = re.compile(rf"^{NUMBER}\s*(?:\+-|±)\s*{NUMBER}$")


@dataclass(frozen=True)
class Target:
    """An interval that a value should lie in; `text` is how it was written."""

    text: str
    low: float = -math.inf
    high: float = math.inf
    open_ends: bool = False

    def met(self, value: float) -> bool:
        """Whether `value` lies inside; NaN never does."""
        if self.open_ends:
            return self.low < value < self.high
        # The slack lets a value printed as the bound itself count (0.97 stored as float32).
        slack = 1e-6 * max(1e-12, *(abs(b) for b in (self.low, self.high) if math.isfinite(b)))
        return self.low - slack <= value <= self.high + slack

    def miss(self, value: float) -> float:
        """How far `value` lies outside, in its own unit; 0 inside."""
        return max(self.low - value, value - self.high, 0.0)


def parse_target(text: object) -> Target:
    """Read a target expression.

    Raises:
        InputError: it is none of the forms above.
    """
    written = str(text).strip()
    if found := COMPARISON.match(written):
        sign, bound = found[1], float(found[2])
        low = bound if sign in (">=", ">", "==") else -math.inf
        high = bound if sign in ("<=", "<", "==") else math.inf
        return Target(written, low, high, open_ends=sign in ("<", ">"))
    if found := RANGE.match(written):
        low, high = float(found[1]), float(found[2])
    elif found := AROUND.match(written):
        low, high = float(found[1]) - float(found[2]), float(found[1]) + float(found[2])
    else:
        raise InputError(
            f'target {written!r} is not understood: expected ">= 0.9", "< 5", "0.49..0.51" '
            'or "0.5 +- 0.02"'
        )
    if low > high:
        raise InputError(f"target {written!r} is empty: its lower end is above its upper end")
    return Target(written, low, high)
