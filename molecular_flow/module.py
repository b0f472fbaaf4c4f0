"""The Lightning module: learns a map between a molecule's two temperatures from both sides."""

import math
from collections.abc import Callable

import lightning as L
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.shared.errors import InputError
from experiments.shared.losses import check_names, weighted_sum
from molecular_flow import baselines, figures, losses, molecule
from molecular_flow.energy import TorchEnergy, beta, capped
from molecular_flow.flow import TransportFlow
from molecular_flow.metrics import TransportMetrics

TERMS = ("forward", "inverse", "variance")
CAP = 1000.0  # kT above the minimum, where the energy starts to grow only logarithmically
PATIENCE = 50  # epochs above the identity's excess before a run is given up


class MolecularFlow(L.LightningModule):
    """Transport between `source` and `target` kelvin, trained on both directions' losses.

    `estimator`: `path` leaves out the part of the gradient that has mean zero but noise (see
    `losses.with_path_gradient`); `plain` is the published gradient. Their expectations are equal.
    `flow`: options of `TransportFlow`. Logged works and losses are in nats, energies in kT.
    """

    def __init__(
        self,
        *,
        source: float,
        target: float,
        loss_weights: dict[str, float],
        sequence: str | None = "AA",
        pdb: str | None = None,
        force_field: list[str] | None = None,
        init: str = "stretch",
        estimator: str = "path",
        flow: dict | None = None,
        optimizer: Callable | None = None,
        schedule: Callable | None = None,
    ):
        super().__init__()
        self.save_hyperparameters(ignore=["optimizer", "schedule"], logger=False)
        check_names(loss_weights, TERMS)
        if estimator not in ("path", "plain"):
            raise InputError(f"expected model.estimator path or plain, got {estimator!r}")
        self.pair, self.weights, self.estimator = (source, target), loss_weights, estimator
        self.betas = (beta(source), beta(target))
        self.molecule = molecule.build(
            sequence if pdb is None else None, pdb, tuple(force_field or molecule.FORCE_FIELD)
        )
        self.flow = TransportFlow(self.molecule, init=init, **(flow or {})).float()
        self.energy = TorchEnergy(self.molecule).float()
        rest = torch.tensor(self.molecule.positions, dtype=torch.float32)[None]
        self.lowest = self.energy(rest).item()
        self.optimizer, self.schedule = optimizer, schedule
        self.baselines: dict[str, dict[str, float]] = {}
        self.history: dict[str, list[float]] = {}
        self._example: dict[str, Tensor] = {}
        self._above = 0
        self._plane = self._ramachandran()
        self._maps: dict[str, baselines.Map] = {}
        coordinates = self.flow.coordinates
        self.scores = TransportMetrics(coordinates.stiff, coordinates.atoms - 1, self._plane)

    def _ramachandran(self) -> tuple[int, int] | None:
        """Places among the torsions of (phi, psi): phi of the second residue, psi of the first."""
        coordinates = self.flow.coordinates
        atoms = coordinates.dihedral_atoms[coordinates.free].tolist()
        names = [
            [(self.molecule.atoms[a].residue, self.molecule.atoms[a].name) for a in quad]
            for quad in atoms
        ]
        phi = [(0, "C"), (1, "N"), (1, "CA"), (1, "C")]
        psi = [(0, "N"), (0, "CA"), (0, "C"), (1, "N")]

        def place(wanted):
            found = [k for k, quad in enumerate(names) if quad in (wanted, wanted[::-1])]
            return found[0] if found else None

        found = place(phi), place(psi)
        return None if None in found else found

    # --- physics -------------------------------------------------------------------------------

    def reduced(self, z: Tensor, end: int) -> tuple[Tensor, Tensor]:
        """Beta U - log |dx/dz| (B,) of coordinates at temperature `end` (0 or 1), and U's cap."""
        u = self.energy(self.flow.coordinates.decode(z))
        energy, over = capped(self.betas[end] * u, self.betas[end] * self.lowest + CAP)
        return energy - self.flow.coordinates.log_volume(z), over

    def direction(self, batch: dict[str, Tensor], backwards: bool) -> dict[str, Tensor]:
        """One direction's work (B,) with its gradient still to be taken, and what it is made of.

        Keys: work, reduced (beta U at the start), energy (beta U at the end), log_det (of
        positions), moved (B, D), capped (B,), all of the batch's frames of that end.
        """
        start, end = (1, 0) if backwards else (0, 1)
        name = ("source", "target")[start]
        z = batch[name]
        moved, log_z = self.flow(z, *self.pair, inverse=backwards)
        volume = self.flow.coordinates.log_volume
        level, over = self.reduced(moved, end)
        before = self.betas[start] * batch[f"{name}_energy"]
        log_det = log_z + volume(moved) - volume(z)
        return {
            "work": level - log_z - before + volume(z),
            "reduced": before,
            "energy": level + volume(moved),
            "log_det": log_det,
            "moved": moved,
            "capped": over.float(),
        }

    def path_direction(self, batch: dict[str, Tensor], backwards: bool) -> dict[str, Tensor]:
        """As `direction`, and `pull` (B, D): the gradient of log q - log p at the moved frames."""
        start, end = (1, 0) if backwards else (0, 1)
        name = ("source", "target")[start]
        z, volume = batch[name], self.flow.coordinates.log_volume
        moved, _ = self.flow(z, *self.pair, inverse=backwards)
        leaf = moved.detach().requires_grad_(True)
        back, log_back = self.flow(leaf, *self.pair, inverse=not backwards)
        level, over = self.reduced(leaf, end)
        before = self.betas[start] * batch[f"{name}_energy"]
        with torch.enable_grad():
            here = z.detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(volume(here).sum(), here)
        known = self.betas[start] * batch[f"{name}_gradient"] - slope  # of beta U - log |dx/dz|
        ratio = level + log_back - (known * back).sum(1)
        (pull,) = torch.autograd.grad(ratio.sum(), leaf)
        level, log_back = level.detach(), log_back.detach()
        return {
            "work": level + log_back - before + volume(z),
            "reduced": before,
            "energy": level + volume(leaf).detach(),
            "log_det": -log_back + volume(leaf).detach() - volume(z),
            "moved": moved,
            "capped": over.float(),
            "pull": pull,
        }

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
            {t: z.to(self.device) for t, z in frames.items()},
            self.flow.centre,
        )

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        path = self.estimator == "path"
        step = self.path_direction if path else self.direction
        ahead, back = step(batch, False), step(batch, True)
        terms = {
            "forward": losses.forward(ahead["work"], ahead["reduced"]),
            "inverse": losses.inverse(back["work"], back["reduced"]),
        }
        if path:
            for name, way in (("forward", ahead), ("inverse", back)):
                terms[name] = losses.with_path_gradient(terms[name], way["moved"], way["pull"])
        if self.weights["variance"] and path:
            plain = self.direction(batch, False), self.direction(batch, True)
            terms["variance"] = losses.variance(plain[0]["work"], plain[1]["work"])
        else:
            terms["variance"] = losses.variance(ahead["work"], back["work"])
        total, shares = weighted_sum(terms, self.weights)
        excess = losses.excess(ahead["work"], back["work"]).detach()
        values = {f"train/{name}": value.detach() for name, value in terms.items()}
        values |= {f"share/{name}": value for name, value in shares.items()}
        values |= {
            "train/total": total.detach(),
            "train/excess": excess,
            "train/forward_work": ahead["work"].detach().mean(),
            "train/inverse_work": back["work"].detach().mean(),
            "train/forward_energy": ahead["energy"].detach().mean(),
            "train/inverse_energy": back["energy"].detach().mean(),
            "train/forward_log_det": ahead["log_det"].detach().mean(),
            "train/inverse_log_det": back["log_det"].detach().mean(),
            "train/capped_share": (ahead["capped"].mean() + back["capped"].mean()) / 2,
        }
        self.log_dict(values, batch_size=len(batch["source"]))
        return total

    def on_train_epoch_end(self) -> None:
        seen = {
            name: float(self.trainer.callback_metrics[f"train/{name}"])
            for name in figures.PANELS
            if f"train/{name}" in self.trainer.callback_metrics
        }
        epoch = self.current_epoch + 1
        if epoch <= 100 or epoch % 10 == 0:
            for name, value in {"epoch": float(epoch), **seen}.items():
                self.history.setdefault(f"train/{name}", []).append(value)
        self._give_up_if_lost(seen["excess"])

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

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        found = self._score(self.scores, self._learned, batch)
        if index == 0:
            self._example = {"source": batch["source"], "target": batch["target"],
                             "energy": batch["target_energy"], **found}  # fmt: skip
        if not self.baselines or self._baseline_scores:
            self._score_baselines(batch)

    def on_validation_epoch_start(self) -> None:
        self._baseline_scores: dict[str, TransportMetrics] = {}

    on_test_epoch_start = on_validation_epoch_start

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        self._score(self.scores, self._learned, batch)
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

    def _learned(self, z: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        return self.flow(z, *self.pair, inverse=inverse)

    def _score(self, scores: TransportMetrics, move: baselines.Map, batch) -> dict[str, Tensor]:
        """Give a batch of pairs, moved both ways by `move`, to `scores`."""
        volume, decode = self.flow.coordinates.log_volume, self.flow.coordinates.decode
        works, moved, energies, over = [], [], [], []
        for start, name in enumerate(("source", "target")):
            z = batch[name]
            there, log_det = move(z, start == 1)
            level, cap = self.reduced(there, 1 - start)
            works.append(level - log_det - self.betas[start] * batch[f"{name}_energy"] + volume(z))
            moved.append(there)
            energies.append((level + volume(there)) / self.betas[1 - start])
            over.append(cap.float())
        again, _ = move(moved[0], True)
        error = (decode(again) - decode(batch["source"])).norm(dim=-1).amax(1)
        scores.update(
            forward_work=works[0],
            inverse_work=works[1],
            moved_energy=energies[0],
            energy=batch["target_energy"],
            moved=moved[0],
            target=batch["target"],
            round_trip=error,
            capped=0.5 * (over[0] + over[1]),
        )
        return {"moved": moved[0], "moved_energy": energies[0], "moved_back": moved[1]}

    def _score_baselines(self, batch: dict[str, Tensor]) -> None:
        for name, move in self._maps.items():
            if name not in self._baseline_scores:
                fresh = self.scores.clone().to(self.device)
                fresh.reset()  # the clone brought what the flow has collected
                self._baseline_scores[name] = fresh
            self._score(self._baseline_scores[name], move, batch)

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
        if self._example:
            found[f"energies_{pair}"] = figures.energy_histograms(self._example, self.pair)
            torsions = slice(self.flow.stiff, None)
            angles = {
                name: self._example[name][:, torsions].cpu()
                for name in ("source", "moved", "target")
            }
            found[f"torsions_{pair}"] = figures.torsion_marginals(angles, self.torsion_names())
            if self._plane:
                found[f"ramachandran_{pair}"] = figures.ramachandran(angles, self._plane, self.pair)
        return found

    def torsion_names(self) -> list[str]:
        """A name for each torsion: its four atoms."""
        coordinates = self.flow.coordinates
        atoms = self.molecule.atoms
        quads = coordinates.dihedral_atoms[coordinates.free].tolist()
        return ["-".join(f"{atoms[a].name}{atoms[a].residue + 1}" for a in quad) for quad in quads]

    # --- checkpoints ---------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["molecule"] = self.molecule.fingerprint
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        if checkpoint.get("molecule") != self.molecule.fingerprint:
            raise InputError(
                f"expected a checkpoint of this {self.molecule.label} and force field, got another "
                "molecule's: give the pdb and force_field that it was trained with"
            )
        self.history = checkpoint.get("history", {})
