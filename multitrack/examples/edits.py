"""Edits from FCP7 XML, sampled once and kept as arrays, with the signals and truth beside them."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments.shared.errors import InputError
from multitrack.edit.drivers import Hearing, listen, read_signals
from multitrack.edit.state import States, states
from multitrack.edit.timeline import sample
from multitrack.examples.splits import print_of
from multitrack.metrics import RULES
from multitrack.xmeml.files import read


@dataclass
class Edit:
    """One file, sampled. values (T, K, 9), sizes (T, K, 2) pixels, the recording if given."""

    name: str
    values: np.ndarray
    sizes: np.ndarray
    canvas: tuple[int, int]
    hearing: Hearing | None
    rules: list[dict]
    states: States


def prepare(files: list[Path], out: Path, rule: str) -> None:
    """Sample every XML into out/NNNN.npz; what cannot be read goes to out/index.json as skipped."""
    index, started, minutes = {"files": {}, "skipped": {}, "notes": 0}, time.perf_counter(), 0.0
    for number, file in enumerate(tqdm(files, desc="reading edits", unit="xml", mininterval=2)):
        try:
            timeline = read(file)
            frames = sample(timeline, rule=rule)
            if not frames.values[..., 0].any():
                raise InputError(f"{file}: expected video clips that show, got none")
        except InputError as error:
            index["skipped"][str(file)] = str(error)
            continue
        minutes += timeline.seconds / 60
        index["notes"] += len(timeline.notes) + len(frames.notes)
        arrays = f"{number:05d}.npz"
        index["files"][str(file)] = {"arrays": arrays, "print": asdict(print_of(timeline))}
        with (out / arrays).open("wb") as stream:
            np.savez(stream, values=frames.values, sizes=frames.sizes, canvas=frames.canvas)
    index["minutes"], index["seconds"] = minutes, time.perf_counter() - started
    (out / "index.json").write_text(json.dumps(index, indent=1))
    rate = minutes / max(1e-9, index["seconds"]) * 60
    print(f"prepared {minutes:.0f} minutes of edits ({rate:.0f} timeline-minutes a minute)")


def load(file: Path, arrays: Path) -> Edit:
    """One prepared edit, with what lies beside its XML (signals, truth)."""
    with np.load(arrays) as stored:
        values, sizes = stored["values"], stored["sizes"]
        canvas = tuple(int(side) for side in stored["canvas"])
    signals = file.with_name(f"{file.stem}.drivers.npz")
    hearing, rules = None, []
    if signals.is_file():
        hearing = listen(read_signals(signals))
    truth = file.with_name(f"{file.stem}.truth.json")
    if truth.is_file():
        rules = json.loads(truth.read_text())["rules"]
    ago = None if hearing is None else hearing.ago
    return Edit(file.stem, values, sizes, canvas, hearing, rules, states(values, ago))


def ruled(edit: Edit) -> np.ndarray:
    """Which rule, counted from 1, made the onset and the offset at each cell: (T, K, 2), 0 none."""
    out = np.zeros((*edit.values.shape[:2], 2), np.int8)
    for clip in edit.rules:
        if clip["rule"] in RULES:
            number = RULES.index(clip["rule"]) + 1
            out[clip["from"], clip["track"], 0] = number
            if clip["to"] < len(out):
                out[clip["to"], clip["track"], 1] = number
    return out
