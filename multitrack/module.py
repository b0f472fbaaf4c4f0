"""The LightningModule: training on masked edits, scores beside baselines, pictures."""

import itertools
from collections.abc import Callable, Mapping
from typing import Literal

import lightning.pytorch as pl
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.shared.errors import InputError
from experiments.shared.kinds import Fraction, PositiveFloat, PositiveInt, Weights
from experiments.shared.losses import check_names, weighted_sum
from experiments.shared.schedules import updates
from multitrack import baselines, comparison, figures, intervals, losses, metrics, scoring
from multitrack.answer.decode import stitch
from multitrack.edit.timeline import TRACKS
from multitrack.examples.tasks import Task
from multitrack.networks.additive import AdditiveTransformer
from multitrack.networks.cell import PRESETS, TrackTransformer
from multitrack.networks.hazard import CutHead, habitual

COMPARE_EVERY = 10  # steps between those that also compute the published terms


class Multitrack(pl.LightningModule):
    """An edit continued, in-filled or generated, by the default or the published decoder.

    Args:
        loss_weights: one weight for each of losses.TERMS, and of losses.CUTS but for `published`.
        decoder: `cell` (the default model) or `additive` (the published wiring).
        terms: `robust` (errors in `units`) or `published` (z-scores; with the published recipe).
        preset: sizes of the default model: small, base, large; `sizes` overrides some of them.
        units: persistence's error of each term, by which it is divided.
        dropout: in the encoder.
        optimizer: partial over the parameters.
        schedule: partial over the optimizer; gets `total` steps.
    """

    def __init__(
        self,
        loss_weights: Weights,
        *,
        decoder: Literal["cell", "additive"] = "cell",
        terms: Literal["robust", "published"] = "robust",
        preset: Literal["small", "base", "large"] = "small",
        sizes: dict[str, PositiveInt] | None = None,
        units: Mapping[str, PositiveFloat] = losses.UNITS,
        dropout: Fraction = 0.1,
        optimizer: Callable | None = None,
        schedule: Callable | None = None,
    ):
        super().__init__()
        check_names(loss_weights, losses.TERMS + (losses.CUTS if terms == "robust" else ()))
        if decoder not in ("cell", "additive"):
            raise InputError(f"model.decoder={decoder!r}: expected cell or additive")
        if terms not in ("robust", "published"):
            raise InputError(f"model.terms={terms!r}: expected robust or published")
        if preset not in PRESETS:
            raise InputError(f"model.preset={preset!r}: expected one of {sorted(PRESETS)}")
        self.units = dict(units)
        check_names(self.units, losses.TERMS)
        self.save_hyperparameters(ignore=["optimizer", "schedule"], logger=False)
        self.loss_weights, self.decoder, self.terms = loss_weights, decoder, terms
        self.optimizer, self.schedule = optimizer, schedule
        if decoder == "additive":
            self.network = AdditiveTransformer(dropout=dropout, **(sizes or {}))
        else:
            self.network = TrackTransformer(**{**PRESETS[preset], **(sizes or {})}, dropout=dropout)
        self.hazard = CutHead() if terms == "robust" else None
        # Of the training frames: for the published terms and the constant predictor.
        self.register_buffer("column_mean", torch.zeros(TRACKS, 7))
        self.register_buffer("column_std", torch.ones(TRACKS, 7))
        self.register_buffer("typical", torch.zeros(TRACKS, 9))
        self.baselines: dict[str, dict[str, float]] = {}
        self.scores: dict[tuple[str, bool], metrics.EditScores] = {}
        self.compared: dict[tuple[str, str], list[float]] = {}
        self.shown: dict | None = None
        self.rows: dict[str, np.ndarray] = {}

    def setup(self, stage: str) -> None:
        if stage != "fit":
            return
        data = self.trainer.datamodule
        self.setup_statistics(*data.columns, data.typical)

    def setup_statistics(self, mean: Tensor, std: Tensor, typical: Tensor) -> None:
        """Take over the training frames' columns (K, 7) and constants (K, 9)."""
        self.column_mean.copy_(mean)
        self.column_std.copy_(std)
        self.typical.copy_(typical)
        if self.decoder == "additive":
            self.network.mean.copy_(mean)
            self.network.std.copy_(std)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.network(batch)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        output = self(batch)
        size = len(batch["past"])
        terms = self._terms(output, batch)
        other = (
            comparison.terms(output, batch, self._columns) if batch_idx % COMPARE_EVERY == 0 else {}
        )
        total, shares = weighted_sum(terms, self.loss_weights)
        self.log("train/total", total, batch_size=size)
        for name, value in terms.items():
            self.log(f"train/{name}", value.detach(), batch_size=size)
            self.log(f"share/{name}", shares[name], batch_size=size)
        for name, value in other.items():
            self.log(f"train/published_{name}", value, batch_size=size)
        return total

    def _terms(self, output: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms that are trained on."""
        target, score = batch["target"], batch["score"]
        if self.terms == "published":
            return losses.published(output, target, score, *self._columns)
        terms = losses.robust(output, target, score, self.units, batch["clip_age"])
        if "moments" not in batch:  # an identity to be learnt has no cuts to be told
            return {**terms, **dict.fromkeys(losses.CUTS, output["values"].sum() * 0)}
        told = self.hazard(batch["moments"], 1.0)
        return {**terms, "cut": losses.cut(told, batch["is_cut"], batch["stands_for"])}

    @property
    def _columns(self) -> tuple[Tensor, Tensor]:
        return self.column_mean, self.column_std

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._score(batch, "val", batch_idx)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._score(batch, "test", batch_idx)

    def _score(self, batch: dict[str, Tensor], split: str, number: int) -> None:
        """Sums of one edit, of the model and of every baseline."""
        data = self.trainer.datamodule
        chosen: Task = (data.val_tasks if split == "val" else data.test_tasks)[int(batch["task"])]
        output = self(batch)
        said, sure = stitch(output, batch["keep"])
        kept = {key: batch[key][batch["keep"]] for key in ("past", "velocity", "age", "target")}
        score = batch["score"][batch["keep"]]
        predictions = {
            "model": said,
            "persistence": baselines.persistence(kept),
            "linear": baselines.linear(kept),
            "prior": baselines.prior(kept, self.typical),
            "reference": batch["reference"],
        }
        if self.terms == "published":
            truth = (kept["target"], score)
            mine = comparison.terms(output, batch, self._columns, batch["keep"])
            for name, value in mine.items():
                self.log(f"{split}/published_{name}", value, batch_size=1)
            for key, value in comparison.baselines_terms(predictions, truth, self._columns):
                self.compared.setdefault(key, []).append(value)
        cut_sure = {}
        if self.hazard is not None:
            # While it is validated the head says all that it has to say.
            told = self.hazard(batch["around"], 1.0 if split == "val" else None).sigmoid()
            both = {"model": told, "habits": habitual(batch["around"])}
            cut_sure = {name: each * batch["ahead"] for name, each in both.items()}
        rows = scoring.edit_rows(batch, predictions, sure, cut_sure)
        key = (chosen.name, bool(batch["heldout"]))
        self.scores[key].update(rows[None].to(self.device))
        if number == 0:
            self.shown = {
                "true": kept["target"].cpu().numpy(),
                "model": said.cpu().numpy(),
                "sizes": batch["sizes"].cpu().numpy(),
                "canvas": tuple(int(v) for v in batch["canvas"]),
                "task": chosen.name,
            }

    def on_validation_epoch_start(self) -> None:
        self._begin(self.trainer.datamodule.val_tasks, (False,))

    def on_test_epoch_start(self) -> None:
        self._begin(self.trainer.datamodule.test_tasks, (False, True))

    def _begin(self, tasks: tuple[Task, ...], heldout: tuple[bool, ...]) -> None:
        """Empty scores of everything that any rank may meet: all gather and log the same."""
        self.scores, self.compared = {}, {}
        none = torch.zeros(
            0, len(scoring.PREDICTORS), sum(metrics.LAYOUT.values()), dtype=torch.float64
        )
        for key in itertools.product((task.name for task in tasks), heldout):
            self.scores[key] = metrics.EditScores(scoring.PREDICTORS).to(self.device)
            self.scores[key].update(none.to(self.device))

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val")
        driven = self.scores.get((self.trainer.datamodule.val_tasks[-1].name, False))
        if self.hazard is not None and driven is not None:
            with driven.sync_context():
                self.hazard.heeded.fill_(intervals.head_leads(driven.rows()))

    def on_test_epoch_end(self) -> None:
        self._log_scores("test")
        if self.rows and self.trainer.is_global_zero:
            task, rows = next(iter(self.rows.items()))
            print(
                f"activity by track ({task}):\n{figures.table(rows, scoring.PREDICTORS)}",
                flush=True,
            )

    def _log_scores(self, split: str) -> None:
        """Metrics of the headline task under their plain names, of the others under the task's."""
        self.baselines, self.rows = {}, {}
        data = self.trainer.datamodule
        headline = (data.val_tasks if split == "val" else data.test_tasks)[0].name
        for (task, heldout), scores in self.scores.items():
            prefix = ("" if task == headline else f"{task}/") + ("heldout/" if heldout else "")
            found = scores.compute()
            if not any(np.isfinite(value) for value in found["model"].values()):
                continue  # no such edits, or no batches of them
            self.rows[f"{task}{'/heldout' if heldout else ''}"] = scores.rows()
            mine, others = scoring.named(found, scores.rows(), task, prefix)
            for name, value in mine.items():
                self.log(f"{split}/{name}", value)
            for predictor, values in others.items():
                self.baselines.setdefault(predictor, {}).update(values)
            if split == "test" and task == headline:
                for name, value in intervals.intervals(scores.rows()):
                    self.log(f"test/{prefix}{name}", value)
            for name, value in intervals.cut_leads(scores.rows()) if split == "test" else ():
                self.log(f"test/{prefix}{name}", value)
        for (predictor, name), values in self.compared.items():
            self.baselines.setdefault(predictor, {})[name] = float(np.mean(values))
        if self.terms == "published":
            edits = data.edits[split] + (data.edits["heldout"] if split == "test" else [])
            self.baselines["additive_optimum"] = comparison.floor(edits, self._columns)

    def configure_optimizers(self) -> dict | torch.optim.Optimizer:
        optimizer = self.optimizer(self.parameters())
        if self.schedule is None:
            return optimizer
        total = updates(self.trainer, self.trainer.datamodule.steps_per_epoch)
        schedule = self.schedule(optimizer, total=total)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def figures(self) -> dict[str, Figure]:
        """Lanes and canvas of the fixed edit; after a test also the table by track."""
        made = {}
        if self.shown is not None:
            true, model = self.shown["true"], self.shown["model"]
            made["lanes"] = figures.lanes(
                {"true": true, self.shown["task"]: model}, "true above, predicted below"
            )
            made["canvas"] = figures.moments(
                {"true": true, "predicted": model}, self.shown["sizes"], self.shown["canvas"]
            )
        if self.rows:
            task, rows = next(iter(self.rows.items()))
            made["tracks"] = figures.tracks(rows, scoring.PREDICTORS, task)
            made["horizons"] = figures.horizons(self.rows, scoring.PREDICTORS)
        return {name: figure for name, figure in made.items() if figure is not None}
