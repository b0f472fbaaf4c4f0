"""Reads a run folder: what was asked, what happened and what came of it. Loads no model.

Curves come from the TensorBoard event files; a resumed run has several, which are merged.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.reporting import clean
from experiments.reporting.curves import Curve, latest, merge
from experiments.shared.errors import InputError, first_line
from experiments.shared.folder import EPOCH_TAG, Folder
from experiments.shared.reading import read_yaml

NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e[-+]?\d+)?)")
LONE = re.compile(r"\$\{[^{}:]+\}")  # an interpolation that names one key
MOST_VALUES = 100_000  # of a configuration
# Scalars are kept whole; of everything heavy only one a tag, since the report reads files instead.
KEEP = {
    "scalars": 0,
    "images": 1,
    "audio": 1,
    "histograms": 1,
    "compressedHistograms": 1,
    "tensors": 1,
}


@dataclass(frozen=True)
class Run:
    """A run folder in memory; what is missing is empty, and `problems` says what is broken."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    figures: list[Path] = field(default_factory=list)
    audio: list[Path] = field(default_factory=list)
    event_files: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.summary.get("name") or self.config.get("name") or self.folder.name)

    @property
    def status(self) -> str:
        """As in summary.json; `unfinished` for a run that has not written one."""
        return str(self.summary.get("status") or "unfinished")

    def value(self, tag: str) -> float | None:
        """The last value of `tag`: from summary.json, else from the events."""
        metrics = self.summary.get("metrics") or {}
        if isinstance(metrics.get(tag), int | float):
            return float(metrics[tag])
        curve = self.curves.get(tag)
        return float(curve.values[-1]) if curve is not None and len(curve.values) else None

    def tags(self, prefix: str) -> list[str]:
        """The tags that begin with `prefix`, in events or among the summary's metrics."""
        known = set(self.curves) | set(self.summary.get("metrics") or {})
        return sorted(tag for tag in known if tag.startswith(prefix))


def is_run(folder: Path) -> bool:
    """Whether `folder` looks like one run (and not like a sweep or something else)."""
    return Folder(folder).is_run()


def find_runs(folder: Path) -> list[Path]:
    """The run folders right below a sweep's folder, by name, numbers in it as numbers."""
    return sorted((child for child in folder.iterdir() if is_run(child)), key=natural)


def natural(path: Path) -> list[tuple[int, float, str]]:
    """A sort key: the pieces of the name, numbers before words."""
    pieces = NUMBER.split(path.name)
    return [
        (0, float(piece), "") if index % 2 else (1, 0.0, piece)
        for index, piece in enumerate(pieces)
    ]


def check_folder(folder: Path) -> Path:
    """The folder, if it holds a run or runs.

    Raises:
        InputError: it is missing, a file, or has neither.
    """
    folder = Path(folder)
    if not folder.exists():
        raise InputError(f"no folder {folder}: expected a run's or a sweep's folder")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file: expected a run's or a sweep's folder")
    if not is_run(folder) and not find_runs(folder):
        raise InputError(
            f"{folder} holds no run: expected .hydra/, tb/ or summary.json in it or in its "
            "sub-folders; give the folder that experiments.run printed"
        )
    return folder


def read_config(folder: Path, problems: list[str]) -> dict[str, Any]:
    """`.hydra/config.yaml` as plain values; interpolations are resolved where they can be."""
    path = Folder(folder).config
    if not path.is_file():
        return {}
    try:
        raw = read_yaml(path, "a run's configuration")
        if not isinstance(raw, dict):
            problems.append(f"{path.name} holds no configuration: expected a mapping")
            return {}
        found = resolved(OmegaConf.create(shielded(raw)), [MOST_VALUES])
    except Exception as error:  # yaml and OmegaConf each have their own family of errors
        problems.append(f"{path.name} cannot be read ({first_line(error)})")
        return {}
    return clean.config(found, problems)


def shielded(value: Any) -> Any:
    """`value` with every interpolation but a lone `${key}` escaped: it stays as it is written.

    What calls a resolver (`${oc.env:...}`) would show this machine's secrets in a stranger's
    report.
    """
    if isinstance(value, dict):
        return {key: shielded(child) for key, child in value.items()}
    if isinstance(value, list):
        return [shielded(child) for child in value]
    if isinstance(value, str) and "${" in value and not LONE.fullmatch(value):
        return value.replace("${", "\\${")
    return value


