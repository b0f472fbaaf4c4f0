"""Edits from FCP7 XML as windows of 100 frames: read once, kept as arrays, split by video.

Give `root`, a folder of XML files (with a manifest.json of splits, or without: then 80/10/10 by
file), or nothing: then the embedded corpus is made under `cache`.
"""

import hashlib
import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchdata.stateful_dataloader import StatefulDataLoader
from tqdm import tqdm

from experiments.shared import corpora
from experiments.shared.errors import InputError
from experiments.shared.sampling import EpochSampler
from multitrack import baselines, corpus, losses, metrics, tasks, xmeml
from multitrack.augment import augment
from multitrack.drivers import Hearing, listen, read_signals
from multitrack.state import States, states
from multitrack.tasks import Task
from multitrack.timeline import sample

SPLITS = ("train", "val", "test", "heldout")
VAL_TASKS = (Task("forecast", 10), Task("forecast", 10, True))
TEST_TASKS = (
    *VAL_TASKS,
    *(Task("forecast", h) for h in (1, 5, 30)),
    Task("infill"),
    Task("generate", 0, True),
    Task("identity"),
)
HISTORY = 20  # frames of a window that only lead up to the scored ones
FORMAT = 1  # of the prepared arrays


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
            timeline = xmeml.read(file)
            frames = sample(timeline, rule=rule)
            if not frames.values[..., 0].any():
                raise InputError(f"{file}: expected video clips that show, got none")
        except InputError as error:
            index["skipped"][str(file)] = str(error)
            continue
        minutes += timeline.seconds / 60
        index["notes"] += len(timeline.notes) + len(frames.notes)
        index["files"][str(file)] = f"{number:05d}.npz"
        with (out / f"{number:05d}.npz").open("wb") as stream:
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


