"""Pictures: the four loss panels, acceptance, energies, torsions and (phi, psi)."""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.shared.plots import new_figure
from molecular_flow.coordinates.torsions import Plane

PANELS = (
    "total",
    "excess",
    "forward_work",
    "inverse_work",
    "forward_energy",
    "inverse_energy",
    "forward_log_det",
    "inverse_log_det",
)
COLOURS = {"source": "tab:blue", "moved": "tab:orange", "target": "tab:red", "forward": "tab:blue",
           "inverse": "tab:red"}  # fmt: skip


def loss_panels(
    history: dict[str, list[float]],
    floor: tuple[float, float],
    free_energy: float,
    pair: tuple[float, float],
) -> Figure:
    """Total; both directions; beta U of both; log |det J| of both, over epochs.

    `floor`: the least that the forward and the inverse loss can be; `free_energy`: the mean work of
    a perfect map, kT. Losses are drawn as height above the floor, frame by frame (so that the noise
    of the frames' own energies is out), on a symmetric logarithmic axis; epochs on a logarithmic
    one, and the two directions' energies on axes of their own: start and end both show.
    """
    figure, axes = new_figure(2, 2, size=(5.6, 3.8))
    epochs = history.get("train/epoch", [])
    figure.suptitle(f"{pair[0]:g} K to {pair[1]:g} K, training batches")

    def draw(axis, name, label, shift=0.0, sign=1):
        values = [sign * (v - shift) for v in history.get(f"train/{name}", [])][: len(epochs)]
        colour = COLOURS.get(name.split("_")[0], "tab:gray")
        axis.plot(epochs[: len(values)], values, lw=0.6, alpha=0.35, color=colour)
        axis.plot(epochs[: len(values)], smooth(values), lw=1.6, color=colour, label=label)

    draw(axes[0], "excess", "training")
    if history.get("val/epoch"):
        axes[0].plot(history["val/epoch"], history["val/excess"], color="tab:green", lw=1.6,
                     marker="o", ms=3, label="held-out ladder")  # fmt: skip
    for name, least, work in zip(
        ("forward", "inverse"), floor, (free_energy, -free_energy), strict=True
    ):
        draw(axes[1], f"{name}_work", f"{name}, floor {least:.1f}", work)
    axes[0].set_title(f"total loss above its floor of {sum(floor):.1f}")
    axes[1].set_title("both directions above their floors, F by MBAR")
    for axis in axes[:2]:
        axis.set_yscale("symlog", linthresh=0.05)
        axis.axhline(0, color="black", lw=1, ls="--", label="floor: a perfect map")
        axis.set_ylabel("nats")
        axis.legend()
    draw(axes[3], "forward_log_det", "forward: log|det J|")
    draw(axes[3], "inverse_log_det", "inverse: -log|det J|", sign=-1)
    axes[3].set_title("log-determinants, nats")
    axes[3].legend()
    other = axes[2].twinx()
    draw(axes[2], "forward_energy", "forward")
    draw(other, "inverse_energy", "inverse")
    axes[2].set_title("beta U of both directions, kT")
    axes[2].set_ylabel("forward", color=COLOURS["forward"])
    other.set_ylabel("inverse", color=COLOURS["inverse"])
    for axis in axes:
        if epochs:
            axis.set_xscale("log")
        axis.set_xlabel("epoch")
    return figure


def smooth(values: list[float], share: float = 0.9) -> list[float]:
    """Exponential average that starts at the first value and forgets at `share` a point."""
    found, weight, total = [], 0.0, 0.0
    for value in values:
        weight, total = share * weight + 1, share * total + value
        found.append(total / weight)
    return found


def acceptance_curve(
    history: dict[str, list[float]], baselines: dict[str, dict[str, float]]
) -> Figure:
    """Held-out swap acceptance over epochs, beside the baselines' levels."""
    figure, (axis,) = new_figure(size=(6.4, 4))
    epochs = history.get("val/epoch", [])
    if epochs:
        axis.plot(epochs, history["val/acceptance"], marker="o", ms=3, label="flow")
        axis.set_xscale("log")
    for (name, values), style in zip(
        baselines.items(), (":", "--", "-.", (0, (1, 3))), strict=False
    ):
        axis.axhline(values["acceptance"], ls=style, color="gray",
                     label=f"{name.replace('_', ' ')} {values['acceptance']:.3f}")  # fmt: skip
    axis.set(xlabel="epoch", ylabel="swap acceptance, held-out ladder", ylim=(0, 1))
    axis.legend(loc="lower right")
    return figure


