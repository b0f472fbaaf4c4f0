"""What differs between the runs of a sweep, and what each is called for it."""

import math
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from experiments.reporting.document import Block, Cell, Heading, Table
from experiments.reporting.events import Run
from experiments.shared.folder import Folder
from experiments.shared.numbers import number

MOST_ROWS, MOST_COLUMNS = 40, 8
# Follows from where and when a run was, not from what was asked.
PLACES = ("folder", "paths", "hydra", "resume", "callbacks", "logger", "sweep")


def overrides_of(run: Run) -> dict[str, str]:
    """`key=value` overrides as a dictionary, without the leading `+`."""
    pairs = (item.lstrip("+~").split("=", 1) for item in run.overrides if "=" in item)
    return {key: value for key, value in pairs if not key.startswith(("hydra.", "paths."))}


def varying_settings(runs: list[Run]) -> list[dict[str, str]]:
    """For each run the overrides that differ between the runs (and the name, if it does)."""
    every = [overrides_of(run) for run in runs]
    keys = dict.fromkeys(key for own in every for key in own)
    differ = [key for key in keys if len({own.get(key) for own in every}) > 1]
    found = [{key: own.get(key, "–") for key in differ} for own in every]
    if not differ and len({run.name for run in runs}) > 1:
        found = [{"name": run.name} for run in runs]
    return found


def natural(settings: Mapping[str, str]) -> list[tuple[float, str]]:
    """A sort key that takes numbers as numbers."""
    return [(float(v) if is_number(v) else math.inf, v) for v in settings.values()]


def label_of(run: Run, settings: Mapping[str, str]) -> str:
    text = ", ".join(f"{key.split('.')[-1]} {value}" for key, value in settings.items())
    return text or run.folder.name


def unique(labels: list[str]) -> list[str]:
    """Labels with a count behind repeated ones, so that no two runs share a line."""
    seen: dict[str, int] = {}
    result = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        result.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return result


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def configuration_difference(runs: list[Run], labels: list[str]) -> list[Block]:
    """Every key of the configuration whose value is not the same for all runs."""
    known = [(written(run), label) for run, label in zip(runs, labels, strict=True)]
    whole = max((len(own) for own, _ in known), default=0)  # a job may not have come so far
    known = [(own, label) for own, label in known if own and 2 * len(own) > whole]
    every, labels = [own for own, _ in known], [label for _, label in known]
    keys = sorted(dict.fromkeys(key for own in every for key in own))
    differ = [key for key in keys if len({repr(own.get(key)) for own in every}) > 1]
    if not differ:
        return []
    few = len(every) <= MOST_COLUMNS
    rows: list[list[Cell | str]] = []
    for key in differ[:MOST_ROWS]:
        values = [shown(own[key]) if key in own else "–" for own in every]
        rows.append([key, *(values if few else ["; ".join(dict.fromkeys(values))])])
    cut = len(differ) - len(rows)
    caption = "As written; what only follows from another key is not named."
    if cut:
        caption += f" {cut} more keys differ: see .hydra/config.yaml of each."
    head = ["key", *(labels if few else ["values"])]
    name = f"keys of the configuration that differ: {len(differ)}"
    words = range(1 + (len(labels) if few else 1))
    return [Heading("Difference of the configurations", 3), Table(head, rows, words, caption, name)]


def written(run: Run) -> dict[str, Any]:
    """Dotted key -> value of the run's configuration, interpolations as they are written."""
    try:
        raw = OmegaConf.to_container(OmegaConf.load(Folder(run.folder).config), resolve=False)
    except Exception:  # yaml, OmegaConf and the file system each have their own family of errors
        return {}
    return dict(leaves(raw)) if isinstance(raw, dict) else {}


def leaves(node: Any, prefix: str = ""):
    for key, value in node.items():
        name = f"{prefix}{key}"
        if not prefix and key in PLACES:
            continue
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)
