"""The Lightning module: one map for many peptides, tested on sequences that it has never seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import lightning as L
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.shared import memory
from experiments.shared.errors import InputError
from experiments.shared.kinds import ArgumentsOf, PositiveFloat, Weights
from experiments.shared.losses import check_names, weighted_sum
from molecular_flow import baselines, losses
from molecular_flow.bill import Bill
from molecular_flow.coordinates.internal import InternalCoordinates
from molecular_flow.metrics import TransportMetrics
from molecular_flow.objective import TERMS, Estimator, objective
from molecular_flow.physics import molecule as molecules
from molecular_flow.physics.energy import TorchEnergy
from molecular_flow.scoring import score
from molecular_flow.transfer import figures, fit
from molecular_flow.transfer.flow import SharedFlow, TransferWeights
from molecular_flow.transfer.layout import Layout, backbone_root
from molecular_flow.transfer.summary import summary
from molecular_flow.works import Works

WATCHED = tuple(f"train/{name}" for name in ("total", "excess"))
PLAIN = ("identity", "stretch")


@dataclass(frozen=True)
class Peptide:
    """The map of one peptide, with what `MolecularFlow` has for its molecule; nothing is learned.

    `pair`: kelvin; `bill`: what its own data cost, which is nothing.
    """

    pair: tuple[float, float]
    molecule: molecules.Molecule
    flow: SharedFlow
    energy: TorchEnergy
    works: Works
    bill: Bill = field(default_factory=Bill)
    hparams: dict = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where it moves frames."""
        return self.flow.centre.device