def energy_histograms(example: dict[str, Tensor], pair: tuple[float, float]) -> Figure:
    """Energies at the target: simulated, and transported there."""
    figure, (axis,) = new_figure(size=(6, 3.6))
    target = example["energy"].cpu()
    moved = example["moved_energy"].cpu()
    low, high = target.min().item(), target.max().item()
    edges = torch.linspace(low - 20, high + 20, 50).tolist()
    for values, name, label in (
        (target, "target", f"simulated at {pair[1]:g} K"),
        (moved[moved.isfinite()], "moved", f"transported from {pair[0]:g} K"),
    ):
        axis.hist(values.tolist(), edges, density=True, histtype="step", lw=1.8,
                  color=COLOURS[name], label=label)  # fmt: skip
    axis.set(xlabel="energy, kJ/mol", ylabel="density")
    axis.legend()
    return figure


def torsion_marginals(angles: dict[str, Tensor], names: list[str]) -> Figure:
    """Each torsion's distribution at the source, transported, and at the target."""
    columns = 4
    figure, axes = new_figure(math.ceil(len(names) / columns), columns, size=(3.2, 2.4))
    for k, (axis, name) in enumerate(zip(axes, names, strict=False)):
        for which, values in angles.items():
            degrees = ((torch.rad2deg(values[:, k]) + 180) % 360 - 180).tolist()
            axis.hist(degrees, 60, range=(-180, 180), density=True, histtype="step",
                      color=COLOURS[which], label=which)  # fmt: skip
        axis.set(title=name, xlabel="degrees", xticks=[-180, 0, 180])
    axes[0].legend()
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    return figure


def ramachandran(angles: dict[str, Tensor], plane: Plane, pair: tuple[float, float]) -> Figure:
    """(phi, psi): before, transported, target."""
    figure, axes = new_figure(1, 3, size=(3.8, 3.6), sharex=True, sharey=True)
    titles = {"source": f"simulated, {pair[0]:g} K", "moved": f"transported to {pair[1]:g} K",
              "target": f"simulated, {pair[1]:g} K"}  # fmt: skip
    for axis, (which, values) in zip(axes, angles.items(), strict=True):
        degrees = (torch.rad2deg(values[:, [plane.phi, plane.psi]]) + 180) % 360 - 180
        phi, psi = degrees.T.tolist()
        axis.hist2d(phi, psi, 48, range=[[-180, 180], [-180, 180]], cmin=1, cmap="viridis")
        axis.set(title=titles[which], xlabel=f"phi of residue {plane.phi_residue + 1}, degrees")
        axis.set_xticks([-180, -90, 0, 90, 180])
    axes[0].set_ylabel(f"psi of residue {plane.psi_residue + 1}, degrees")
    return figure


def between_rungs(temperatures: list[float], with_map: Tensor, without: Tensor) -> Figure:
    """Acceptance of swaps between any two temperatures (kelvin): without the map, and with it."""
    figure, axes = new_figure(1, 2, size=(3.2, 3.2))
    names = [f"{temperature:g}" for temperature in temperatures]
    for axis, table, title in zip(
        axes, (without, with_map), ("plain", "with the map"), strict=True
    ):
        axis.imshow(table.numpy(), vmin=0, vmax=1, cmap="viridis")
        for i, row in enumerate(table.tolist()):
            for j, value in enumerate(row):
                if i != j:
                    axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7,
                              color="black" if value > 0.6 else "white")  # fmt: skip
        axis.set(xticks=range(len(names)), yticks=range(len(names)), title=title)
        axis.set_xticklabels(names)
        axis.set_yticklabels(names)
        axis.set_xlabel("kelvin")
    figure.suptitle("acceptance of swaps, held-out ladders")
    return figure


def free_energy_surface(
    angles: Tensor, plane: Plane, temperatures: list[float], bins: int = 36
) -> Figure:
    """-ln of the density over (phi, psi), in kT above its least, of angles (T, M, 2) in radians."""
    size = {"size": (3.8, 3.4), "sharex": True, "sharey": True}
    figure, axes = new_figure(1, len(temperatures), **size)
    for axis, values, temperature in zip(axes, angles, temperatures, strict=True):
        height, edges = surface(values, bins)
        drawn = axis.pcolormesh(edges, edges, height.T.numpy(), vmin=0, vmax=8, cmap="viridis")
        axis.set(title=f"{temperature:g} K", xlabel=f"phi of residue {plane.phi_residue + 1}",
                 xticks=[-180, -90, 0, 90, 180], yticks=[-180, -90, 0, 90, 180])  # fmt: skip
    axes[0].set_ylabel(f"psi of residue {plane.psi_residue + 1}, degrees")
    figure.colorbar(drawn, ax=axes, label="free energy, kT")
    return figure


def surface(angles: Tensor, bins: int = 36) -> tuple[Tensor, list[float]]:
    """Free energy (bins, bins) in kT of angles (M, 2) in radians, inf where nobody was; edges."""
    degrees = (torch.rad2deg(angles) + 180) % 360
    place = (degrees * bins / 360).long().clamp_max(bins - 1)
    counts = torch.bincount(place[:, 0] * bins + place[:, 1], minlength=bins * bins)
    height = -(counts.view(bins, bins).double() / len(angles)).log()
    return height - height.min(), torch.linspace(-180, 180, bins + 1).tolist()
