"""Stated targets (`">= 0.97"`, `"0.49..0.51"`, `"< 1 (by construction)"`) and what meets them."""

import math
import re
from dataclasses import dataclass

from experiments.shared.errors import InputError

NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
COMPARISON = re.compile(rf"^(>=|<=|>|<|==)\s*{NUMBER}$")
REMARK = re.compile(r"^(.*\S)\s*\(([^()]+)\)$")
RANGE = re.compile(rf"^{NUMBER}\s*\.\.\s*{NUMBER}$")
AROUND = re.compile(rf"^{NUMBER}\s*(?:\+-|±)\s*{NUMBER}$")


@dataclass(frozen=True)
class Target:
    """An interval that a value should lie in; `text` is how it was written.

    `remark` is what stood behind it in brackets: "by construction", of what says nothing of a run.
    """

    text: str
    low: float = -math.inf
    high: float = math.inf
    open_ends: bool = False
    remark: str = ""

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
    written, remark = str(text).strip(), ""
    if found := REMARK.match(written):
        written, remark = found[1], found[2].strip()
    if found := COMPARISON.match(written):
        sign, bound = found[1], float(found[2])
        low = bound if sign in (">=", ">", "==") else -math.inf
        high = bound if sign in ("<=", "<", "==") else math.inf
        return Target(written, low, high, sign in ("<", ">"), remark)
    if found := RANGE.match(written):
        low, high = float(found[1]), float(found[2])
    elif found := AROUND.match(written):
        low, high = float(found[1]) - float(found[2]), float(found[1]) + float(found[2])
    else:
        raise InputError(
            f'target {written!r} is not understood: expected ">= 0.9", "< 5", "0.49..0.51" '
            'or "0.5 +- 0.02", and perhaps a remark in brackets'
        )
    if low > high:
        raise InputError(f"target {written!r} is empty: its lower end is above its upper end")
    return Target(written, low, high, remark=remark)
