"""Pictures of edits: tracks as lanes over time, and rectangles on the canvas."""

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from experiments.shared import plots
from multitrack import metrics
from multitrack.edit.geometry import rectangles
from multitrack.edit.timeline import ASSETS, SAMPLES_PER_SECOND

HIDDEN = ("prior", "rule", "random", "habits")  # have no place among forecasts of cells
COLOURS = ["white", *(colormaps["tab10"](i) for i in range(len(ASSETS)))]


def lanes(edits: dict[str, np.ndarray], title: str = "", marks: dict[str, float] | None = None):
    """One panel an edit (T, K, 9): each track a lane, coloured by asset class; V1 at the bottom.

    marks: vertical lines, label to second.
    """
    used = np.any([e[..., 0].max(0) > 0 for e in edits.values()], 0)
    tracks = max(1, int(np.nonzero(used)[0].max(initial=0)) + 1)
    figure, axes = plots.new_figure(len(edits), 1, size=(11, 1.4 + 0.2 * tracks), sharex=True)
    seen = set()
    for axis, (name, edit) in zip(axes, edits.items(), strict=True):
        cells = np.where(edit[:, :tracks, 0] > 0.5, edit[:, :tracks, 1].round() + 1, 0).T
        seen |= set(np.unique(cells).astype(int)) - {0}
        axis.imshow(
            cells,
            aspect="auto",
            interpolation="nearest",
            cmap=ListedColormap(COLOURS),
            vmin=-0.5,
            vmax=len(ASSETS) + 0.5,
            extent=(0, len(edit) / SAMPLES_PER_SECOND, -0.5, tracks - 0.5),
            origin="lower",
        )
        axis.set_yticks(range(tracks), [f"V{k + 1}" for k in range(tracks)])
        axis.set_yticks(np.arange(tracks + 1) - 0.5, minor=True)
        axis.grid(False)
        axis.grid(axis="y", which="minor", color="0.9", linewidth=0.5)
        axis.tick_params(axis="y", which="minor", length=0)
        axis.set_ylabel(name)
        for label, second in (marks or {}).items():
            axis.axvline(second, color="k", linewidth=1, linestyle="--")
            axis.text(second, tracks - 0.4, f" {label}", fontsize=7, va="bottom")
    axes[0].set_title(title, pad=12)
    axes[-1].set_xlabel("seconds")
    handles = [Patch(color=COLOURS[c], label=ASSETS[c - 1]) for c in sorted(seen)]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def first_cut(
    shown: np.ndarray, cameras: list[str], speech: np.ndarray, speakers: list[str]
) -> Figure:
    """The camera that shows (T,) as lanes, over who speaks (T, M)."""
    seconds = len(shown) / SAMPLES_PER_SECOND
    lanes_, voices = len(cameras), len(speakers)
    figure, (cut, heard) = plots.new_figure(
        2, 1, size=(13, 1.2 + 0.17 * (lanes_ + voices)), sharex=True,
        gridspec_kw={"height_ratios": [lanes_ + 1, voices + 1]},
    )  # fmt: skip
    cells = np.where(shown == np.arange(lanes_)[:, None], np.arange(lanes_)[:, None] + 1, 0)
    colours = ["white", *(colormaps["tab10"](i % 10) for i in range(lanes_))]
    for axis, image, names, colour in (
        (cut, cells, cameras, {"cmap": ListedColormap(colours), "vmax": lanes_}),
        (heard, speech.T, speakers, {"cmap": "Greys", "vmax": 1.3}),
    ):
        rows = len(names)
        axis.imshow(image, aspect="auto", interpolation="nearest", vmin=0, origin="lower",
                    extent=(0, seconds, -0.5, rows - 0.5), **colour)  # fmt: skip
        axis.set_yticks(range(rows), [name[:28] for name in names])
        axis.grid(False)
    cut.set(ylabel="shown")
    heard.set(ylabel="speaks", xlabel="seconds")
    return figure


def canvas(
    frames: dict[str, tuple[np.ndarray, np.ndarray]], size: tuple[int, int], titles: list[str]
) -> Figure:
    """Rectangles on the canvas: a row an edit, a column a moment.

    frames: name -> values (M, K, 9) and source sizes (M, K, 2) at M moments.
    """
    count = len(titles)
    aspect = size[1] / size[0]
    figure, axes = plots.new_figure(len(frames), count, size=(2.6, 2.6 * aspect + 0.4))
    for row, (name, (values, sizes)) in enumerate(frames.items()):
        boxes = canvas_rectangles(values, sizes, size)
        for column in range(count):
            axis = axes[row * count + column]
            axis.set(xlim=(0, size[0]), ylim=(size[1], 0), aspect="equal", xticks=[], yticks=[])
            axis.grid(False)
            for side in ("top", "right"):
                axis.spines[side].set_visible(True)
            if row == 0:
                axis.set_title(titles[column])
            if column == 0:
                axis.set_ylabel(name)
            for track in range(values.shape[1]):
                if values[column, track, 0] > 0.5:
                    left, top, right, bottom = boxes[column, track]
                    colour = COLOURS[int(values[column, track, 1].round()) + 1]
                    axis.add_patch(
                        Rectangle(
                            (left, top),
                            right - left,
                            bottom - top,
                            facecolor=(*colour[:3], 0.25),
                            edgecolor=colour,
                            linewidth=1.2,
                        )
                    )
                    # Full-frame clips share a corner: labels stand side by side.
                    step = size[0] * 0.085 * (track % 6) if left < 1 else 8
                    axis.text(left + step, top + 8, f"V{track + 1}", fontsize=6, va="top")
    return figure


