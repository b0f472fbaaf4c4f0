"""The data module: frames at two temperatures as internal coordinates, split by ladder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torchdata.stateful_dataloader import StatefulDataLoader

from experiments.shared.corpora import content_hash
from experiments.shared.errors import InputError
from experiments.shared.kinds import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from experiments.shared.loaders import training_loader
from experiments.shared.sampling import EpochSampler
from molecular_flow.coordinates.internal import InternalCoordinates
from molecular_flow.frames import Frames, cuts, table
from molecular_flow.fresh import ENDS, FreshFrames
from molecular_flow.metrics import multistate
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics import series
from molecular_flow.physics.energy import TorchEnergy, beta
from molecular_flow.physics.trajectory import Trajectory, read
from molecular_flow.simulate import Plan, embedded


class MolecularData(L.LightningDataModule):
    """Frames of a molecule at `source` and `target` kelvin.

    `pairs`: training batches are of these two (`ends`), or each of a pair drawn from `all`
    temperatures of the file between and with them: for a map that serves a whole ladder.
    `root`: a trajectory file (.npz of `simulate`, or .pt/.npy of a table), or a folder with one, or
    with files as run_300K.dcd (see `series`); None simulates `ladders` independent ladders over
    `temperatures`, once, under `cache`. Ladders are split 6 : 1 : 1 into training, validation and
    test; a file with fewer than three ladders is split by time, which is weaker and said so.
    `fresh`, {blocks, steps}: training batches come from ladders that go on from the recorded
    training frames (see `FreshFrames`).
    """

    def __init__(
        self,
        *,
        source: PositiveFloat = 300.0,
        target: PositiveFloat = 450.0,
        pairs: Literal["ends", "all"] = "ends",
        root: str | None = None,
        cache: str = "data",
        seed: NonNegativeInt = 42,
        sequence: str | None = "AA",
        pdb: str | None = None,
        force_field: Sequence[str] = molecules.FORCE_FIELD,
        system: str | None = None,
        temperatures: Sequence[PositiveFloat] = (300.0, 450.0, 670.0, 1000.0),
        ladders: PositiveInt = 96,
        frames: PositiveInt = 800,
        spacing_ps: PositiveFloat = 0.1,
        equilibrate_ps: NonNegativeFloat = 6.0,
        batch_size: PositiveInt = 64,
        batches_per_epoch: PositiveInt = 1,
        eval_frames: PositiveInt = 4096,
        eval_batch: PositiveInt = 1024,
        fresh: dict[str, PositiveInt] | None = None,
    ):
        super().__init__()
        if not 0 < source < target:
            raise InputError(
                "expected data.source below data.target, in kelvin (the map's inverse carries from "
                f"hot to cold), got {source} and {target}"
            )
        if min(batch_size, batches_per_epoch, eval_frames, eval_batch) < 1:
            raise InputError("expected batch_size, batches_per_epoch, eval_frames, eval_batch >= 1")
        if fresh is not None and (set(fresh) != {"blocks", "steps"} or min(fresh.values()) < 1):
            raise InputError(f"expected data.fresh with blocks >= 1 and steps >= 1, got {fresh}")
        if pairs not in ("ends", "all") or (fresh and pairs == "all"):
            raise InputError(
                f"expected data.pairs ends, or all without data.fresh, got {pairs!r} and {fresh}"
            )
        self.pair, self.pairs = (float(source), float(target)), pairs
        self.root, self.cache, self.seed = root, Path(cache), seed
        self.batch_size, self.batches_per_epoch = batch_size, batches_per_epoch
        self.eval_frames, self.eval_batch = eval_frames, eval_batch
        self.plan = Plan(
            temperatures=tuple(temperatures),
            ladders=ladders,
            frames=frames,
            spacing_ps=spacing_ps,
            equilibrate_ps=equilibrate_ps,
            seed=seed,
            sequence=sequence if pdb is None else None,
            pdb=pdb,
            force_field=tuple(force_field),
            system=system,
        )
        self.notes: list[str] = []
        self._tables: dict[str, dict[str, Tensor]] = {}
        self.fresh = fresh
        self._fresh: FreshFrames | None = None
        self._recorded: Tensor | None = None
        self._stopped_at: dict | None = None

    def _file(self) -> Path:
        if self.root is None:
            for temperature in self.pair:
                if temperature not in self.plan.temperatures:
                    raise InputError(
                        f"expected a temperature of {list(self.plan.temperatures)} K, got "
                        f"{temperature}: add it to data.temperatures"
                    )
            return embedded(self.plan, self.cache)
        path = Path(self.root)
        if path.is_dir():
            files = sorted(f for f in path.iterdir() if f.suffix in (".npz", ".npy", ".pt"))
            if not files and series.files(path):
                return path
            if len(files) != 1:
                raise InputError(
                    f"data.root={path}: expected one trajectory (.npz, .npy, .pt), got "
                    f"{len(files)}, and none like run_300K.dcd: name the file itself"
                )
            return files[0]
        return path

    def prepare_data(self) -> None:
        self._file()

    def setup(self, stage: str | None = None) -> None:
        if self._tables:
            return
        self.molecule = self.plan.molecule()
        self.file = self._file()
        read_it = series.read if self.file.is_dir() else read
        try:
            trajectory = read_it(self.file, self.molecule)
        except InputError as error:
            raise InputError(f"{'data.root: ' if self.root else ''}{error}") from error
        self.notes += [*self.molecule.notes, *trajectory.notes]
        if trajectory.fingerprint not in (None, self.molecule.fingerprint):
            self.notes.append("WARNING: the trajectory was made with another build of the molecule")
        low, high = (trajectory.temperatures[trajectory.row(t)] for t in self.pair)
        self.rungs = {float(low): ENDS[0]}
        if self.pairs == "all":
            inner = sorted(t for t in trajectory.temperatures if low < t < high)
            self.rungs |= {float(t): f"{t:g}K" for t in inner}
        self.rungs[float(high)] = ENDS[1]
        rows = [trajectory.row(temperature) for temperature in self.rungs]
        splits = self._split(trajectory)
        order = np.argsort(trajectory.temperatures)
        free = multistate(
            [trajectory.energies[n].reshape(-1)[::5] for n in order],
            [beta(trajectory.temperatures[n]) for n in order],
        )
        ranks = [order.tolist().index(row) for row in rows]
        self.free_energy = float(free[ranks[-1]] - free[ranks[0]])
        self.coordinates = InternalCoordinates(self.molecule).float()
        for split, (ladders, times) in splits.items():
            training = split == "train"
            self._tables[split] = table(
                self.coordinates,
                TorchEnergy(self.molecule).float() if training and not self.fresh else None,
                trajectory,
                dict(zip(self.rungs.values(), rows, strict=True)),
                (ladders, times),
                None if training else self.eval_frames,
            )
        if self.fresh:
            ladders, times = splits["train"]
            recorded = trajectory.positions[rows][:, ladders, times]
            self._recorded = torch.from_numpy(recorded.reshape(2, -1, *recorded.shape[3:]))

    def _split(self, trajectory: Trajectory) -> dict[str, tuple[slice, slice]]:
        """Ladders and times of each split."""
        _, ladders, frames = trajectory.positions.shape[:3]
        everything = slice(None)
        if ladders >= 3:
            return {split: (cut, everything) for split, cut in cuts(ladders).items()}
        if frames < 8:
            raise InputError(
                f"{self.file}: expected three ladders or eight frames, got {ladders} and {frames}"
            )
        self.notes.append(
            "WARNING: fewer than three ladders: split by time, so the held-out frames are not "
            "independent of the training frames"
        )
        return {split: (everything, cut) for split, cut in cuts(frames).items()}

    def statistics(self) -> dict[float, Tensor]:
        """Training coordinates (M, D) by temperature in kelvin, for `TransportFlow.fit`."""
        return {t: self._tables["train"][name] for t, name in self.rungs.items()}

    def held_out(self, split: str) -> dict[float, dict[str, Tensor]]:
        """The frames of `val` or `test` by temperature: z (M, D), labels (M, N), energy (M,)."""
        rows = self._tables[split]
        parts = {"z": "", "labels": "_labels", "energy": "_energy"}
        return {
            temperature: {key: rows[name + part] for key, part in parts.items()}
            for temperature, name in self.rungs.items()
        }

    def floor(self, betas: tuple[float, float]) -> tuple[float, float]:
        """The least that any map's forward and inverse loss can be, in nats.

        They are beta_s <U_s> + F and beta_t <U_t> - F of the training frames, with the free-energy
        difference F of the ladder; their sum does not depend on F.
        """
        table = self._tables["train"]
        source, target = (
            b * table[f"{name}_energy"].double().mean().item()
            for b, name in zip(betas, ENDS, strict=True)
        )
        return source + self.free_energy, target - self.free_energy

    def _held_out(self, split: str) -> StatefulDataLoader:
        trainer = self.trainer
        data = Frames(self._tables[split], self.eval_batch, None, self.seed, self.rungs)
        sampler = EpochSampler(
            len(data),
            shuffle=False,
            seed=self.seed,
            num_replicas=trainer.world_size if trainer else 1,
            rank=trainer.global_rank if trainer else 0,
        )
        return StatefulDataLoader(data, batch_size=None, sampler=sampler)

    def _simulated(self, draws: int) -> FreshFrames:
        if self._fresh is None:
            trainer = self.trainer
            self._fresh = FreshFrames(
                self.molecule,
                self.pair,
                self._recorded,
                batch=self.batch_size,
                draws=draws,
                step_ps=self.plan.step_ps,
                seed=(self.seed, trainer.global_rank if trainer else 0),
                device=trainer.strategy.root_device if trainer else "cpu",
                **self.fresh,
            )
            if self._stopped_at:
                self._fresh.restore(self._stopped_at)
        return self._fresh

    def state_dict(self) -> dict:
        """The running simulation, if there is one; into every checkpoint."""
        return {"fresh": self._fresh.state()} if self._fresh else {}

    def load_state_dict(self, state_dict: dict) -> None:
        """Keeps the simulation's state until training asks for frames: a test needs none."""
        self._stopped_at = state_dict.get("fresh")

    def train_dataloader(self) -> StatefulDataLoader:
        draws = self.batches_per_epoch * (self.trainer.world_size if self.trainer else 1)
        if self.fresh:
            data = self._simulated(draws)
        else:
            data = Frames(self._tables["train"], self.batch_size, draws, self.seed, self.rungs)
        # fresh frames lie on the device already, where nothing can be pinned
        return training_loader(data, None, seed=self.seed, trainer=self.trainer, pin_memory=False)

    def val_dataloader(self) -> StatefulDataLoader:
        return self._held_out("val")

    def test_dataloader(self) -> StatefulDataLoader:
        return self._held_out("test")

    @property
    def evaluations(self) -> int | None:
        """Energies that the data took; None where nobody counted: own files, fresh frames."""
        return None if self.root or self.fresh else self.plan.evaluations()

    def describe(self) -> dict:
        """What the run was trained on."""
        return {
            "source": "embedded" if self.root is None else str(self.root),
            "sizes": {split: len(table["source"]) for split, table in self._tables.items()},
            "hash": content_hash(series.contents(self.file)),
            "skipped": 0,
            "molecule": self.molecule.label,
            "temperatures_kelvin": list(self.rungs),
            "free_energy_mbar": self.free_energy,
            "fresh": self.fresh,
            "notes": self.notes,
        }
