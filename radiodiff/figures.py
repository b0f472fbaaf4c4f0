"""Pictures: the published report's six curves, reconstructions with their error, latents."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from experiments.shared.plots import new_figure
from radiodiff.metrics import SPAN_DB

PANELS = {
    "total_loss": ("total loss", "tab:blue"),
    "kl_loss": ("KL, nats an image", "tab:orange"),
    "rec_loss": ("reconstruction, L1 + L2 a pixel", "tab:green"),
    "disc_loss": ("discriminator, hinge", "tab:red"),
}
HEIGHTS = "published units: an image of 256 x 256 pixels"


def series(rows: list[dict], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of the rows that have `name`."""
    kept = [(row["step"], row[name]) for row in rows if name in row]
    steps, values = zip(*kept, strict=True) if kept else ((), ())
    return np.array(steps), np.array(values)


def running(values: np.ndarray, width: int) -> np.ndarray:
    """Mean of each value with those before it, at most `width` in all: single batches are noisy."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    return (sums[ends] - sums[starts]) / (ends - starts)


def shade(axis: Axes, disc_start: int, last: float) -> None:
    """Both phases as grounds of different shade, named; the axis ends where the run does."""
    switch = min(disc_start, last)
    axis.set_xlim(0, last)
    axis.axvspan(0, switch, color="tab:blue", alpha=0.06, lw=0)
    names = [(switch / 2, "VAE")] if switch > 0 else []
    if last > disc_start:
        axis.axvspan(disc_start, last, color="tab:red", alpha=0.07, lw=0)
        names.append(((disc_start + last) / 2, "VAE-GAN"))
    for place, name in names:
        transform = axis.get_xaxis_transform()
        axis.text(
            place, 0.98, name, transform=transform, ha="center", va="top", fontsize=8, alpha=0.6
        )
    axis.set_xlabel("generator updates")


def curve(axis: Axes, rows: list[dict], name: str, disc_start: int) -> None:
    """One quantity: each logged batch pale, the running mean over it."""
    title, colour = PANELS[name]
    steps, values = series(rows, name)
    shade(axis, disc_start, rows[-1]["step"])
    axis.set_title(title)
    if not len(steps):
        axis.text(0.5, 0.5, "not computed so far", transform=axis.transAxes, ha="center")
        return
    axis.plot(steps, values, color=colour, alpha=0.3, lw=0.8)
    axis.plot(steps, running(values, 10), color=colour, lw=1.6, label="mean of 10")
    if values.min() > 0 and values.max() > 8 * values.min():
        axis.set_yscale("log")
    axis.legend(loc="lower left")


def published(rows: list[dict], disc_start: int) -> dict[str, Figure]:
    """The six figures of the published report, from rows {"step", "total_loss", ...}."""
    drawn = {}
    for name in PANELS:
        figure, axes = new_figure(size=(6.4, 3.6))
        curve(axes[0], rows, name, disc_start)
        axes[0].set_ylabel(HEIGHTS if name in ("total_loss", "kl_loss") else "")
        drawn[name] = figure
    figure, axes = new_figure(2, 2, size=(5.2, 3.2))
    for axis, name in zip(axes, PANELS, strict=True):
        curve(axis, rows, name, disc_start)
    figure.suptitle(f"overview ({HEIGHTS})", fontsize=10)
    drawn["overview"] = figure
    drawn["comparison"] = comparison(rows, disc_start)
    return drawn


def comparison(rows: list[dict], disc_start: int) -> Figure:
    """All curves on one axis from 0 to 1, and in their own units on axes of their own."""
    figure, (left, right) = new_figure(1, 2, size=(6.4, 3.8))
    for axis, title in ((left, "normalised to the range of the run"), (right, "own axes")):
        shade(axis, disc_start, rows[-1]["step"])
        axis.set_title(title)
    right.yaxis.set_visible(False)
    lines = []
    for place, (name, (title, colour)) in enumerate(PANELS.items()):
        steps, values = series(rows, name)
        if not len(steps):
            continue
        values = running(values, 10)
        spread = np.ptp(values)
        lines += left.plot(
            steps, (values - values.min()) / (spread or 1.0), color=colour, label=title
        )
        own = right.twinx()
        own.spines["right"].set_position(("axes", 1 + 0.16 * place))
        own.spines[["left", "top", "bottom"]].set_visible(False)
        own.spines["right"].set(visible=True, color=colour)
        own.grid(False)
        own.plot(steps, values, color=colour)
        own.tick_params(axis="y", colors=colour, labelsize=7)
    figure.legend(handles=lines, loc="outside lower center", ncols=4)
    return figure


def reconstruction(example: dict[str, Tensor]) -> Figure:
    """A row a map: input, reconstruction, and their difference in dB on one scale."""
    maps, made = ((example[n][:, 0].clamp(-1, 1) + 1) / 2 for n in ("map", "made"))
    error = SPAN_DB * (made - maps)
    bound = max(1.0, float(error.abs().flatten().quantile(0.995)))
    figure, axes = new_figure(len(maps), 3, size=(3.3, 3.0))
    for row in range(len(maps)):
        rmse = float(error[row].square().mean().sqrt())
        shown = (
            (maps[row], "input", {"cmap": "viridis", "vmin": 0, "vmax": 1}),
            (made[row], "reconstruction", {"cmap": "viridis", "vmin": 0, "vmax": 1}),
            (
                error[row],
                f"error, RMSE {rmse:.2f} dB",
                {"cmap": "RdBu", "vmin": -bound, "vmax": bound},
            ),
        )
        for axis, (image, title, style) in zip(axes[3 * row : 3 * row + 3], shown, strict=True):
            drawn = axis.imshow(image.numpy(), origin="upper", **style)
            axis.set(title=title, xticks=[], yticks=[])
            axis.grid(False)
            if title != "input":
                figure.colorbar(
                    drawn, ax=axis, label="dB" if "error" in title else "gray", shrink=0.85
                )
    return figure


def latents(example: dict[str, Tensor]) -> Figure:
    """The first map's latents: posterior mean, its standard deviation, and the means' histogram."""
    mean, std = example["mean"][0], (0.5 * example["logvar"][0]).exp()
    channels = len(mean)
    figure, axes = new_figure(3, channels, size=(3.2, 2.6))
    for k in range(channels):
        bound = float(mean[k].abs().max())
        images = (
            (axes[k], mean[k], {"cmap": "RdBu", "vmin": -bound, "vmax": bound}, "mean"),
            (axes[channels + k], std[k].log10(), {"cmap": "magma"}, "log10 of the std"),
        )
        for axis, image, style, name in images:
            drawn = axis.imshow(image.numpy(), origin="upper", **style)
            axis.set(title=f"channel {k}: {name}", xticks=[], yticks=[])
            axis.grid(False)
            figure.colorbar(drawn, ax=axis, shrink=0.85)
        values = example["mean"][:, k].flatten().numpy()
        axes[2 * channels + k].hist(values, bins=60, color="tab:blue")
        axes[2 * channels + k].set(title=f"channel {k}: {len(example['mean'])} maps", yscale="log")
    return figure
