"""When a target may be met, worked out from the curve so far: never a promise."""

import math
from dataclasses import dataclass

import numpy as np

from experiments.reporting.curves import Curve
from experiments.reporting.document import Block, Heading, Table
from experiments.reporting.events import Run
from experiments.reporting.facts import targets_of
from experiments.reporting.targets import Target
from experiments.shared.numbers import count, number

LEAST, DRAWS, FURTHEST = 6, 400, 20  # points; resampled curves; times the steps so far


@dataclass(frozen=True)
class Forecast:
    """Steps at which the target is crossed: the middle and the 80 % interval of the draws.

    Infinite where a draw does not cross it within FURTHEST times the run.
    """

    middle: float
    early: float
    late: float


def forecast(curve: Curve, target: Target, seed: int = 0) -> Forecast | None:
    """Of a validation curve that is on its way to `target`; None where nothing can be said.

    A line through the later half of the points over the logarithm of the step, which most curves
    of a training bend towards; its errors are resampled, to say how sure it is.
    """
    curve = curve.finite()
    keep = curve.steps > 0
    steps, values = curve.steps[keep], curve.values[keep]
    if len(steps) < LEAST or target.met(values[-1]):
        return None
    half = slice(len(steps) // 2 if len(steps) >= 2 * LEAST else 0, None)
    x, y = np.log(steps[half]), values[half]
    bound = target.high if values[-1] > target.high else target.low
    slope, start = np.polyfit(x, y, 1)
    rest, rng = y - (slope * x + start), np.random.default_rng(seed)
    scale = math.sqrt(len(x) / max(1, len(x) - 2))
    found = []
    for _ in range(DRAWS):
        draw = slope * x + start + scale * rng.choice(rest, len(rest))
        a, b = np.polyfit(x, draw, 1)
        goal = (bound - b) / a if a else math.inf
        # The other way, or behind us by the line alone: the target is not on its way.
        right = (bound - values[-1]) * a > 0
        found.append(math.exp(min(max(goal, x[-1]), 700)) if right else math.inf)
    early, middle, late = np.quantile(found, [0.1, 0.5, 0.9], method="nearest")
    limit = FURTHEST * float(steps[-1])
    return None if early > limit else Forecast(*(v if v <= limit else math.inf for v in (
        middle, early, late)))  # fmt: skip


def forecasts(run: Run) -> list[Block]:
    """A row for each target that validation has not met yet."""
    rows = []
    for tag, target in targets_of(run)[0].items():
        name = tag.replace("test/", "val/", 1)
        curve = run.curves.get(name)
        if curve is None or target.remark:
            continue
        found = forecast(curve, target)
        if found is not None:
            last = number(float(curve.finite().values[-1]))
            between = f"{steps(found.early)} to {steps(found.late)}"
            rows.append([name, target.text, last, steps(found.middle), between])
    if not rows:
        return []
    caption = (
        "No promise: the later half of the validation curve, drawn on as a straight line over the "
        "logarithm of the step, with its scatter. Rates that fall, phases and plateaus are "
        f"not in it. never: not within {FURTHEST} times the steps so far."
    )
    head = ["metric", "target", "now", "met at about step", "80 % between"]
    return [Heading("When targets may be met", open=False), Table(head, rows, (0, 1), caption)]


def steps(value: float) -> str:
    return count(round(float(number(value, 2).replace(",", "")))) if value < math.inf else "never"
