"""What an experiment's published report states, from `conf/published/NAME.yaml`, beside our run.

A file has `source`, `axis`, `remark` and `rows`, one quantity each: the published `points` ({epoch
or step: value}) or `range`; the `tags` of ours that hold the same quantity (the first that a run
has is taken; none where we do not measure it); `scale` (published = ours * scale); `take: max` to
compare with our maximum instead of our last value; and a `remark` on how to read it. `claims` are
figures without a counterpart in our events. `study` tells what was found for values of a setting,
for sweeps over it. Keys of points count finished epochs from 1, or steps.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from experiments.reporting.curves import Curve
from experiments.reporting.events import Run, epoch_of
from experiments.shared.errors import InputError

CONF = Path(__file__).parents[2] / "conf"
VARIANTS = ("_demo", "_published")


@dataclass(frozen=True)
class Row:
    """One published quantity and where ours is found; published = ours * `scale`.

    `take` is what of our curve stands for the run: its "last" value or its "max".
    """

    name: str
    unit: str = ""
    tags: tuple[str, ...] = ()
    scale: float = 1.0
    points: dict[float, float] = field(default_factory=dict)
    range: tuple[float, float] | None = None
    remark: str = ""
    take: str = "last"

    def tag(self, run: Run) -> str | None:
        """The first of our tags that `run` has."""
        return next((tag for tag in self.tags if run.value(tag) is not None), None)

    def ours(self, run: Run, tag: str) -> float | None:
        """What `run` has for this quantity, in the published unit."""
        value, curve = run.value(tag), run.curves.get(tag)
        if self.take == "max" and curve is not None and len(curve.finite().values):
            value = float(curve.finite().values.max())
        return None if value is None else value * self.scale


@dataclass(frozen=True)
class Published:
    """What one published report states; `axis` ("epoch" or "step") is what its points count."""

    source: str
    axis: str
    remark: str
    rows: tuple[Row, ...]
    claims: tuple[str, ...] = ()
    study: dict[str, dict[float, str]] = field(default_factory=dict)


def read_published(file: Path) -> Published:
    """What a data file states.

    Raises:
        InputError: it has an unknown key or lacks one.
    """
    entry = yaml.safe_load(file.read_text())
    try:
        rows = tuple(
            Row(**{**row, "tags": tuple(row.get("tags", ()))}) for row in entry.pop("rows")
        )
        return Published(rows=rows, **entry)
    except (TypeError, KeyError) as error:
        raise InputError(f"{file}: not as expected of published figures ({error})") from error


def published_for(run: Run) -> Published | None:
    """The figures of a run's experiment: `published_as` in its config, its name, or its +exp=."""
    asked = [o.split("=", 1)[1] for o in run.overrides if o.lstrip("+").startswith("exp=")]
    places = [CONF, *map(Path, filter(None, [os.environ.get("SUITE_CONF")]))]
    for name in (run.config.get("published_as"), run.name, *asked):
        key = str(name).rsplit("/", 1)[-1]
        for variant in VARIANTS:
            key = key.removesuffix(variant)
        for place in places:
            file = place / "published" / f"{key}.yaml"
            if file.is_file():
                return read_published(file)
    return None


def ours_at(run: Run, tag: str, position: float, axis: str) -> float | None:
    """Our value of `tag` at the published epoch or step; None where our run has not come there."""
    curve = run.curves.get(tag)
    if curve is None or not len(curve.steps):
        return None
    places = curve.steps if axis == "step" else epoch_of(run, curve.steps)
    if places is None:
        return None
    if axis == "epoch":
        inside = curve.values[places == position]
        return float(inside[-1]) if len(inside) else None
    # Steps are logged at intervals: the nearest one counts, up to 5 % away.
    index = int(abs(places - position).argmin())
    near = abs(places[index] - position) <= max(1, 0.05 * position)
    return float(curve.values[index]) if near else None


def epoch_ends(run: Run) -> dict[int, int]:
    """The last step seen of each epoch, counted from 1."""
    curve = run.curves.get("epoch")
    if curve is None:
        return {}
    return {int(e) + 1: int(s) for e, s in zip(curve.values, curve.steps, strict=True)}


def places(run: Run, steps: np.ndarray, axis: str) -> np.ndarray | None:
    """`steps` on the published axis: themselves, or epochs with their fractions."""
    if axis == "step":
        return steps
    ends = epoch_ends(run)
    if not ends:
        return None
    return np.interp(steps, [0, *ends.values()], [0, *ends])


def as_steps(run: Run, row: Row, axis: str) -> Curve | None:
    """The published points over our steps and in our unit, to be drawn beside our curve."""
    if not row.points:
        return None
    positions = np.array([float(p) for p in row.points])
    values = np.array(list(row.points.values()), float) / row.scale
    if axis == "epoch":
        ends = epoch_ends(run)
        inside = np.array([int(p) in ends for p in positions])
        steps = np.array([ends[int(p)] for p in positions[inside]], float)
    else:
        last = max((c.steps[-1] for c in run.curves.values() if len(c.steps)), default=0)
        inside = positions <= 1.05 * last
        steps = positions[inside]
    return Curve(steps, values[inside]) if inside.any() else None
