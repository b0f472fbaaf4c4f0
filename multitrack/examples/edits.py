"""Edits from FCP7 XML, sampled once and kept as arrays, with the signals and truth beside them."""

import json
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from experiments.shared.errors import InputError
from experiments.shared.progress import progress
from experiments.shared.reading import read_json
from multitrack.edit.drivers import DRIVERS, Hearing, listen, read_signals
from multitrack.edit.floor import noisy
from multitrack.edit.pace import SPEAKERS
from multitrack.edit.shots import programme, shots
from multitrack.edit.state import States, states
from multitrack.edit.timeline import sample
from multitrack.examples.moments import VARIANTS, Moments, varied
from multitrack.examples.splits import print_of
from multitrack.metrics import RULES
from multitrack.xmeml.files import read


@dataclass
class Edit:
    """One file, sampled. values (T, K, 9), sizes (T, K, 2) pixels, the recording if given.

    shown: (T,) the picture that is seen (`edit.shots.programme`).
    """

    name: str
    values: np.ndarray
    sizes: np.ndarray
    canvas: tuple[int, int]
    hearing: Hearing | None
    rules: list[dict]
    states: States
    shown: np.ndarray

    @property
    def speech(self) -> np.ndarray | None:
        """Speech (T, M) of the recording's microphones."""
        return None if self.hearing is None else self.hearing.columns[:, :SPEAKERS]

    @property
    def talks(self) -> bool:
        """Whether cameras show two people who speak: then speech can tell when to cut."""
        if self.speech is None or (self.rules and not _camera_tracks(self.rules)):
            return False
        return (self.speech > 0.5).any(0).sum() > 1

    @cached_property
    def moments(self) -> Moments:
        return Moments.of(self.shown, self.speech)

    @cached_property
    def alone(self) -> Moments:
        """Its moments without the recording."""
        return Moments.of(self.shown, None)

    @cached_property
    def variants(self) -> list[Moments]:
        """Itself and others like it, to train on."""
        rng = np.random.default_rng((len(self.shown), 11))
        made = [varied(self.shown, self.speech, rng) for _ in range(VARIANTS - 1)]
        return [self.moments, *made]

    @cached_property
    def through_noise(self) -> "Edit":
        """The edit with speech as a detector hears it: 0.2 s of jitter, 5 % of errors."""
        if self.hearing is None:
            return self
        signals = self.hearing.columns[:, : len(DRIVERS)].copy()
        rng = np.random.default_rng((len(self.shown), 13))
        signals[:, :SPEAKERS] = noisy(signals[:, :SPEAKERS], rng)
        hearing = listen(signals)
        return replace(self, hearing=hearing, states=states(self.values, hearing.ago))


def prepare(files: list[Path], out: Path, rule: str) -> None:
    """Sample every XML into out/NNNN.npz; what cannot be read goes to out/index.json as skipped."""
    index, started, minutes = {"files": {}, "skipped": {}, "notes": 0}, time.perf_counter(), 0.0
    index |= {"cuts": 0, "seen": 0}  # from clip to clip, and those that the samples show
    for number, file in enumerate(progress(files, "reading edits", "file")):
        try:
            timeline = read(file)
            frames, made = sample(timeline, rule=rule), shots(timeline)
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
            np.savez(
                stream, values=frames.values, sizes=frames.sizes, canvas=frames.canvas,
                shown=programme(frames, made, _camera_tracks(_truth(file))), begins=made.begins,
                source=made.source, take=made.take, speed=made.speed,
            )  # fmt: skip
        index["cuts"], index["seen"] = index["cuts"] + made.cuts, index["seen"] + made.seen
    index["minutes"], index["seconds"] = minutes, time.perf_counter() - started
    (out / "index.json").write_text(json.dumps(index, indent=1))
    rate = minutes / max(1e-9, index["seconds"]) * 60
    print(f"prepared {minutes:.0f} minutes of edits ({rate:.0f} timeline-minutes a minute)")


def _truth(file: Path) -> list[dict]:
    """What the corpus tells of an edit's clips; nothing of edits from elsewhere.

    Raises:
        InputError: the file beside the XML that tells it is damaged.
    """
    truth = file.with_name(f"{file.stem}.truth.json")
    if not truth.is_file():
        return []
    told = read_json(truth, "what multitrack.corpus tells of an edit")
    rules = told.get("rules") if isinstance(told, dict) else None
    kinds = {"rule": str, "track": int, "from": int, "to": int}
    if not isinstance(rules, list) or not all(
        isinstance(clip, dict) and all(isinstance(clip.get(k), kind) for k, kind in kinds.items())
        for clip in rules
    ):
        raise InputError(f"{truth}: expected rules with {', '.join(kinds)}: restore or remove it")
    return rules


def _camera_tracks(rules: list[dict]) -> list[int]:
    """The tracks of its cameras, where the corpus tells: its other footage is in sync as well."""
    return sorted({clip["track"] for clip in rules if clip["rule"] == "R1"})


def load(file: Path, arrays: Path) -> Edit:
    """One prepared edit, with what lies beside its XML (signals, truth)."""
    with np.load(arrays) as stored:
        values, sizes, shown = stored["values"], stored["sizes"], stored["shown"]
        canvas = tuple(int(side) for side in stored["canvas"])
    signals = file.with_name(f"{file.stem}.drivers.npz")
    hearing = None
    if signals.is_file():
        hearing = listen(read_signals(signals))
    ago = None if hearing is None else hearing.ago
    known = states(values, ago)
    return Edit(file.stem, values, sizes, canvas, hearing, _truth(file), known, shown)


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