def resolved(node: Any, left: list[int]) -> Any:
    """Plain values; an interpolation that only Hydra can resolve stays as it is written.

    `left` counts down the values that may come: a few lines can stand for 10^9.
    """
    left[0] -= len(node)
    if left[0] < 0:
        raise InputError(f"it stands for more than {MOST_VALUES:,} values")
    if OmegaConf.is_list(node):
        return [leaf(node, index, left) for index in range(len(node))]
    return {str(key): leaf(node, key, left) for key in node}


def leaf(parent: Any, key: Any, left: list[int]) -> Any:
    try:
        value = "???" if OmegaConf.is_missing(parent, key) else parent[key]
    except (OmegaConfBaseException, ValueError, RecursionError):
        plain: Any = OmegaConf.to_container(parent, resolve=False)
        return plain[key]
    return resolved(value, left) if OmegaConf.is_config(value) else value


def read_overrides(folder: Path) -> list[str]:
    """The overrides as given on the command line."""
    path = Folder(folder).overrides
    try:
        found = read_yaml(path) if path.is_file() else []
        return [str(item) for item in found] if isinstance(found, list) else []
    except Exception:  # as above; a report does not fail over this
        return []


def read_event_file(path: Path, problems: list[str]) -> dict[str, Curve]:
    """Every scalar of one event file, in the order of its steps."""
    events = EventAccumulator(str(path), size_guidance=KEEP, purge_orphaned_data=False)
    try:
        events.Reload()
    except Exception as error:  # the end of a killed run's file may be cut anywhere
        problems.append(f"{path.name} is damaged ({first_line(error)}); read as far as it goes")
    curves = {}
    for tag in events.Tags()["scalars"]:
        points = events.Scalars(tag)
        steps = np.fromiter((p.step for p in points), np.int64, len(points))
        values = np.fromiter((p.value for p in points), np.float64, len(points))
        curves["epoch" if tag == EPOCH_TAG else tag] = latest(steps, values)
    return curves


def event_files(folder: Path) -> list[Path]:
    """The event files below `folder`, oldest first (their names begin with the time)."""
    return sorted(folder.rglob("events.out.tfevents.*"), key=lambda p: (p.name, p.parent))


def own(folder: Path, files: list[Path], problems: list[str]) -> list[Path]:
    """Those of `files` that are files of the run itself: no links out of it, no pipes."""
    kept, root = [], folder.resolve()
    for file in files:
        try:
            inside = file.resolve().is_relative_to(root)
        except (OSError, RuntimeError):  # a link in a circle
            inside = False
        if inside and file.is_file():
            kept.append(file)
        else:
            problems.append(f"{file.name} is no file of the run's folder, and is left out")
    return kept


def read_run(folder: Path) -> Run:
    """Everything the report needs of one run folder; never raises for an incomplete one."""
    folder, problems = Path(folder), []
    place = Folder(folder)
    found = [f for f in event_files(place.board) if f.parent != place.study]
    files = own(folder, found, problems)
    curves: dict[str, Curve] = {}
    for file in files:
        curves = merge(curves, read_event_file(file, problems))
    figures = [p for p in sorted(folder.glob("figures/*.png")) if not p.name.startswith("report_")]
    sounds = sorted([*folder.glob("audio/*.wav"), *folder.glob("figures/*.wav")])
    return Run(
        folder=folder,
        config=read_config(folder, problems),
        overrides=read_overrides(folder),
        summary=clean.summary(dict(Folder(folder).read(problems)), problems),
        curves=curves,
        figures=own(folder, figures, problems),
        audio=own(folder, sounds, problems),
        event_files=files,
        problems=problems,
    )


def epoch_of(run: Run, steps: np.ndarray) -> np.ndarray | None:
    """Finished epochs (1 = after the first) at `steps`; None if the run logged no epoch."""
    curve = run.curves.get("epoch")
    if curve is None or not len(curve.steps):
        return None
    index = np.searchsorted(curve.steps, steps, side="left").clip(max=len(curve.steps) - 1)
    return curve.values[index] + 1