class Windows(Dataset):
    """Training examples: `[(epoch, index)]` -> the dict of `tasks.example`, shapes there."""

    def __init__(
        self, edits: list[Edit], *, window: int, overlap: int, seed: int, augmented: bool, task: str
    ):
        self.edits, self.window, self.seed = edits, window, seed
        self.augmented, self.task = augmented, task
        step = window - overlap
        self.index = [
            (number, start)
            for number, edit in enumerate(edits)
            for start in range(0, max(1, len(edit.values) - overlap), step)
        ]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        number, start = self.index[index]
        edit = self.edits[number]
        if self.augmented:  # the sequence crop: a window begins anywhere
            highest = max(0, len(edit.values) - self.window // 2)
            start = int(np.clip(start + rng.integers(-40, 41), 0, highest))
        if self.task == "identity":
            task = Task("identity")
        else:
            task = tasks.draw(rng, edit.hearing is not None)
        values, known, hearing, base = edit.values, edit.states, edit.hearing, start
        if self.augmented and rng.random() < 0.5:
            first = max(0, start - 250)
            values, mirrored = augment(values[first : start + self.window + 1], rng)
            base = start - first
            if hearing is not None:
                hearing = hearing.since(first)
                hearing = hearing.mirrored() if mirrored else hearing
            known = states(values, None if hearing is None else hearing.ago)
        hidden = None
        if task.kind == "infill":
            hidden = tasks.blocks(rng, self.window, values.shape[1])
        made = tasks.example(known, values, hearing, task, base, self.window, hidden)
        return {key: torch.from_numpy(np.ascontiguousarray(v)) for key, v in made.items()}


def edit_batch(edit: Edit, task: Task, window: int, seed: int = 0) -> dict[str, Tensor]:
    """A whole edit as overlapping windows (N, S, ...), of each only the frames in `keep` (N, S).

    The frames before them lead up; every frame of the edit is kept exactly once.
    """
    total = len(edit.values)
    step = window - HISTORY
    starts = range(0, max(1, total - HISTORY), step)
    rng = np.random.default_rng((seed, 7, total))
    made = []
    for start in starts:
        hidden = None
        if task.kind == "infill":
            hidden = tasks.blocks(rng, window, edit.values.shape[1])
        example = tasks.example(edit.states, edit.values, edit.hearing, task, start, window, hidden)
        keep = np.arange(window) >= (HISTORY if start else 0)
        example["keep"] = keep & (np.arange(start, start + window) < total)
        made.append(example)
    return {key: torch.from_numpy(np.stack([example[key] for example in made])) for key in made[0]}


class WholeEdits(Dataset):
    """Validation examples: one edit and one task each: windows (N, S, ...) and `keep` (N, S).

    Beside the keys of `tasks.example`: sizes (T, K, 2), canvas (2,), task and heldout (numbers),
    reference (T, K, 9) and rules (T, K, 2) of `metrics.row` (0 where the corpus does not tell).
    """

    def __init__(self, edits: list[tuple[Edit, bool]], chosen: tuple[Task, ...], window: int):
        self.pairs = [
            (edit, heldout, number)
            for number, task in enumerate(chosen)  # so that each rank has edits of every task
            for edit, heldout in edits
            if edit.hearing is not None or not task.driven
        ]
        self.chosen, self.window = chosen, window

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        edit, heldout, number = self.pairs[index]
        task = self.chosen[number]
        batch = edit_batch(edit, task, self.window)
        best = np.zeros_like(edit.values)
        if edit.rules and task.kind == "forecast":
            best = baselines.reference(edit.values, edit.rules, task.horizon, task.driven)
        return {
            **batch,
            "sizes": torch.from_numpy(edit.sizes),
            "canvas": torch.tensor(edit.canvas, dtype=torch.float32),
            "reference": torch.from_numpy(best),
            "rules": torch.from_numpy(ruled(edit)),
            "task": torch.tensor(number),
            "heldout": torch.tensor(int(heldout)),
        }


def ruled(edit: Edit) -> np.ndarray:
    """Which rule, counted from 1, made the onset and the offset at each cell: (T, K, 2), 0 none."""
    out = np.zeros((*edit.values.shape[:2], 2), np.int8)
    for clip in edit.rules:
        if clip["rule"] in metrics.RULES:
            number = metrics.RULES.index(clip["rule"]) + 1
            out[clip["from"], clip["track"], 0] = number
            if clip["to"] < len(out):
                out[clip["to"], clip["track"], 1] = number
    return out


def only(batch: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch of one edit is the edit."""
    return batch[0]


class MultitrackData(pl.LightningDataModule):
    """Edits of `root`, or of the embedded corpus of `timelines`.

    `task`: `mixed` (forecasts, in-filling, generation, identity) or `identity` (as published).
    `rule`: whether Basic Motion's centre is in units of the `source` or the `sequence`.
    """

    def __init__(
        self,
        root: str | None = None,
        cache: str = "data",
        *,
        seed: int = 0,
        batch_size: int = 16,
        window: int = 100,
        overlap: int = 20,
        workers: int = 0,
        timelines: dict[str, int] | None = None,
        styles: int = 48,
        seconds: tuple[int, int] = (30, 120),
        augment: bool = True,
        task: str = "mixed",
        rule: str = "source",
    ):
        super().__init__()
        if task not in ("mixed", "identity"):
            raise InputError(f"data.task={task!r}: expected mixed or identity")
        if rule not in ("source", "sequence"):
            raise InputError(f"data.rule={rule!r}: expected source or sequence")
        if not 0 <= overlap < window or window <= HISTORY:
            raise InputError(
                f"data.window={window}, data.overlap={overlap}: expected 0 <= overlap < window "
                f"and a window above {HISTORY}"
            )
        self.root, self.cache = root, Path(cache)
        self.seed, self.batch_size, self.window, self.overlap = seed, batch_size, window, overlap
        self.workers, self.styles, self.seconds = workers, styles, tuple(seconds)
        self.timelines = timelines or {"train": 400, "val": 50, "test": 100, "heldout": 50}
        unknown = set(self.timelines) - set(SPLITS)
        if unknown:
            raise InputError(f"data.timelines: expected {SPLITS}, got {sorted(unknown)}")
        self.augment, self.task, self.rule = augment, task, rule
        self.edits: dict[str, list[Edit]] | None = None
        self.test_tasks = TEST_TASKS if task == "mixed" else (Task("identity"),)
        self.val_tasks = VAL_TASKS if task == "mixed" else (Task("identity"),)

    def prepare_data(self) -> None:
        self._prepared()

    def _source(self) -> Path:
        if self.root is not None:
            folder = Path(self.root)
            if not folder.is_dir():
                raise InputError(f"data.root={folder}: expected a folder of XML files")
            return folder
        settings = {
            "timelines": {split: self.timelines.get(split, 0) for split in SPLITS},
            "styles": self.styles, "seconds": list(self.seconds), "seed": 0, "version": 2,
        }  # fmt: skip
        make = partial(
            corpus.write, counts=settings["timelines"], styles=self.styles, seconds=self.seconds
        )
        return corpora.build_once(self.cache, "edits", settings, make)

    def _prepared(self) -> tuple[Path, Path, list[Path], str]:
        """The folder of XML, the folder of arrays, the files, their hash."""
        folder = self._source()
        files = sorted(folder.rglob("*.xml"))
        if not files:
            raise InputError(f"{folder}: expected FCP7 XML files (*.xml), got none")
        mark = corpora.content_hash(files)
        where = {"files": mark, "folder": str(folder.resolve()), "rule": self.rule, "v": FORMAT}
        arrays = corpora.build_once(
            self.cache, "edit-arrays", where, partial(_prepare_into, files, self.rule)
        )
        return folder, arrays, files, mark

    def setup(self, stage: str | None = None) -> None:
        if self.edits is not None:
            return
        folder, arrays, files, self.hash = self._prepared()
        index = json.loads((arrays / "index.json").read_text())
        self.skipped = index["skipped"]
        for message in self.skipped.values():
            print(f"skipped {message}")
        splits = self._splits(folder, files)
        self.edits = {split: [] for split in SPLITS}
        for file, stored in index["files"].items():
            self.edits[splits[file]].append(load(Path(file), arrays / stored))
        for split in ("train", "val", "test"):
            if not self.edits[split]:
                count = len(index["files"])
                raise InputError(
                    f"{folder}: no edit for {split!r} among {count} readable files "
                    f"({len(self.skipped)} skipped): expected at least 3, or a manifest.json"
                )
        frames = np.concatenate([edit.values for edit in self.edits["train"]])
        self.columns = losses.column_statistics(torch.from_numpy(frames))
        self.typical = torch.from_numpy(baselines.typical(frames))
        self.index = index

    def _splits(self, folder: Path, files: list[Path]) -> dict[str, str]:
        manifest = folder / "manifest.json"
        if manifest.is_file():
            try:
                listed = json.loads(manifest.read_text())["files"]
                found = {str(folder / name): name.split("/")[0] for name in listed}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{manifest}: expected {{'files': {{'train/a.xml': ...}}}} ({error})"
                ) from None
            missing = [str(f) for f in files if found.get(str(f)) not in SPLITS]
            if missing:
                raise InputError(f"{manifest}: does not put {missing[0]} into one of {SPLITS}")
            return found
        # By the hash of the name, so that a new file moves no other; three files at least.
        ranked = sorted(
            files, key=lambda f: hashlib.sha256(str(f.relative_to(folder)).encode()).hexdigest()
        )
        tenth = max(1, len(files) // 10)
        return {
            str(file): "val" if rank < tenth else "test" if rank < 2 * tenth else "train"
            for rank, file in enumerate(ranked)
        }

    @property
    def steps_per_epoch(self) -> int:
        world = self.trainer.world_size if self.trainer else 1
        return max(1, len(self._windows()) // (self.batch_size * world))

    def _windows(self) -> Windows:
        return Windows(
            self.edits["train"], window=self.window, overlap=self.overlap, seed=self.seed,
            augmented=self.augment, task=self.task,
        )  # fmt: skip

    def train_dataloader(self) -> StatefulDataLoader:
        windows = self._windows()
        world, rank = (
            (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        )
        if len(windows) < self.batch_size * world:
            raise InputError(
                f"{len(windows)} training windows, expected at least one batch "
                f"({self.batch_size} x {world}): lower data.batch_size"
            )
        sampler = EpochSampler(
            len(windows), shuffle=True, seed=self.seed, num_replicas=world, rank=rank,
            drop_last=True,
        )  # fmt: skip
        return StatefulDataLoader(
            windows, batch_size=self.batch_size, sampler=sampler, drop_last=True,
            num_workers=self.workers, persistent_workers=self.workers > 0,
        )  # fmt: skip

    def _whole(self, edits: list[tuple[Edit, bool]], chosen: tuple[Task, ...]) -> DataLoader:
        return DataLoader(WholeEdits(edits, chosen, self.window), batch_size=1, collate_fn=only)

    def val_dataloader(self) -> DataLoader:
        return self._whole([(edit, False) for edit in self.edits["val"]], self.val_tasks)

    def test_dataloader(self) -> DataLoader:
        edits = [(edit, False) for edit in self.edits["test"]]
        edits += [(edit, True) for edit in self.edits["heldout"]]
        return self._whole(edits, self.test_tasks)

    def describe(self) -> dict:
        made = self.root is None
        notes = []
        if self.skipped:
            notes.append(f"WARNING {len(self.skipped)} XML files could not be read: skipped")
        return {
            "source": "embedded" if made else str(self.root),
            "sizes": {split: len(edits) for split, edits in self.edits.items()},
            "hash": self.hash,
            "skipped": len(self.skipped),
            "minutes": self.index["minutes"],
            "minutes_a_minute": self.index["minutes"] / max(1e-9, self.index["seconds"]) * 60,
            "readers_notes": self.index["notes"],
            "notes": notes,
        }


def _prepare_into(files: list[Path], rule: str, out: Path) -> None:
    prepare(files, out, rule)
