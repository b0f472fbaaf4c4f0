"""The tables of a run: its terms, its metrics beside baselines, its milestones."""

import numpy as np

from experiments.reporting.curves import Curve
from experiments.reporting.document import Block, Cell, Heading, Table
from experiments.reporting.events import Run, epoch_of
from experiments.reporting.facts import (
    breakdowns,
    epochs_done,
    last_step,
    objective_of,
    other_names,
    targets_of,
    term_names,
    whole_metrics,
)
from experiments.shared.numbers import beside, change, number, percent


def term_table(run: Run) -> list[Block]:
    """First, best and last of each raw term; its share at the end."""
    weights = run.summary.get("loss_weights") or run.config.get("loss") or {}
    rows, terms, others = [], term_names(run), other_names(run)
    for name in [*terms, "total", *others]:
        curve = run.curves.get(f"train/{name}")
        values = curve.finite().values if curve is not None else np.zeros(0)
        if not len(values):
            rows.append(
                [name, number(weights.get(name)), *[Cell("not logged", "quiet")] + [""] * 4]
            )
            continue
        tail = values[-max(1, len(values) // 20) :].mean()
        shares = run.curves.get(f"share/{name}", Curve(np.zeros(0), np.zeros(0))).finite().values
        share = shares[-max(1, len(shares) // 20) :].mean() if len(shares) else None
        rows.append(
            [
                name,
                number(weights.get(name)) if name in terms else "",
                number(values[0]),
                number(values.min()),
                number(tail),
                change(values[0], tail),
                percent(share) if name in terms else "",
            ]
        )
    if len(rows) == 1 and rows[0][0] == "total" and "train/total" not in run.curves:
        return []
    note = (
        "Raw terms, without their weights. last and share: mean of the last twentieth of the "
        "logged points. Below the total: logged, without a weight. The total changes its scale "
        "with the weights: nothing is chosen by it."
    )
    head = ["term", "weight", "first", "lowest", "last", "change", "share"]
    return [Heading("Loss terms"), Table(head, rows, caption=note)]


def metric_table(run: Run) -> list[Block]:
    """Every metric on validation and test data, beside every baseline."""
    names, baselines = whole_metrics(run), run.summary.get("baselines") or {}
    if not names:
        return []
    bare = [n for n in names if all(values.get(n) is None for values in baselines.values())]
    caption = "test: the best checkpoint by the objective. ±: standard error; (a to b): 95 %."
    if not baselines:
        caption += " No baselines are known: they come with summary.json, at the end of a run."
    elif bare:
        caption += f" Without a baseline: {', '.join(bare)}."
    whole = metric_rows(run, names, baselines, caption=caption)
    blocks: list[Block] = [Heading("Metrics beside baselines"), whole]
    for part, own in breakdowns(run).items():
        blocks.append(metric_rows(run, own, baselines, summary=f"{part}: {len(own)} metrics"))
    return blocks


def metric_rows(run: Run, names: list[str], baselines: dict, **options) -> Table:
    """A column a baseline where there are few; else one column that names those with a value."""
    few, units = len(baselines) <= 4, charts_of(run)
    rows: list[list[Cell | str]] = []
    for name in names:
        curve = run.curves.get(f"val/{name}")
        first = curve.values[0] if curve is not None and len(curve.values) else None
        ours = [with_error(run, f"{split}/{name}") for split in ("val", "test")]
        beside = {label: values.get(name) for label, values in baselines.items()}
        if few:
            cells = [number(value) for value in beside.values()]
        else:
            known = [f"{label} {number(v)}" for label, v in beside.items() if v is not None]
            cells = ["; ".join(known) or "–"]
        rows.append([Cell(name, note=units.get(name, "")), number(first), *ours, *cells])
    head = ["metric", "val, first", "val, last", "test", *(baselines if few else ["baselines"])]
    return Table(head, rows, words=(0,) if few else (0, 4), **options)


def charts_of(run: Run) -> dict[str, str]:
    """Metric -> the title of its chart, which says its unit (`charts` of the experiment)."""
    charts = run.config.get("charts") or {}
    return {tag.removeprefix("val/"): str(title) for title, tags in charts.items() for tag in tags}


def with_error(run: Run, tag: str) -> str:
    """The last value, with its standard error or interval where one is logged beside it."""
    value, error = run.value(tag), run.value(f"{tag}_se")
    low, high = run.value(f"{tag}_low"), run.value(f"{tag}_high")
    if low is not None and high is not None:
        width = (high - low) / 2
        shown = [beside(x, width) for x in (value, low, high) if x is not None]
        return f"{shown[0]} ({shown[1]} to {shown[2]})" if len(shown) == 3 else number(value)
    return f"{beside(value, error)} ± {number(error, 2)}" if error and value else number(value)


def milestone_places(run: Run) -> tuple[str, list[int]]:
    """What to count by ("epoch" or "step") and about ten places, dense at first."""
    last = (epochs_done(run) or 0) if "epoch" in run.curves else 0
    unit = "epoch" if last >= 4 else "step"
    if unit == "step":
        last = last_step(run) or 0
        trained = [curve.steps for tag, curve in run.curves.items() if tag.startswith("train/")]
        logged = np.unique(np.concatenate(trained or [np.zeros(1, int)]))
    places = [p * 10**k for k in range(8) for p in (1, 2, 5) if p * 10**k < 0.95 * last]
    places.append(last)
    if unit == "step":
        places = [int(logged[abs(logged - place).argmin()]) for place in [0, *places]]
    places = sorted(set(places))
    return unit, places if len(places) <= 12 else [places[0], *places[-11:]]


def value_at(run: Run, tag: str, unit: str, place: int) -> float | None:
    """A training tag's mean over that epoch, another tag's last value in it; by steps: up to it."""
    curve = run.curves.get(tag)
    if curve is None or not len(curve.steps):
        return None
    curve = curve.finite()
    if unit == "epoch":
        inside = curve.values[epoch_of(run, curve.steps) == place]
        if not len(inside):
            return None
        return float(inside.mean() if tag.startswith("train/") else inside[-1])
    index = int(np.searchsorted(curve.steps, place, side="right")) - 1
    return float(curve.values[index]) if index >= 0 else None


def milestones(run: Run) -> list[Block]:
    if not run.curves:
        return []
    unit, places = milestone_places(run)
    name = objective_of(run).get("name")
    watched = [str(tag) for tag in (run.config.get("watch") or {}).values()]
    stated = list(targets_of(run)[0])
    validated = [
        tag if tag.startswith("val/") else f"val/{tag.split('/', 1)[-1]}" for tag in stated
    ]
    terms = [f"train/{term}" for term in term_names(run)]
    wanted = dict.fromkeys([str(name), "train/total", *watched, *validated, *terms])
    tags = [tag for tag in wanted if tag in run.curves][:8]
    if not tags or len(places) < 2:
        return []
    rows = []
    for place in places:
        values = [value_at(run, tag, unit, place) for tag in tags]
        if any(value is not None for value in values):
            rows.append([f"{place:,}", *map(number, values)])
    changes = []
    for tag in tags:
        values = [value_at(run, tag, unit, place) for place in places]
        known = [value for value in values if value is not None]
        changes.append(change(known[0], known[-1]) if len(known) > 1 else "–")
    rows.append(["change", *changes])
    note = "Training terms: mean over the epoch; the others: the last value in it."
    caption = note if unit == "epoch" else "The last value logged up to that step."
    return [Heading("Milestones", open=False), Table([unit, *tags], rows, caption=caption)]
