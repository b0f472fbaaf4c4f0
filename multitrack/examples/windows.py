"""Edits as examples: windows of 100 frames to train on, whole edits to be scored."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from multitrack import baselines
from multitrack.answer.decode import AROUND
from multitrack.edit.shots import cut_times
from multitrack.edit.state import states
from multitrack.examples import tasks
from multitrack.examples.augment import augment
from multitrack.examples.edits import Edit, ruled
from multitrack.examples.moments import VARIANTS, WIDTH, around, drawn
from multitrack.examples.tasks import Task

HISTORY = 20  # frames of a window that only lead up to the scored ones


class Windows(Dataset):
    """Training examples: `[(epoch, index)]` -> the dicts of `tasks.example` and `moments.drawn`."""

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
        if self.augmented and rng.random() < 0.3:
            edit = edit.through_noise
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
            ago = None if hearing is None else hearing.ago
            known = states(values, ago, whole=first == 0)
        hidden = None
        if task.kind == "infill":
            hidden = tasks.blocks(rng, self.window, values.shape[1])
        made = tasks.example(known, values, hearing, task, base, self.window, hidden)
        if self.task != "identity":
            source = self.edits[number]
            variant = int(rng.integers(VARIANTS)) if self.augmented else 0
            moments = source.variants[variant] if variant else source.moments
            horizon = 10 if rng.random() < 0.4 else int(rng.integers(1, 31))
            made |= drawn(moments, rng, horizon)
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
    reference (T, K, 9) and rules (T, K, 2) of `rows.row` (0 where the corpus does not tell);
    of forecasts around (T, O, F) of `moments`, ahead (O,): whether that is to be told, and cut
    (T, 3): the cuts, those of the rule, and as many at random, where there are any.
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
        edit = edit.through_noise if task.noisy else edit
        batch = edit_batch(edit, task, self.window)
        best = np.zeros_like(edit.values)
        if edit.rules and task.kind == "forecast":
            best = baselines.reference(edit.values, edit.rules, task.horizon, task.driven)
        return {
            **batch,
            **told_cuts(edit, task),
            "sizes": torch.from_numpy(edit.sizes),
            "canvas": torch.tensor(edit.canvas, dtype=torch.float32),
            "reference": torch.from_numpy(best),
            "rules": torch.from_numpy(ruled(edit)),
            "task": torch.tensor(number),
            "heldout": torch.tensor(int(heldout)),
        }


def told_cuts(edit: Edit, task: Task) -> dict[str, Tensor]:
    """`around`, `ahead` and `cut` of WholeEdits; empty where no cut can be told.

    With signals only of edits in which two people speak: the rule has something to go by there.
    """
    times = cut_times(edit.shown)
    if task.kind != "forecast" or not len(times) or (task.driven and not edit.talks):
        nothing = {"around": torch.zeros(0, len(AROUND), WIDTH), "cut": torch.zeros(0, 3)}
        return {**nothing, "ahead": torch.zeros(len(AROUND))}
    moments = edit.moments if task.driven else edit.alone
    cut = np.zeros((len(edit.shown), 3), bool)
    cut[times, 0] = True
    if task.driven:
        cut[baselines.rule(moments.heard.holder), 1] = True
    rng = np.random.default_rng((len(times), len(cut)))
    cut[rng.choice(len(cut), len(times), replace=False), 2] = True
    return {
        "around": torch.from_numpy(around(moments, task.horizon, AROUND)),
        "ahead": torch.tensor([float(offset > -task.horizon) for offset in AROUND]),
        "cut": torch.from_numpy(cut),
    }


def only(batch: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch of one edit is the edit."""
    return batch[0]
