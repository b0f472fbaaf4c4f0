"""Pictures of edits: tracks as lanes over time, and rectangles on the canvas."""

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from experiments.shared import plots
from multitrack.geometry import rectangles
from multitrack.timeline import ASSETS, SAMPLES_PER_SECOND

COLOURS = ["white", *(colormaps["tab10"](i) for i in range(len(ASSETS)))]


def lanes(edits: dict[str, np.ndarray], title: str = "", marks: dict[str, float] | None = None):
    """One panel an edit (T, K, 9): each track a lane, coloured by asset class; V1 at the bottom.

    marks: vertical lines, label to second.
    """
    used = np.any([e[..., 0].max(0) > 0 for e in edits.values()], 0)
    tracks = max(1, int(np.nonzero(used)[0].max(initial=0)) + 1)
    figure, axes = plots.new_figure(len(edits), 1, size=(11, 0.9 + 0.2 * tracks), sharex=True)
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
                    axis.text(left + 8, top + 8, f"V{track + 1}", fontsize=6, va="top")
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