class TransferFlow(L.LightningModule):
    """Transport of peptides between `source` and `target` kelvin, by weights that all share.

    `sequences`: the training sequences, whose residues in their places are what it knows.
    `estimator`, `most_pull`: as for `MolecularFlow`. `flow`: options of `TransferWeights`. Works
    and losses are in nats.
    """

    precisions = ("32-true",)  # energies and determinants want all digits

    def __init__(
        self,
        *,
        source: PositiveFloat,
        target: PositiveFloat,
        loss_weights: Weights,
        sequences: Sequence[str] = ("AG", "GA"),
        force_field: Sequence[str] = molecules.FORCE_FIELD,
        estimator: Estimator = "path",
        most_pull: PositiveFloat | None = None,
        flow: Annotated[dict, ArgumentsOf(TransferWeights)] | None = None,
        optimizer: Callable | None = None,
        schedule: Callable | None = None,
    ):
        super().__init__()
        memory.hold()
        self.save_hyperparameters(ignore=["optimizer", "schedule"], logger=False)
        check_names(loss_weights, TERMS)
        if estimator not in ("path", "plain"):
            raise InputError(f"expected model.estimator path or plain, got {estimator!r}")
        self.pair, self.loss_weights, self.estimator = (source, target), loss_weights, estimator
        self.force_field, self.most_pull = tuple(force_field), most_pull
        self.weights = TransferWeights(_cover(sequences, self.force_field), **(flow or {}))
        self.optimizer, self.schedule = optimizer, schedule
        self.statistics: dict[str, dict] = {}
        self.baselines: dict[str, dict[str, float]] = {}
        self.found: dict[str, dict[str, dict[str, float]]] = {}  # map: sequence: metric
        self._peptides: dict[str, Peptide] = {}
        self._scores: dict[tuple[str, str], TransportMetrics] = {}

    # --- peptides ------------------------------------------------------------------------------

    def peptide(self, molecule: molecules.Molecule) -> Peptide:
        """The map of a molecule, by what has been learned so far.

        Raises:
            InputError: it has a residue that no training sequence has in such a place.
        """
        known = self._peptides.get(molecule.fingerprint)
        if known is None:
            flow = SharedFlow(molecule, self.weights).float()
            if self.statistics:
                fit.place(flow, self.statistics)
            energy = TorchEnergy(molecule).float()
            rest = torch.tensor(molecule.positions, dtype=torch.float32)[None]
            works = Works(flow, energy, self.pair, energy(rest).item(), self.most_pull)
            flow.to(self.device)
            energy.to(self.device)
            known = Peptide(self.pair, molecule, flow, energy, works)
            self._peptides[molecule.fingerprint] = known
        return known

    def _of(self, batch: dict[str, Tensor]) -> tuple[str, Peptide]:
        data = self.trainer.datamodule
        sequence = data.every[int(batch["sequence"])]
        return sequence, self.peptide(data.molecules[sequence])

    # --- training ------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        data = self.trainer.datamodule
        if stage == "fit" and not self.statistics:
            flows = [self.peptide(data.molecules[s]).flow for s in data.sequences]
            frames = [data.statistics(s) for s in data.sequences]
            self.statistics = fit.fit(flows, frames, self.weights)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        _, peptide = self._of(batch)
        with peptide.flow.held():
            ahead, back, terms = objective(peptide.works, batch, self.estimator, self.loss_weights)
        total, shares = weighted_sum(terms, self.loss_weights)
        values = {f"train/{name}": value.detach() for name, value in terms.items()}
        values |= {f"share/{name}": value for name, value in shares.items()}
        values |= {
            "train/total": total.detach(),
            "train/excess": losses.excess(ahead.work, back.work).detach(),
            "train/capped_share": (ahead.capped.mean() + back.capped.mean()) / 2,
        }
        due = (self.global_step + 1) % self.trainer.log_every_n_steps == 0
        shown = values if due else {name: values[name] for name in WATCHED}
        self.log_dict(shown, batch_size=len(batch["source"]))
        return total

    def configure_optimizers(self):
        optimizer = self.optimizer(self.parameters())
        if self.schedule is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.schedule(optimizer), "interval": "epoch"},
        }

    # --- validation ----------------------------------------------------------------------------

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._score(batch, plain=not self.baselines)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._score(batch, plain=True)

    def on_validation_epoch_start(self) -> None:
        self._scores = {}

    on_test_epoch_start = on_validation_epoch_start

    def on_validation_epoch_end(self) -> None:
        self._finish("val")
        if self.trainer.sanity_checking:
            self.baselines = {}  # of a part of the frames only

    def on_test_epoch_end(self) -> None:
        self._finish("test")

    def _score(self, batch: dict[str, Tensor], plain: bool) -> None:
        """Put a batch through its map and, with `plain`, through those that need no training."""
        sequence, peptide = self._of(batch)
        flow = peptide.flow
        maps = {"ours": lambda z, inverse: flow(z, *self.pair, inverse=inverse)}
        if plain:
            frames = self.trainer.datamodule.statistics(sequence)
            frames = {kelvin: z.to(self.device) for kelvin, z in frames.items()}
            others = baselines.make(flow.coordinates, frames, flow.centre)
            maps |= {name: others[name] for name in PLAIN}
        for name, move in maps.items():
            key = name, sequence
            if key not in self._scores:
                scores = TransportMetrics(flow.stiff, flow.coordinates.atoms - 1, None)
                self._scores[key] = scores.to(self.device)
                scores.sync_on_compute = False  # every process has all frames
            score(peptide.works, self._scores[key], move, batch)

    def _finish(self, split: str) -> None:
        """Log figures over all sequences, and each one's acceptance."""
        data = self.trainer.datamodule
        found: dict[str, dict[str, dict[str, float]]] = {}
        for (name, sequence), scores in self._scores.items():
            found.setdefault(name, {})[sequence] = scores.compute()
        self._scores = {}
        groups = {"": data.sequences + data.unseen, "larger_": data.larger}
        values = {name: summary(rows, groups) for name, rows in found.items()}
        ours = values.pop("ours")
        self.log_dict({f"{split}/{name}": value for name, value in ours.items()}, batch_size=1)
        self.baselines |= values
        if split == "test" or not self.trainer.sanity_checking:
            self.found |= found

    def figures(self) -> dict[str, Figure]:
        """Acceptance of each sequence, beside the maps that need no training."""
        return {"acceptance_by_sequence": figures.by_sequence(self.found)} if self.found else {}

    # --- checkpoints ---------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["statistics"] = self.statistics

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.statistics = checkpoint["statistics"]
        for peptide in self._peptides.values():
            fit.place(peptide.flow, self.statistics)


def _cover(sequences: Sequence[str], force_field: tuple[str, ...]) -> list[Layout]:
    """Layouts of as few of the sequences as hold every residue in every place."""

    def places(sequence: str) -> set[tuple[str, str]]:
        inner = {(letter, "middle") for letter in sequence[1:-1]}
        return inner | {(sequence[0], "first"), (sequence[-1], "last")}

    left = set().union(*map(places, sequences))
    found = []
    while left:
        best = max(sequences, key=lambda sequence: len(places(sequence) & left))
        left -= places(best)
        molecule = molecules.build(best, None, force_field)
        coordinates = InternalCoordinates(molecule, backbone_root(molecule))
        found.append(Layout.make(coordinates, molecule))
    return found
