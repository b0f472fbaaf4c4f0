"""What is known of a run: its objective, terms, metrics and stated targets."""

import math

import numpy as np

from experiments.reporting.events import Run, epoch_of
from experiments.reporting.targets import Target, parse_target
from experiments.shared.errors import InputError
from experiments.shared.numbers import number


def objective_of(run: Run) -> dict:
    """Name, mode, best, best_step and last: from summary.json, else worked out from the events."""
    stated = dict(run.config.get("objective") or {})
    stated.update({k: v for k, v in (run.summary.get("objective") or {}).items() if v is not None})
    curve = run.curves.get(str(stated.get("name")))
    if curve is not None and len(curve.finite().steps):
        curve = curve.finite()
        index = int(curve.values.argmin() if stated.get("mode") != "max" else curve.values.argmax())
        stated.setdefault("best", float(curve.values[index]))
        stated.setdefault("best_step", int(curve.steps[index]))
        stated.setdefault("last", float(curve.values[-1]))
    return stated


def last_step(run: Run) -> int | None:
    if run.summary.get("steps") is not None:
        return run.summary["steps"]
    ends = [int(c.steps[-1]) for tag, c in run.curves.items() if not tag.startswith("hparams/")]
    return max(ends, default=None)


def epochs_done(run: Run) -> int | None:
    """Epochs begun or finished; the test after the last one, which logs a further number, apart."""
    if run.summary.get("epochs") is not None:
        return run.summary["epochs"]
    ends = [c.steps[-1:] for tag, c in run.curves.items() if tag.startswith(("train/", "val/"))]
    epochs = epoch_of(run, np.concatenate(ends)) if ends else None
    return int(epochs.max()) if epochs is not None else None


def term_names(run: Run) -> list[str]:
    """Terms in the order of the configuration, then any other that has a share."""
    weights = run.summary.get("loss_weights") or run.config.get("loss") or {}
    extra = [tag.removeprefix("share/") for tag in run.tags("share/")]
    return list(dict.fromkeys([*weights, *extra]))


def other_names(run: Run) -> list[str]:
    """What training logs beside its weighted terms: their parts, an adversary's loss."""
    known = {*term_names(run), "total"}
    names = [tag.removeprefix("train/") for tag in run.tags("train/") if tag in run.curves]
    return [name for name in names if name not in known]


def metric_names(run: Run) -> list[str]:
    """Metrics of validation or test: the objective, those with a target, the others.

    What says how sure another one is (`x_se`, `x_low`, `x_high`, beside `x` or with a target of its
    own) is none of its own.
    """
    names = {tag.split("/", 1)[1] for tag in [*run.tags("val/"), *run.tags("test/")]}
    first, stated = stated_names(run)

    def of_its_own(name: str) -> bool:
        base = name.removesuffix("_se").removesuffix("_low").removesuffix("_high")
        return base == name or (base not in names and name not in stated)

    def order(name: str) -> tuple[bool, int, str]:
        return (name != first, stated.index(name) if name in stated else len(stated), name)

    return sorted(filter(of_its_own, names), key=order)


def stated_names(run: Run) -> tuple[str, list[str]]:
    """The metrics' names in the objective and in the targets, without their split."""
    first = str(objective_of(run).get("name", "")).split("/", 1)[-1]
    return first, [tag.split("/", 1)[-1] for tag in targets_of(run)[0]]


def breakdowns(run: Run) -> dict[str, list[str]]:
    """Metrics that are others' for a part of the data, by part.

    The part is what stands before the last slash (`task/error`), or a prefix that several metrics
    share (`matched_error`, `matched_iou` beside `error`, `iou`). What has a target is in no part.
    """
    names, (first, stated) = metric_names(run), stated_names(run)
    parts: dict[str, list[str]] = {}
    for name in names:
        endings = [other for other in names if name.endswith(f"_{other}")]
        part = name.rpartition("/")[0]
        if not part and endings:
            part = name.removesuffix("_" + max(endings, key=len))
        if part and name != first and name not in stated:
            parts.setdefault(part, []).append(name)
    return {part: own for part, own in parts.items() if len(own) > 1 or "/" in own[0]}


def whole_metrics(run: Run) -> list[str]:
    """Metrics of all the data: those that are no breakdown."""
    apart = {name for own in breakdowns(run).values() for name in own}
    return [name for name in metric_names(run) if name not in apart]


def targets_of(run: Run) -> tuple[dict[str, Target], dict[str, str]]:
    """The stated targets, and for those that cannot be read what is wrong."""
    good, bad = {}, {}
    for tag, text in (run.config.get("targets") or {}).items():
        if text is None:  # a preset has taken back what it inherits
            continue
        try:
            good[str(tag)] = parse_target(text)
        except InputError as error:
            bad[str(tag)] = str(error)[:300]
    return good, bad


def judge(run: Run, tag: str, target: Target) -> tuple[str, str]:
    """("met" | "missed" | "not measured", by how much or what else is known)."""
    value = run.value(tag)
    if value is None:
        so_far = run.value(tag.replace("test/", "val/", 1))
        return (
            "not measured",
            f"(on validation data {number(so_far)})" if so_far is not None else "",
        )
    if target.met(value):
        return "met", ""
    return "missed", f"by {number(target.miss(value), 3)}" if math.isfinite(value) else ""
