"""Edits from FCP7 XML as windows of 100 frames: read once, kept as arrays, split by video.

Give `root`, a folder of XML files (with a manifest.json of splits, or without: then 80/10/10 by
a hash of each programme's name), or nothing: then the embedded corpus is made under `cache`.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from experiments.shared import corpora
from experiments.shared.errors import InputError
from experiments.shared.kinds import NonNegativeInt, PositiveInt
from experiments.shared.loaders import training_loader
from experiments.shared.reading import read_json
from multitrack import baselines, corpus, losses
from multitrack.examples.edits import Edit, load, prepare
from multitrack.examples.splits import Print, leave_one_out, split_by_programme
from multitrack.examples.tasks import Task
from multitrack.examples.windows import HISTORY, WholeEdits, Windows, only

SPLITS = ("train", "val", "test", "heldout")
VAL_TASKS = (Task("forecast", 10), Task("forecast", 10, True))
TEST_TASKS = (
    *VAL_TASKS,
    Task("forecast", 10, True, noisy=True),
    *(Task("forecast", h) for h in (1, 2, 5, 20, 30)),
    Task("infill"),
    Task("generate", 0, True),
    Task("identity"),
)
TIMELINES = {"train": 400, "val": 50, "test": 100, "heldout": 50}
FORMAT = 4  # of the prepared arrays


class MultitrackData(pl.LightningDataModule):
    """Edits of `root`, or of the embedded corpus of `timelines`.

    `task`: `mixed` (forecasts, in-filling, generation, identity) or `identity` (as published).
    `rule`: whether Basic Motion's centre is in units of the `source` or the `sequence`.
    `fold`: of `root`, leave one programme out: this one is scored, the next one chooses.
    """

    def __init__(
        self,
        root: str | None = None,
        cache: str = "data",
        *,
        seed: NonNegativeInt = 42,
        batch_size: PositiveInt = 16,
        window: PositiveInt = 100,
        overlap: NonNegativeInt = 20,
        num_workers: NonNegativeInt = 0,
        timelines: Mapping[str, NonNegativeInt] = TIMELINES,
        styles: PositiveInt = 48,
        seconds: tuple[PositiveInt, PositiveInt] = (30, 180),
        augment: bool = True,
        task: Literal["mixed", "identity"] = "mixed",
        rule: Literal["source", "sequence"] = "source",
        fold: NonNegativeInt | None = None,
    ):
        super().__init__()
        if task not in ("mixed", "identity"):
            raise InputError(f"data.task={task!r}: expected mixed or identity")
        if rule not in ("source", "sequence"):
            raise InputError(f"data.rule={rule!r}: expected source or sequence")
        if seconds[0] > seconds[1]:
            raise InputError(
                f"data.seconds={list(seconds)}: expected the shortest first, then the longest"
            )
        if not 0 <= overlap < window or window <= HISTORY:
            raise InputError(
                f"data.window={window}, data.overlap={overlap}: expected 0 <= overlap < window "
                f"and a window above {HISTORY}"
            )
        self.root, self.cache = root, Path(cache)
        self.seed, self.batch_size, self.window, self.overlap = seed, batch_size, window, overlap
        self.num_workers, self.styles, self.seconds = num_workers, styles, tuple(seconds)
        self.timelines = dict(timelines)
        unknown = set(self.timelines) - set(SPLITS)
        if unknown:
            raise InputError(f"data.timelines: expected {SPLITS}, got {sorted(unknown)}")
        self.augment, self.task, self.rule, self.fold = augment, task, rule, fold
        if fold is not None and root is None:
            raise InputError(
                f"data.fold={fold}: expected data.root, a folder of edits to leave out"
            )
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
            corpus.make_corpus,
            counts=settings["timelines"],
            styles=self.styles,
            seconds=self.seconds,
        )
        return corpora.build_once(self.cache, "edits", settings, make)

    def _prepared(self) -> tuple[Path, Path, list[Path], str]:
        """The folder of XML, the folder of arrays, the files, their hash."""
        folder = self._source()
        files = sorted(folder.rglob("*.xml"))
        if not files:
            named = f"data.root={folder}" if self.root is not None else folder
            raise InputError(f"{named}: expected FCP7 XML files (*.xml), got none")
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
        self.remarks: list[str] = []
        splits = self._splits(folder, files, index["files"])
        for message in self.remarks:
            print(message)
        self.edits = {split: [] for split in SPLITS}
        for file, stored in index["files"].items():
            self.edits[splits[file]].append(load(Path(file), arrays / stored["arrays"]))
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

    def _splits(self, folder: Path, files: list[Path], readable: dict[str, dict]) -> dict[str, str]:
        manifest = folder / "manifest.json"
        if manifest.is_file() and self.fold is None:
            try:
                listed = read_json(manifest, "the splits of edits")["files"]
                found = {str(folder / name): name.split("/")[0] for name in listed}
            except (LookupError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{manifest}: expected {{'files': {{'train/a.xml': ...}}}} ({error}): restore "
                    "it, or remove it to have edits split by programme"
                ) from None
            missing = [str(f) for f in files if found.get(str(f)) not in SPLITS]
            if missing:
                raise InputError(f"{manifest}: does not put {missing[0]} into one of {SPLITS}")
            lost = sorted(set(found) - set(map(str, files)))
            if lost:
                self.remarks.append(
                    f"WARNING {len(lost)} of {len(found)} edits that {manifest} lists are not "
                    f"there ({lost[0]}): restore them, or take them out of it"
                )
            return found
        prints = {
            Path(file).relative_to(folder).as_posix(): Print(**stored["print"])
            for file, stored in readable.items()
        }
        if self.fold is None:
            places, self.remarks = split_by_programme(prints)
        else:
            places, self.remarks = leave_one_out(prints, self.fold)
        return {str(folder / name): split for name, split in places.items()}

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
        return training_loader(
            self._windows(), self.batch_size, seed=self.seed, trainer=self.trainer,
            num_workers=self.num_workers,
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
        notes = list(self.remarks)
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
            "cuts_unseen": 1 - self.index["seen"] / max(1, self.index["cuts"]),
            "notes": notes,
        }


def _prepare_into(files: list[Path], rule: str, out: Path) -> None:
    prepare(files, out, rule)
