"""The curves of one run, as matplotlib figures."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator

from experiments.reporting.curves import Curve, downsample, smooth
from experiments.reporting.events import Run
from experiments.reporting.published import Published, places
from experiments.reporting.targets import Target
from experiments.shared.plots import new_figure

BLUE, ORANGE, GREEN, RED, GREY = "#1f77b4", "#e07b00", "#2a9d4a", "#c8323c", "#7a828c"
BASELINES = ["#8c564b", "#9467bd", "#b07d00", "#17899b", "#c2569b", "#5d6b2f", "#4c5b70"]
POINTS, PANELS = 1500, 12
WIDTH = 44  # letters of a title beside another panel's


def draw(axes: Axes, curve: Curve, colour: str, label: str = "", marker: str = "") -> None:
    """A curve; a dense one as a faint band of its extremes under its moving average."""
    curve = curve.finite()
    if len(curve.steps) > 60:
        thin = downsample(curve, POINTS)
        axes.plot(thin.steps, thin.values, color=colour, alpha=0.25, lw=0.7)
        curve = downsample(smooth(curve, max(5, len(curve.steps) // 30)), POINTS)
        marker = ""
    elif len(curve.steps) <= 25:
        marker = marker or "o"
    axes.plot(curve.steps, curve.values, color=colour, lw=1.5, label=label, marker=marker, ms=3)


def set_scale(axes: Axes, values: np.ndarray) -> None:
    """Logarithmic for positive values over two decades, symmetric-logarithmic for wild ones."""
    values = values[np.isfinite(values)]
    sizes = np.abs(values[values != 0])
    if not len(sizes):
        return
    if values.min() > 0 and sizes.max() / sizes.min() > 100:
        axes.set_yscale("log")
    elif values.min() <= 0 and sizes.max() > 1e4 * np.median(sizes):
        axes.set_yscale("symlog", linthresh=10 * float(np.median(sizes)))
        if values.min() >= 0:
            axes.set_ylim(bottom=0)


def step_label(step: float, _=None) -> str:
    """1500 as 1.5k; nothing for a tick between two steps."""
    return EngFormatter(sep="")(step) if step == round(step) else ""


def entitle(axes: Axes, title: str) -> None:
    """A title on as many lines as its panel's width asks for; a long tag breaks at / or _."""
    lines = [""]
    for piece in re.findall(r"[^/_ ]*[/_ ]|[^/_ ]+", title):
        if lines[-1] and len(lines[-1] + piece.rstrip()) > WIDTH:
            lines.append("")
        lines[-1] += piece
    axes.set_title("\n".join(line.rstrip() for line in lines), loc="left", fontsize=9.5)


def finish(axes: Axes, title: str) -> None:
    entitle(axes, title)
    axes.set_xlabel("step", fontsize=8)
    if axes.get_yscale() == "linear":
        axes.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
        axes.yaxis.get_offset_text().set_fontsize(8)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(step_label))


def panels(count: int, draw_one: Callable[[Axes, int], None]) -> Figure:
    """A grid of `count` panels, three a row."""
    figure, axes = new_figure(math.ceil(count / 3), 3, size=(3.55, 2.6))
    for index, panel in enumerate(axes):
        if index < count:
            draw_one(panel, index)
        else:
            panel.set_visible(False)
    return figure


def terms_figure(run: Run, names: Sequence[str]) -> Figure | None:
    """Every raw term over the steps; the validation's own where it has the same name."""
    tags = [name for name in ["total", *names] if f"train/{name}" in run.curves]
    if not tags:
        return None

    def one(axes: Axes, index: int) -> None:
        name = tags[index]
        curve, other = run.curves[f"train/{name}"], run.curves.get(f"val/{name}")
        draw(axes, curve, BLUE, "train")
        values = [curve.values]
        if other is not None:
            draw(axes, other, ORANGE, "val", "o")
            values.append(other.values)
        set_scale(axes, np.concatenate(values))
        finish(axes, f"train/{name}")

    figure = panels(len(tags), one)
    legend_below(figure)
    return figure


def legend_below(figure: Figure, size: float = 8) -> None:
    """One legend for all panels, each label once, below them."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        columns = max(1, min(len(handles), 120 // (max(map(len, handles)) + 7)))
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower left",
            ncols=columns,
            fontsize=size,
            frameon=False,
        )


def shares_figure(run: Run, names: Sequence[str]) -> Figure | None:
    """The terms' shares of the weighted sum, stacked: who is being optimised."""
    tags = [f"share/{name}" for name in names if f"share/{name}" in run.curves]
    if not tags:
        return None
    steps = np.unique(np.concatenate([run.curves[tag].steps for tag in tags]))
    if len(steps) < 2:
        return None
    rows = []
    for tag in tags:
        curve = smooth(run.curves[tag].finite(), max(1, len(run.curves[tag].steps) // 15))
        rows.append(np.interp(steps, curve.steps, curve.values) if len(curve.steps) else 0 * steps)
    index = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), POINTS)).astype(int))
    figure, (axes,) = new_figure(size=(10.6, 3.0))
    palette = [BLUE, ORANGE, GREEN, RED, *BASELINES]
    colours = [palette[i % len(palette)] for i in range(len(tags))]
    labels = [tag.removeprefix("share/") for tag in tags]
    axes.stackplot(
        steps[index], [row[index] for row in rows], labels=labels, colors=colours, alpha=0.75
    )
    axes.set_ylim(0, 1.001)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True, fontsize=8, frameon=False
    )
    finish(axes, "share of each term in the weighted sum")
    return figure


