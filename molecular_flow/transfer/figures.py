"""The picture of a map for many peptides: acceptance of each."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from experiments.shared.plots import new_figure

SHOWN = {"ours": "one map for all", "stretch": "stretch", "identity": "plain exchange"}
COLOURS = {"ours": "tab:blue", "stretch": "tab:orange", "identity": "tab:gray"}


def by_sequence(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """Bars of swap acceptance of each sequence, of {map: {sequence: metrics}}; best first."""
    ours = found["ours"]
    order = sorted(ours, key=lambda sequence: -ours[sequence]["acceptance"])
    figure, (axis,) = new_figure(size=(max(5.0, 0.32 * len(order) + 1.5), 3.6))
    shown = [name for name in SHOWN if name in found]
    width = 0.8 / len(shown)
    for n, name in enumerate(shown):
        rows = [(k, found[name][s]) for k, s in enumerate(order) if s in found[name]]
        axis.bar([k + (n - (len(shown) - 1) / 2) * width for k, _ in rows],
                 [row["acceptance"] for _, row in rows], width, color=COLOURS[name],
                 yerr=[row.get("acceptance_se", 0) for _, row in rows],
                 error_kw={"lw": 0.8}, label=SHOWN[name])  # fmt: skip
    axis.set(ylim=(0, 1), ylabel="swap acceptance, held-out ladders")
    axis.set_xticks(range(len(order)))
    axis.set_xticklabels(order, rotation=90 if len(order) > 20 else 0)
    axis.legend(loc="upper right", ncols=len(shown))
    return figure
