"""The data module: frames of many peptides at two temperatures, each batch of one of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from experiments.shared.corpora import content_hash
from experiments.shared.errors import InputError
from experiments.shared.kinds import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from experiments.shared.loaders import training_loader
from experiments.shared.sampling import EpochSampler
from molecular_flow.coordinates.internal import InternalCoordinates
from molecular_flow.frames import Frames, cuts, table
from molecular_flow.fresh import ENDS
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics.energy import TorchEnergy
from molecular_flow.physics.trajectory import read
from molecular_flow.simulate import Plan, embedded
from molecular_flow.transfer.layout import backbone_root

Split = Literal["train", "val", "test"]
Tables = dict[str, dict[str, Tensor]]  # by sequence


class ManyFrames(Dataset):
    """Batches of `frames.Frames`, one sequence's each, by turns; with `sequence`, its number.

    `numbers`: those of the sequences that have frames here.
    """

    def __init__(self, parts: Sequence[Frames], numbers: Sequence[int]):
        self.batches = [
            (part, number, index)
            for part, number in zip(parts, numbers, strict=True)
            for index in range(len(part))
        ]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        epoch, n = key
        part, number, index = self.batches[n]
        # Sequences draw apart from one another, although each counts its batches from 0.
        batch = part[epoch, index if part.draws is None else n]
        return {**batch, "sequence": torch.tensor(number)}


class TransferData(L.LightningDataModule):
    """Frames of zwitterionic peptides at `source` and `target` kelvin, simulated once in `cache`.

    `sequences` (one-letter residues) train: an epoch has `batches_each` batches of each. An eighth
    each of their `ladders` is kept for validation, and another one out of the way. `unseen` test,
    with all their ladders; so do `larger`, which may be longer, and are reported apart.
    """

    def __init__(
        self,
        *,
        source: PositiveFloat = 300.0,
        target: PositiveFloat = 450.0,
        cache: str = "data",
        seed: NonNegativeInt = 42,
        sequences: Sequence[str] = ("AG", "GA"),
        unseen: Sequence[str] = ("AA",),
        larger: Sequence[str] = (),
        force_field: Sequence[str] = molecules.FORCE_FIELD,
        ladders: PositiveInt = 24,
        frames: PositiveInt = 40,
        spacing_ps: PositiveFloat = 0.06,
        equilibrate_ps: NonNegativeFloat = 3.0,
        batch_size: PositiveInt = 64,
        batches_each: PositiveInt = 1,
        eval_frames: PositiveInt = 1024,
        eval_batch: PositiveInt = 1024,
    ):
        super().__init__()
        self.sequences, self.unseen, self.larger = list(sequences), list(unseen), list(larger)
        self.every = [*self.sequences, *self.unseen, *self.larger]
        twice = sorted({s for s in self.every if self.every.count(s) > 1})
        if not self.sequences or not self.unseen or twice:
            raise InputError(
                "expected data.sequences and data.unseen, no sequence twice in them or in "
                f"data.larger, got {len(self.sequences)} and {len(self.unseen)}, twice: {twice}"
            )
        if not 0 < source < target:
            raise InputError(
                f"expected data.source below data.target, in kelvin, got {source} and {target}"
            )
        if ladders < 3:
            raise InputError(f"expected data.ladders >= 3 (one to validate), got {ladders}")
        self.pair, self.cache, self.seed = (float(source), float(target)), Path(cache), seed
        self.batch_size, self.batches_each = batch_size, batches_each
        self.eval_frames, self.eval_batch = eval_frames, eval_batch
        self.plans = {
            sequence: Plan(
                temperatures=self.pair,
                ladders=ladders,
                frames=frames,
                spacing_ps=spacing_ps,
                equilibrate_ps=equilibrate_ps,
                seed=seed,
                sequence=sequence,
                force_field=tuple(force_field),
            )
            for sequence in self.every
        }
        self.rungs = dict(zip(self.pair, ENDS, strict=True))
        self.molecules: dict[str, molecules.Molecule] = {}
        self.files: dict[str, Path] = {}
        self._tables: dict[Split, Tables] = {"train": {}, "val": {}, "test": {}}

    def prepare_data(self) -> None:
        if not self.files:  # of this process's own: each says where it lies
            self.files = {s: embedded(plan, self.cache) for s, plan in self.plans.items()}

    def setup(self, stage: str | None = None) -> None:
        if self.molecules:
            return
        self.prepare_data()
        for sequence, plan in self.plans.items():
            self.molecules[sequence] = molecule = plan.molecule()
            trajectory = read(self.files[sequence], molecule)
            rows = {name: trajectory.row(kelvin) for kelvin, name in self.rungs.items()}
            coordinates = InternalCoordinates(molecule, backbone_root(molecule)).float()
            everything = slice(None)
            splits = cuts(plan.ladders) if sequence in self.sequences else {"test": everything}
            for split, ladders in splits.items():
                training = split == "train"
                self._tables[split][sequence] = table(
                    coordinates,
                    TorchEnergy(molecule).float() if training else None,
                    trajectory,
                    rows,
                    (ladders, everything),
                    None if training else self.eval_frames,
                )

    def statistics(self, sequence: str) -> dict[float, Tensor]:
        """Coordinates (M, D) by temperature: of training frames, or all of an unseen sequence."""
        found = self._tables["train"].get(sequence) or self._tables["test"][sequence]
        return {kelvin: found[name] for kelvin, name in self.rungs.items()}

    def train_dataloader(self) -> StatefulDataLoader:
        draws = self.batches_each * (self.trainer.world_size if self.trainer else 1)
        tables = self._tables["train"]
        parts = [Frames(t, self.batch_size, draws, self.seed, self.rungs) for t in tables.values()]
        data = ManyFrames(parts, [self.every.index(sequence) for sequence in tables])
        return training_loader(data, None, seed=self.seed, trainer=self.trainer)

    def _held_out(self, split: Split, sequences: Sequence[str]) -> StatefulDataLoader:
        """All of it on every process: a sequence's figures are from all of its frames."""
        parts = [
            Frames(self._tables[split][s], self.eval_batch, None, self.seed, self.rungs)
            for s in sequences
        ]
        data = ManyFrames(parts, [self.every.index(sequence) for sequence in sequences])
        sampler = EpochSampler(len(data), shuffle=False, seed=self.seed)
        return StatefulDataLoader(data, batch_size=None, sampler=sampler)

    def val_dataloader(self) -> StatefulDataLoader:
        return self._held_out("val", self.sequences)

    def test_dataloader(self) -> StatefulDataLoader:
        return self._held_out("test", [*self.unseen, *self.larger])

    def describe(self) -> dict:
        """What the run was trained on."""
        return {
            "source": "embedded",
            "sizes": {
                split: sum(len(part[ENDS[0]]) for part in tables.values())
                for split, tables in self._tables.items()
            },
            "hash": content_hash(self.files.values()),
            "skipped": 0,
            "sequences": self.sequences,
            "unseen": self.unseen,
            "larger": self.larger,
            "temperatures_kelvin": list(self.pair),
            "notes": [],
        }
