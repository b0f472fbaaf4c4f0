"""Pictures: the published report's six curves, reconstructions with their error, latents."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from experiments.shared.plots import COLOURS, new_figure
from radiodiff.metrics import SPAN_DB

PANELS = {  # title, axis, colour, line
    "total_loss": ("total loss", "total, an image", COLOURS[0], "-"),
    "kl_loss": ("KL", "nats an image", COLOURS[1], "--"),
    "rec_loss": ("reconstruction", "L1 + L2, a pixel", COLOURS[2], "-."),
    "disc_loss": ("discriminator", "hinge loss", COLOURS[3], ":"),
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


def running_by_phase(steps: np.ndarray, values: np.ndarray, disc_start: float) -> np.ndarray:
    """`running` that begins anew where the second phase does: the two are trained on other sums."""
    alone = steps <= disc_start
    return np.concatenate([running(values[alone], 10), running(values[~alone], 10)])


def shade(axis: Axes, disc_start: float, last: float) -> None:
    """Both phases as grounds of different shade, named; the axis ends where the run does."""
    switch = min(disc_start, last)
    axis.set_xlim(0, last)
    axis.axvspan(0, switch, color=COLOURS[0], alpha=0.06, lw=0)
    names = [(switch / 2, "VAE")] if switch > 0 else []
    if last > disc_start:
        axis.axvspan(disc_start, last, color=COLOURS[1], alpha=0.1, lw=0)
        names.append(((disc_start + last) / 2, "VAE-GAN"))
    for place, name in names:
        transform = axis.get_xaxis_transform()
        axis.text(
            place, 0.98, name, transform=transform, ha="center", va="top", fontsize=8, alpha=0.6
        )
    axis.set_xlabel("generator updates")


def curve(axis: Axes, rows: list[dict], name: str, disc_start: float) -> None:
    """One quantity: each logged batch pale, the running mean over it."""
    title, label, colour, _ = PANELS[name]
    steps, values = series(rows, name)
    shade(axis, disc_start, rows[-1]["step"])
    axis.set(title=title, ylabel=label)
    if not len(steps):
        axis.text(0.5, 0.5, "not computed so far", transform=axis.transAxes, ha="center")
        return
    axis.plot(steps, values, color=colour, alpha=0.3, lw=0.8, ls="-")
    means = running_by_phase(steps, values, disc_start)
    axis.plot(steps, means, color=colour, lw=1.6, ls="-", label="mean of 10")
    if values.min() > 0 and values.max() > 8 * values.min():
        axis.set_yscale("log")
    axis.legend(loc="lower left")


def published(rows: list[dict], disc_start: float) -> dict[str, Figure]:
    """The six figures of the published report, from rows {"step", "total_loss", ...}."""
    drawn = {}
    for name in PANELS:
        figure, axes = new_figure(size=(6.4, 3.6))
        curve(axes[0], rows, name, disc_start)
        drawn[name] = figure
    figure, axes = new_figure(2, 2, size=(5.2, 3.2))
    for axis, name in zip(axes, PANELS, strict=True):
        curve(axis, rows, name, disc_start)
    figure.suptitle(f"overview ({HEIGHTS})", fontsize=10)
    drawn["overview"] = figure
    drawn["comparison"] = comparison(rows, disc_start)
    return drawn


def comparison(rows: list[dict], disc_start: float) -> Figure:
    """All curves on one axis from 0 to 1, and in their own units on axes of their own."""
    figure, (left, right) = new_figure(1, 2, size=(6.8, 3.8))
    for axis, title in ((left, "shape: from least to greatest"), (right, "size: own axes, from 0")):
        shade(axis, disc_start, rows[-1]["step"])
        axis.set_title(title)
    left.set_ylabel("share of its range in the run")
    right.yaxis.set_visible(False)
    lines = []
    for place, (name, (title, label, colour, line)) in enumerate(PANELS.items()):
        steps, values = series(rows, name)
        if not len(steps):
            continue
        values = running_by_phase(steps, values, disc_start)
        style = {"color": colour, "ls": line}
        spread = np.ptp(values) or 1.0
        lines += left.plot(steps, (values - values.min()) / spread, label=title, **style)
        own = right.twinx()
        own.spines["right"].set_position(("axes", 1 + 0.2 * place))
        own.spines[["left", "top", "bottom"]].set_visible(False)
        own.spines["right"].set(visible=True, color=colour)
        own.grid(False)
        own.plot(steps, values, **style)
        own.set_ylim(min(0.0, values.min()), None)
        own.set_ylabel(label, color=colour, labelpad=2)
        own.tick_params(axis="y", colors=colour, labelsize=7)
    figure.legend(handles=lines, loc="outside lower center", ncols=4)
    return figure


def reconstruction(examples: list[dict[str, Tensor]]) -> Figure:
    """A row a city: input, reconstruction, and their difference in dB, on one scale for all."""
    pairs = [[(e[n][0].clamp(-1, 1) + 1) / 2 for n in ("map", "made")] for e in examples]
    errors = [SPAN_DB * (made - true) for true, made in pairs]
    bound = max(1.0, float(torch.cat([e.abs().flatten() for e in errors]).quantile(0.995)))
    figure, axes = new_figure(len(pairs), 3, size=(3.3, 3.0))
    whole = {"cmap": "viridis", "vmin": 0, "vmax": 1}
    around = {"cmap": "RdBu", "vmin": -bound, "vmax": bound}
    for row, ((true, made), error) in enumerate(zip(pairs, errors, strict=True)):
        rmse = float(error.square().mean().sqrt())
        city = int(examples[row]["city"])
        shown = (
            (true, f"city {city}", "gray", whole),
            (made, "reconstruction", "gray", whole),
            (error, f"error, RMSE {rmse:.2f} dB", "dB", around),
        )
        for axis, (image, title, label, style) in zip(axes[3 * row :], shown, strict=False):
            drawn = axis.imshow(image.numpy(), origin="upper", **style)
            axis.set(title=title, xticks=[], yticks=[])
            axis.grid(False)
            if axis is not axes[3 * row]:
                figure.colorbar(drawn, ax=axis, label=label, shrink=0.85)
    return figure


def latents(examples: list[dict[str, Tensor]]) -> Figure:
    """The first map's latents: posterior mean, its standard deviation, and the means' histogram."""
    mean, std = examples[0]["mean"], (0.5 * examples[0]["logvar"]).exp()
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
        values = torch.stack([e["mean"][k] for e in examples]).flatten().numpy()
        below = axes[2 * channels + k]
        below.hist(values, bins=60, color=COLOURS[0])
        below.set(title=f"channel {k}: {len(examples)} maps", xlabel="mean", ylabel="positions")
        below.set_yscale("log")
    return figure


def rates(curves: dict[str, list[tuple[float, float]]]) -> Figure:
    """PSNR against bits a pixel of whole files: ours at several coarsenesses, and image formats."""
    figure, axes = new_figure(size=(6.0, 4.0))
    for name, points in curves.items():
        bits, psnr = zip(*sorted(points), strict=True)
        axes[0].plot(bits, psnr, marker="o", ms=4, lw=2.4 if name == "ours" else 1.3, label=name)
    axes[0].set(xlabel="bits a pixel, in a file", ylabel="PSNR, dB", xscale="log")
    axes[0].set_xticks([0.1, 0.2, 0.5, 1, 2], ["0.1", "0.2", "0.5", "1", "2"])
    axes[0].minorticks_off()
    axes[0].legend()
    return figure
