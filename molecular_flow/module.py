"""The Lightning module: learns a map between a molecule's two temperatures from both sides."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import lightning as L
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.shared import memory
from experiments.shared.errors import InputError
from experiments.shared.kinds import ArgumentsOf, PositiveFloat, Weights
from experiments.shared.losses import check_names, weighted_sum
from molecular_flow import baselines, figures, losses, rungs
from molecular_flow.bill import Bill
from molecular_flow.coordinates import torsions
from molecular_flow.flow import families
from molecular_flow.flow.transport import TransportFlow
from molecular_flow.metrics import TransportMetrics
from molecular_flow.objective import TERMS, objective
from molecular_flow.physics import molecule
from molecular_flow.physics.energy import TorchEnergy
from molecular_flow.scoring import score
from molecular_flow.works import Works

WATCHED = tuple(f"train/{name}" for name in ("total", "excess", "forward_energy", "inverse_energy"))
PATIENCE = 50  # epochs above the identity's excess before a run is given up


class MolecularFlow(L.LightningModule):
    """Transport between `source` and `target` kelvin, trained on both directions' losses.

    `estimator`: `path` leaves out the part of the gradient that has mean zero but noise (see
    `losses.with_path_gradient`); `plain` is the published gradient. Their expectations are equal.
    `most_pull`: how many times as hard as thermal forces one frame may pull at most.
    `family`: `realnvp` and `normflows` are the field's, to compare with; of `flow` they take sizes.
    `flow`: options of `TransportFlow`. `pairs`: what the data trains on, `ends` alone or `all`
    pairs of temperatures between; such a map may be put to use between any. Logged works and
    losses are in nats, energies in kT.
    """

    precisions = ("32-true",)  # energies and determinants want all digits

    def __init__(
        self,
        *,
        source: PositiveFloat,
        target: PositiveFloat,
        loss_weights: Weights,
        pairs: Literal["ends", "all"] = "ends",
        sequence: str | None = "AA",
        pdb: str | None = None,
        force_field: Sequence[str] = molecule.FORCE_FIELD,
        system: str | None = None,
        init: Literal["stretch", "identity", "basins"] = "stretch",
        estimator: Literal["path", "plain"] = "path",
        most_pull: PositiveFloat | None = None,
        family: families.Family = "splines",
        flow: Annotated[dict, ArgumentsOf(TransportFlow)] | None = None,
        optimizer: Callable | None = None,
        schedule: Callable | None = None,
    ):
        super().__init__()
        memory.hold()
        # a checkpoint is loaded from other folders, too
        pdb, system = (file and str(Path(file).absolute()) for file in (pdb, system))
        self.save_hyperparameters(ignore=["optimizer", "schedule"], logger=False)
        check_names(loss_weights, TERMS)
        if estimator not in ("path", "plain"):
            raise InputError(f"expected model.estimator path or plain, got {estimator!r}")
        self.pair, self.loss_weights, self.estimator = (source, target), loss_weights, estimator
        self.molecule = molecule.build(
            None if pdb else sequence, pdb, tuple(force_field), system=system
        )
        self.flow = families.make(self.molecule, family, init, flow or {}).float()
        self.energy = TorchEnergy(self.molecule).float()
        rest = torch.tensor(self.molecule.positions, dtype=torch.float32)[None]
        self.works = Works(self.flow, self.energy, self.pair, self.energy(rest).item(), most_pull)
        self.betas = self.works.betas
        self.optimizer, self.schedule = optimizer, schedule
        self.baselines: dict[str, dict[str, float]] = {}
        self.history: dict[str, list[float]] = {}
        self._example: dict[str, Tensor] = {}
        self._latest: dict[str, Tensor] = {}
        self._above, self.bill = 0, Bill()
        self.between: tuple[list[float], Tensor, Tensor] | None = None
        self._maps: dict[str, baselines.Map] = {}
        coordinates = self.flow.coordinates
        self._plane = torsions.ramachandran(coordinates, self.molecule)
        places = (self._plane.phi, self._plane.psi) if self._plane else None
        self.scores = TransportMetrics(coordinates.stiff, coordinates.atoms - 1, places)

    # --- training ------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        frames = self.trainer.datamodule.statistics()
        theirs = self.trainer.datamodule.molecule
        if theirs.fingerprint != self.molecule.fingerprint:
            raise InputError(
                f"expected data of {self.molecule.label}, got {theirs.label}: give model and data "
                "the same sequence, pdb and force_field"
            )
        if stage == "fit":
            self.flow.fit(frames)
        self._maps = baselines.make(
            self.flow.coordinates,
            {t: frames[t].to(self.device) for t in (min(frames), max(frames))},
            self.flow.centre,
        )

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        ahead, back, terms = objective(self.works, batch, self.estimator, self.loss_weights)
        self.bill.training += 2 * len(batch["source"])
        total, shares = weighted_sum(terms, self.loss_weights)
        values = {f"train/{name}": value.detach() for name, value in terms.items()}
        values |= {f"share/{name}": value for name, value in shares.items()}
        values |= {
            "train/total": total.detach(),
            "train/excess": losses.excess(ahead.work, back.work).detach(),
            "train/capped_share": (ahead.capped.mean() + back.capped.mean()) / 2,
        }
        for way, name in ((ahead, "forward"), (back, "inverse")):
            for part in ("work", "energy", "log_det"):
                values[f"train/{name}_{part}"] = getattr(way, part).detach().mean()
        self._latest = values
        # Logging costs as much as a map: in between, only what a person watches.
        due = (self.global_step + 1) % self.trainer.log_every_n_steps == 0
        shown = values if due else {name: values[name] for name in WATCHED}
        self.log_dict(shown, batch_size=len(batch["source"]))
        return total

    def on_train_epoch_end(self) -> None:
        if not self._latest:
            return  # resumed from a checkpoint that was written between the last batch and here
        epoch = self.current_epoch + 1
        if epoch <= 100 or epoch % 10 == 0:
            seen = {name: self._latest[f"train/{name}"].item() for name in figures.PANELS}
            for name, value in {"epoch": float(epoch), **seen}.items():
                self.history.setdefault(f"train/{name}", []).append(value)
        self._give_up_if_lost(self._latest["train/excess"].item())

    def _give_up_if_lost(self, excess: float) -> None:
        """Stop a run that stays worse than doing nothing.

        Raises:
            InputError: with what to try.
        """
        identity = self.baselines.get("identity", {}).get("excess", math.inf)
        self._above = self._above + 1 if excess > identity + 1 else 0
        if self._above >= PATIENCE:
            raise InputError(
                f"the loss has been above the identity's for {PATIENCE} epochs (excess "
                f"{excess:.3g} nats, doing nothing {identity:.3g}): lower model.optimizer.lr, set "
                "trainer.gradient_clip_val, or take more frames"
            )

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
        found = score(self.works, self.scores, self._learned, batch)
        if batch_idx == 0:
            self._example = {"source": batch["source"], "target": batch["target"],
                             "energy": batch["target_energy"], **found}  # fmt: skip
        if not self.baselines or self._baseline_scores:
            self._score_baselines(batch)

    def on_validation_epoch_start(self) -> None:
        self._baseline_scores: dict[str, TransportMetrics] = {}

    on_test_epoch_start = on_validation_epoch_start

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        score(self.works, self.scores, self._learned, batch)
        self._score_baselines(batch)

    def on_validation_epoch_end(self) -> None:
        values = self._finish("val")
        if not self.trainer.sanity_checking:
            kept = {
                "epoch": self.current_epoch + 1,
                **{k: values[k] for k in ("excess", "acceptance")},
            }
            for name, value in kept.items():
                self.history.setdefault(f"val/{name}", []).append(float(value))
        elif self.trainer.sanity_checking:
            self.baselines = {}  # of a part of the frames only

    def on_test_epoch_end(self) -> None:
        self._finish("test")
        self._between()

    def _between(self) -> None:
        """Acceptance between all rungs of a ladder, with the map and without."""
        frames = self.trainer.datamodule.held_out("test")
        if len(frames) > 2:
            self.between, values = rungs.between(self.works, frames, self.device)
            self.log_dict({f"test/{name}": value for name, value in values.items()}, batch_size=1)

    def _learned(self, z: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        return self.flow(z, *self.pair, inverse=inverse)

    def _score_baselines(self, batch: dict[str, Tensor]) -> None:
        for name, move in self._maps.items():
            if name not in self._baseline_scores:
                fresh = self.scores.clone().to(self.device)
                fresh.reset()  # the clone brought what the flow has collected
                self._baseline_scores[name] = fresh
            score(self.works, self._baseline_scores[name], move, batch)

    def _finish(self, split: str) -> dict[str, float]:
        reference = self.trainer.datamodule.free_energy
        values = self._with_error(self.scores.compute(), reference)
        self.scores.reset()
        self.log_dict(
            {f"{split}/{name}": value for name, value in values.items()},
            batch_size=1,
            rank_zero_only=False,
        )
        for name, scores in self._baseline_scores.items():
            self.baselines[name] = self._with_error(scores.compute(), reference)
        self._baseline_scores = {}
        return values

    @staticmethod
    def _with_error(values: dict[str, float], reference: float) -> dict[str, float]:
        """The metrics, with the Bennett free energy's distance from the ladder's MBAR, in kT."""
        return {**values, "free_energy_error": abs(values["free_energy"] - reference)}

    def figures(self) -> dict[str, Figure]:
        """Loss panels, acceptance, energies and torsions of the last validation's first batch."""
        low, high = self.pair
        pair = f"{low:g}_{high:g}"
        data = self.trainer.datamodule
        panels = figures.loss_panels(
            self.history, data.floor(self.betas), data.free_energy, self.pair
        )
        found = {f"loss_curves_{pair}": panels}
        found[f"acceptance_{pair}"] = figures.acceptance_curve(self.history, self.baselines)
        if self.between:
            found["ladder"] = figures.between_rungs(*self.between)
        if self._example:
            found[f"energies_{pair}"] = figures.energy_histograms(self._example, self.pair)
            angles = {
                name: self._example[name][:, self.flow.stiff :].cpu()
                for name in ("source", "moved", "target")
            }
            named = torsions.names(self.flow.coordinates, self.molecule)
            found[f"torsions_{pair}"] = figures.torsion_marginals(angles, named)
            if self._plane:
                found[f"ramachandran_{pair}"] = figures.ramachandran(angles, self._plane, self.pair)
        return found

    # --- checkpoints ---------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        self.bill.start(self.trainer.datamodule.evaluations)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["bill"] = self.bill.total()
        checkpoint["molecule"] = self.molecule.fingerprint
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        if checkpoint.get("molecule") != self.molecule.fingerprint:
            raise InputError(
                f"expected a checkpoint of this {self.molecule.label} and force field, got another "
                "molecule's: give the pdb and force_field that it was trained with"
            )
        self.history = checkpoint.get("history", {})
        self.bill = Bill(**checkpoint.get("bill", {}))
