"""Pictures of estimated maps: beside the true ones, for several cities; and of completion."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from experiments.shared.plots import new_figure
from radiodiff.cities.propagation import FLOOR_DB, SPAN_DB, TOP_DB
from radiodiff.estimate.fields import PLAN, SAMPLED


def show(figure: Figure, axis, decibels: np.ndarray, plan: np.ndarray, label: str, **style) -> None:
    """A map in dB, or of whole numbers, with its colour bar; the plan's buildings are gray."""
    drawn = axis.imshow(np.ma.masked_where(plan, decibels), origin="upper", **style)
    axis.set(xticks=[], yticks=[], facecolor="0.55")
    axis.grid(False)
    bar = figure.colorbar(drawn, ax=axis, label=label, shrink=0.85)
    if np.issubdtype(np.asarray(decibels).dtype, np.integer):
        bar.locator = MaxNLocator(integer=True)


def maps(examples: list[dict[str, Tensor]]) -> Figure:
    """A row a city: the true map, the estimated one, and their difference, in dB."""
    figure, axes = new_figure(len(examples), 3, size=(3.6, 3.1))
    for row, example in enumerate(examples):
        plan = example["known"][PLAN].numpy() > 0.5
        true, made = (
            FLOOR_DB + SPAN_DB * example[name][0].clamp(0, 1).numpy() for name in ("map", "made")
        )
        error, city = made - true, int(example["city"])
        rmse = float(np.sqrt(np.square(error).mean()))
        samples = np.argwhere(example["known"][SAMPLED].numpy() > 0.5)
        bound = max(3.0, float(np.quantile(np.abs(error[~plan]), 0.99)))
        three = axes[3 * row : 3 * row + 3]
        whole = {"cmap": "viridis", "vmin": FLOOR_DB, "vmax": TOP_DB}
        around = {"cmap": "RdBu", "vmin": -bound, "vmax": bound}
        show(figure, three[0], true, plan, "path gain, dB", **whole)
        show(figure, three[1], made, plan, "path gain, dB", **whole)
        show(figure, three[2], error, plan, "dB", **around)
        three[0].set_title(f"city {city}")
        three[1].set_title(f"estimated, {len(samples)} samples" if len(samples) else "estimated")
        three[2].set_title(f"error, RMSE {rmse:.2f} dB")
        y, x = example["transmitter"].tolist()
        for axis in three[:2]:
            axis.plot(x, y, marker="*", ms=9, mfc="white", mec="black", mew=0.6)
        three[1].plot(samples[:, 1], samples[:, 0], ".", ms=2, color="white")
    return figure


def draws(examples: list[dict[str, Tensor]]) -> Figure:
    """A row a city: the true map, one that the flow drew, and the spread of several, in dB."""
    figure, axes = new_figure(len(examples), 3, size=(3.6, 3.1))
    for row, example in enumerate(examples):
        plan = example["known"][PLAN].numpy() > 0.5
        true, drawn = (
            FLOOR_DB + SPAN_DB * example[name][0].clamp(0, 1).numpy() for name in ("map", "drawn")
        )
        spread = SPAN_DB * example["spread"][0].numpy()
        three = axes[3 * row : 3 * row + 3]
        whole = {"cmap": "viridis", "vmin": FLOOR_DB, "vmax": TOP_DB}
        show(figure, three[0], true, plan, "path gain, dB", **whole)
        show(figure, three[1], drawn, plan, "path gain, dB", **whole)
        top = float(np.quantile(spread[~plan], 0.99))
        show(figure, three[2], spread, plan, "dB", cmap="magma", vmin=0, vmax=top)
        titles = (f"city {int(example['city'])}", "one that could be", "standard deviation")
        for axis, title in zip(three, titles, strict=True):
            axis.set_title(title)
    return figure


def completion(
    counts: tuple[int, ...],
    ours: dict[str, float],
    others: dict[str, dict[str, float]],
    names: tuple[str, ...],
) -> Figure:
    """Error by number of samples, beside interpolation.

    Args:
        counts: numbers of samples.
        ours: "test/completion_N/nmse" for each.
        others: baseline -> "completion_N/nmse".
        names: the baselines to draw.
    """
    figure, axes = new_figure(size=(5.2, 3.6))
    tags = [f"completion_{count}/nmse" for count in counts]
    axes[0].plot(counts, [ours.get(f"test/{t}", np.nan) for t in tags], "o-", label="ours")
    for name in names:
        values = [others.get(name, {}).get(tag, np.nan) for tag in tags]
        axes[0].plot(counts, values, marker="o", label=name)
    if "test/nmse" in ours:
        axes[0].axhline(ours["test/nmse"], color="0.4", ls=":", label="ours, no sample")
    axes[0].set(xscale="log", yscale="log", xlabel="samples", ylabel="NMSE, pooled")
    axes[0].set_xticks(counts, [str(count) for count in counts])
    axes[0].minorticks_off()
    axes[0].legend()
    return figure