def canvas_rectangles(values: np.ndarray, sizes: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
    """Corners in pixels (..., 4) of cells (..., 9) whose sources have `sizes` (..., 2)."""
    cells = torch.as_tensor(values, dtype=torch.float64)
    return rectangles(
        cells[..., 2],
        cells[..., 3:5],
        cells[..., 5:9],
        torch.as_tensor(sizes, dtype=torch.float64),
        torch.tensor(canvas, dtype=torch.float64),
    ).numpy()


def moments(
    edits: dict[str, np.ndarray], sizes: np.ndarray, size: tuple[int, int], count: int = 4
) -> Figure:
    """The canvas at the `count` moments, well apart, at which most clips show."""
    busy = next(iter(edits.values()))[..., 0].sum(1)
    part = max(1, len(busy) // count)
    at = [int(i * part + np.argmax(busy[i * part : (i + 1) * part])) for i in range(count)]
    at = [t for t in at if t < len(busy)]
    full = np.where(sizes > 0, sizes, np.array(size))
    frames = {name: (edit[at], full[at]) for name, edit in edits.items()}
    return canvas(frames, size, [f"{t / SAMPLES_PER_SECOND:.1f} s" for t in at])


def tracks(rows: np.ndarray, predictors: tuple[str, ...], title: str) -> Figure:
    """F1 of each track with its support; rows (V, P, R). Rare tracks (< 5 % on) are shaded."""
    sums = rows.sum(0)
    f1, share = metrics.track_f1(sums), metrics.pick(sums, "tp") + metrics.pick(sums, "fn")
    share = share[0] / max(1, metrics.pick(sums, "frames")[0])
    used = np.nonzero(share > 0)[0]
    figure, (axis,) = plots.new_figure(1, 1, size=(1.5 + 0.55 * len(used), 3.2))
    shown = [p for p, row in zip(predictors, sums, strict=True) if row.any() and p not in HIDDEN]
    width = 0.8 / max(1, len(shown))
    for number, name in enumerate(shown):
        heights = np.nan_to_num(f1[predictors.index(name), used])
        axis.bar(np.arange(len(used)) + number * width, heights, width, label=name)
    clips = metrics.pick(sums, "clips")[0]
    labels = [f"V{k + 1}\n{share[k]:.1%}\n{clips[k]:.0f}" for k in used]
    for place, k in enumerate(used):
        if share[k] < metrics.RARE:
            axis.axvspan(place - 0.15, place + 0.8, color="0.92", zorder=0)
    axis.set_xticks(np.arange(len(used)) + 0.4 - width / 2, labels, fontsize=7)
    axis.set(ylabel="F1 of activity", ylim=(0, 1.02), title=f"{title}: by track (share on, onsets)")
    figure.legend(loc="outside right upper")
    return figure


def horizons(rows: dict[str, np.ndarray], predictors: tuple[str, ...]) -> Figure | None:
    """Macro-F1, boundary F1, scale and IoU over the forecast's horizon."""
    found = {
        int(task.removeprefix("forecast")): metrics.metrics(edits.sum(0))
        for task, edits in rows.items()
        if task.removeprefix("forecast").isdigit()
    }
    if len(found) < 2:
        return None
    at = sorted(found)
    names = ("active_f1", "boundary_f1_2", "scale_mae", "iou")
    figure, axes = plots.new_figure(1, len(names), size=(2.9, 2.6))
    for axis, name in zip(axes, names, strict=True):
        for number, predictor in enumerate(predictors):
            if predictor not in HIDDEN:
                line = [found[h][name][number] for h in at]
                axis.plot(at, line, marker="o", markersize=3, label=predictor)
        axis.set(title=name, xlabel="horizon, frames", xscale="log", xticks=at, xticklabels=at)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def table(rows: np.ndarray, predictors: tuple[str, ...]) -> str:
    """The tracks as text: support, precision, recall, F1 beside persistence's; rows (V, P, R)."""
    sums = rows.sum(0)
    f1 = metrics.track_f1(sums)
    tp, fp, fn = (metrics.pick(sums, key) for key in ("tp", "fp", "fn"))
    clips, frames = metrics.pick(sums, "clips")[0], metrics.pick(sums, "frames")[0]
    lines = [f"{'track':>5} {'on':>6} {'onsets':>6} {'P':>6} {'R':>6} {'F1':>6} {'persist.':>8}"]
    for k in range(f1.shape[1]):
        support = tp[0, k] + fn[0, k]
        if support:
            share = support / frames
            rare = " rare" if share < metrics.RARE else ""
            few = " (fewer than 20 clips)" if clips[k] < 20 else ""
            precision = tp[0, k] / max(1, tp[0, k] + fp[0, k])
            lines.append(
                f"{f'V{k + 1}':>5} {share:>6.1%} {clips[k]:>6.0f} {precision:>6.3f} "
                f"{tp[0, k] / support:>6.3f} {f1[0, k]:>6.3f} "
                f"{f1[predictors.index('persistence'), k]:>8.3f}{rare}{few}"
            )
    return "\n".join(lines)
