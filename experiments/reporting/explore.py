"""The curves of one run or of several, for a reader to look into: what explore.js draws."""

from collections.abc import Sequence

from experiments.reporting.curves import Curve, downsample
from experiments.reporting.document import Block, Curves, Heading
from experiments.reporting.events import Run

# A page stays small enough to be sent: some ten bytes a point.
POINTS, TOTAL_POINTS = 300, 60_000
SHOWN = ("val/", "train/", "share/", "lr/", "grad/", "throughput/samples_per_s")


def explorer(runs: Sequence[Run], labels: Sequence[str], first: str) -> list[Block]:
    """All curves over steps; `first`: the tag that is shown at first.

    Where there are too many for one page, each has fewer points, and then the last tags none.
    """
    tags = sorted({tag for run in runs for tag in run.curves if tag.startswith(SHOWN)}, key=order)
    tags = [tag for tag in tags if not all(constant_zero(run.curves.get(tag)) for run in runs)]
    if not tags:
        return []
    points = max(40, min(POINTS, TOTAL_POINTS // (len(tags) * len(runs))))
    tags = tags[: TOTAL_POINTS // (points * len(runs)) or 1]
    series = []
    for run, label in zip(runs, labels, strict=True):
        own = {tag: points_of(run.curves[tag], points) for tag in tags if tag in run.curves}
        series.append({"label": label, "curves": own})
    data = {"tags": tags, "first": first if first in tags else tags[0], "runs": series}
    return [Heading("Curves to look into"), Curves(data)]


def order(tag: str) -> tuple[int, str]:
    return next(i for i, prefix in enumerate(SHOWN) if tag.startswith(prefix)), tag


def constant_zero(curve: Curve | None) -> bool:
    """Whether there is nothing to see: a term without weight, or of another phase."""
    return curve is None or not curve.finite().values.any()


def points_of(curve: Curve, points: int) -> list[list[float]]:
    """[steps, values], in four digits."""
    thin = downsample(curve.finite(), points)
    return [[int(step) for step in thin.steps], [float(f"{value:.4g}") for value in thin.values]]
