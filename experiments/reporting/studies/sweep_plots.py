"""Plots over the runs of a sweep: curves laid over each other, results against a setting."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reporting.curves import Curve
from experiments.reporting.events import Run
from experiments.reporting.plots import (
    BASELINES,
    BLUE,
    GREEN,
    ORANGE,
    RED,
    draw,
    draw_target,
    entitle,
    finish,
    legend_below,
    panels,
    set_scale,
)
from experiments.reporting.targets import Target


def run_colours(count: int) -> list:
    """Distinct colours for few runs, an ordered scale for many."""
    palette = [BLUE, ORANGE, GREEN, RED, *BASELINES]
    if count <= len(palette):
        return palette[:count]
    return [colormaps["viridis"](i / (count - 1)) for i in range(count)]


def overlay_figure(
    runs: Sequence[Run], labels: Sequence[str], tags: Sequence[str]
) -> Figure | None:
    """One panel a tag, one line a run; the legend stands once."""
    tags = [tag for tag in tags if any(tag in run.curves for run in runs)]
    if not tags:
        return None
    colours = run_colours(len(runs))

    def one(axes: Axes, index: int) -> None:
        tag, shown = tags[index], []
        for run, label, colour in zip(runs, labels, colours, strict=True):
            if tag in run.curves:
                draw(axes, run.curves[tag], colour, label)
                shown.append(run.curves[tag].values)
        set_scale(axes, np.concatenate(shown))
        finish(axes, tag)

    figure = panels(len(tags), one)
    legend_below(figure)
    return figure


def setting_figure(
    key: str,
    settings: Sequence[float],
    results: Mapping[str, Sequence[float | None]],
    targets: dict[str, Target],
) -> Figure | None:
    """Each result against one numeric setting: a point a run, a line through the medians."""
    results = {tag: v for tag, v in results.items() if sum(x is not None for x in v) >= 2}
    if not results or len(set(settings)) < 2:
        return None
    tags = list(results)
    positive = [setting for setting in settings if setting > 0]
    wide = len(positive) == len(settings) and max(positive) / min(positive) >= 8

    def one(axes: Axes, index: int) -> None:
        tag = tags[index]
        pairs = [(s, v) for s, v in zip(settings, results[tag], strict=True) if v is not None]
        points = Curve(*(np.array(column, float) for column in zip(*pairs, strict=True))).finite()
        places = np.unique(points.steps)
        medians = [np.median(points.values[points.steps == place]) for place in places]
        axes.plot(places, medians, color=BLUE, lw=1.2, alpha=0.6)
        axes.plot(points.steps, points.values, "o", color=BLUE, ms=5)
        if tag in targets:
            draw_target(axes, targets[tag])
        title = f"{tag} (target {targets[tag].text})" if tag in targets else tag
        entitle(axes, title)
        axes.set_xlabel(key, fontsize=8)
        if wide:
            axes.set_xscale("log")
        if len(places) <= 8:
            axes.set_xticks(places, [f"{place:g}" for place in places])
            axes.set_xticks([], minor=True)

    return panels(len(tags), one)