def metric_figures(
    run: Run,
    metrics: Sequence[str],
    targets: Mapping[str, Target],
    published: Mapping[str, Curve],
) -> list[Figure]:
    """Every metric on validation data, with baselines dashed and targets dotted."""
    baselines = run.summary.get("baselines") or {}
    colours = {name: BASELINES[i % len(BASELINES)] for i, name in enumerate(baselines)}
    dashes = {name: "-." if i >= len(BASELINES) else "--" for i, name in enumerate(baselines)}

    def one(axes: Axes, name: str) -> None:
        curve, shown = run.curves.get(f"val/{name}"), []
        if curve is not None:
            draw(axes, curve, BLUE, "val", "o")
            shown.append(curve.values)
        steps = curve.steps if curve is not None else np.zeros(1)
        test = run.value(f"test/{name}")
        if test is not None:
            axes.plot(steps[-1], test, "*", color=RED, ms=9, label="test (best)", clip_on=False)
            shown.append(np.array([test]))
        if f"val/{name}" in published:
            points = published[f"val/{name}"]
            axes.plot(points.steps, points.values, "x", color=GREY, ms=5, label="published")
        for baseline, values in baselines.items():
            if isinstance(values.get(name), int | float) and math.isfinite(values[name]):
                axes.axhline(
                    values[name],
                    label=baseline,
                    color=colours[baseline],
                    ls=dashes[baseline],
                    lw=1.0,
                )
        target = targets.get(f"val/{name}") or targets.get(f"test/{name}")
        if target:
            draw_target(axes, target)
        set_scale(axes, np.concatenate(shown) if shown else np.zeros(0))
        if axes.get_yscale() == "log":
            lines = [line.get_ydata() for line in axes.lines]
            positive = np.concatenate([np.asarray(y, float) for y in lines])
            positive = positive[np.isfinite(positive) & (positive > 0)]
            axes.set_ylim(positive.min() / 1.5, positive.max() * 1.5)
        finish(axes, f"{name} (target {target.text})" if target else name)

    groups = [metrics[i : i + PANELS] for i in range(0, len(metrics), PANELS)]
    figures = []
    for group in groups:
        figures.append(panels(len(group), partial(draw_named, one, group)))
        legend_below(figures[-1])
    return figures


def draw_named(draw_one: Callable[[Axes, str], None], names: Sequence[str], axes: Axes, index: int):
    draw_one(axes, names[index])


def draw_target(axes: Axes, target: Target) -> None:
    """A target's bound as a dotted green line; a two-sided one as a band."""
    bounds = [bound for bound in (target.low, target.high) if math.isfinite(bound)]
    if len(set(bounds)) == 2:
        axes.axhspan(*bounds, color=GREEN, alpha=0.14, label="target")
    else:
        axes.axhline(bounds[0], color=GREEN, ls=":", lw=1.8, label="target")


def beside_figure(run: Run, published: Published) -> Figure | None:
    """Our curves and the published points, over the published epochs or steps and in its units."""
    tagged = [(row, row.tag(run)) for row in published.rows if len(row.points) > 1]
    rows = [(row, tag) for row, tag in tagged if tag is not None and tag in run.curves]
    if not rows or places(run, np.zeros(1), published.axis) is None:
        return None

    def one(axes: Axes, index: int) -> None:
        row, tag = rows[index]
        curve = run.curves[tag]
        x = places(run, curve.steps, published.axis)
        assert x is not None  # as of the first curve, above
        draw(axes, Curve(x, curve.values * row.scale), BLUE, "ours")
        points = sorted(row.points.items())
        axes.plot(*zip(*points, strict=True), "x--", color=GREY, ms=5, lw=0.7, label="published")
        values = np.array([value for _, value in points], float)
        set_scale(axes, np.concatenate([curve.values * row.scale, values]))
        finish(axes, f"{row.name}, {row.unit}" if row.unit else row.name)
        axes.set_xlabel(published.axis, fontsize=8)

    figure = panels(len(rows), one)
    legend_below(figure)
    return figure


def optimisation_figure(run: Run) -> Figure | None:
    """Learning rates, gradient norms and throughput."""
    groups = [
        ("learning rate", [tag for tag in run.curves if tag == "lr" or tag.startswith("lr")]),
        ("gradient norm", [tag for tag in run.tags("grad/") if tag in run.curves]),
        ("samples/s", [tag for tag in ("throughput/samples_per_s",) if tag in run.curves]),
    ]
    groups = [(title, tags) for title, tags in groups if tags]
    if not groups:
        return None

    def one(axes: Axes, index: int) -> None:
        title, tags = groups[index]
        for tag, colour in zip(tags, [BLUE, ORANGE, GREEN, RED, *BASELINES], strict=False):
            draw(axes, run.curves[tag], colour, tag.split("/", 1)[-1])
        if title == "gradient norm":
            set_scale(axes, np.concatenate([run.curves[tag].values for tag in tags]))
        if len(tags) > 1:
            axes.legend(fontsize=8, frameon=False)
        finish(axes, title)

    return panels(len(groups), one)
