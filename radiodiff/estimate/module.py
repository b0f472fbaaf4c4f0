"""Estimates radio maps from a plan, a transmitter and, where there are some, samples."""

import math
from collections.abc import Callable
from typing import Annotated

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from experiments.shared.errors import InputError
from experiments.shared.kinds import ArgumentsOf, PositiveInt, Weights
from experiments.shared.losses import check_names, weighted_sum
from experiments.shared.schedules import updates
from radiodiff.cities.propagation import FLOOR_DB
from radiodiff.estimate import baselines, figures, losses, metrics
from radiodiff.estimate.fields import unregistered, with_samples
from radiodiff.estimate.network import Regressor
from radiodiff.estimate.residual import corrected
from radiodiff.examples import keep_first
from radiodiff.layout import align_moments, along_channels
from radiodiff.metrics import SPAN_DB

UNREGISTERED = "unregistered"  # ours, not told how plans lie against maps
OURS = ("model", UNREGISTERED)


class RadioMapEstimator(pl.LightningModule):
    """One network for prediction (no sample) and completion (some): the regressor.

    In evaluation and use, what it leaves at the samples is carried to their surroundings
    (`residual.corrected`).

    Args:
        loss_weights: a weight for each of `losses.TERMS`.
        network: sizes, arguments of `Regressor`.
        coverage_db: path gain from which on a place counts as covered.
        counts: numbers of samples whose completion is tested beside interpolation.
        optimizer: partial over the parameters.
        schedule: partial over the optimizer; gets `total`, the run's length in steps.

    Raises:
        InputError: weights that do not fit the terms, or a value that makes no evaluation.
    """

    def __init__(
        self,
        loss_weights: Weights,
        *,
        network: Annotated[dict, ArgumentsOf(Regressor)] | None = None,
        coverage_db: float = -120.0,
        counts: tuple[PositiveInt, ...] = (10, 50, 200),
        optimizer: Callable | None = None,
        schedule: Callable | None = None,
    ):
        super().__init__()
        check_names(loss_weights, losses.TERMS)
        if not FLOOR_DB < coverage_db < FLOOR_DB + SPAN_DB:
            raise InputError(
                f"model.coverage_db={coverage_db}: expected between {FLOOR_DB} and "
                f"{FLOOR_DB + SPAN_DB:g} dB, the ends of gray"
            )
        self.save_hyperparameters(ignore=["optimizer", "schedule"], logger=False)
        self.optimizer, self.schedule = optimizer, schedule
        self.network = Regressor(**(network or {}))
        self.threshold = (coverage_db - FLOOR_DB) / SPAN_DB
        self.tables = nn.ModuleDict({"model": metrics.Pooled()})
        self.nearest_map = baselines.NearestMap()
        self.baselines: dict[str, dict[str, float]] = {}
        self.examples: list[dict[str, Tensor]] = []

    def setup(self, stage: str) -> None:
        along_channels([self.network], self.trainer.strategy.root_device)

    def on_train_start(self) -> None:
        align_moments([self.optimizers().optimizer])

    def configure_optimizers(self):
        optimizer = self.optimizer(self.network.parameters())
        if self.schedule is None:
            return optimizer
        schedule = self.schedule(
            optimizer, total=updates(self.trainer, len(self.trainer.datamodule.train_dataloader()))
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def forward(self, known: Tensor) -> Tensor:
        """Inputs (B, K, H, W) -> gray maps (B, 1, H, W), about [0, 1]; any sides.

        Sides that the network cannot halve often enough are padded with buildings.
        """
        height, width = known.shape[-2:]
        multiple = self.network.multiple
        below, right = -height % multiple, -width % multiple
        if below or right:
            known = nn.functional.pad(known, (0, right, 0, below))
        return self.network(known)[..., :height, :width]

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        maps = batch["map"]
        made = self(with_samples(batch["known"], maps, batch["places"], batch["count"]))
        terms = {name: getattr(losses, name)(made, maps) for name in losses.TERMS}
        total, shares = weighted_sum(terms, self.hparams.loss_weights)
        logged = {f"train/{name}": value.detach() for name, value in terms.items()}
        logged |= {f"share/{name}": value for name, value in shares.items()}
        logged["train/total"] = total.detach()
        logged["train/rmse_db"] = SPAN_DB * terms["l2"].detach().sqrt()
        self.log_dict(logged, batch_size=len(maps))
        return total

    # Evaluation

    def on_validation_epoch_start(self) -> None:
        self.tables["model"].reset()
        self.examples = []

    def on_test_epoch_start(self) -> None:
        """The test compares with everything; the validation with nothing that never changes."""
        names = ["model", UNREGISTERED, *baselines.PLAIN, "propagation", "nearest_map"]
        for count in self.hparams.counts:
            names += [f"{name}_{count}" for name in ("model", *baselines.COMPLETIONS)]
        self.tables = nn.ModuleDict({name: metrics.Pooled() for name in names}).to(self.device)
        self.examples = []
        data = self.trainer.datamodule.dataset("train")
        for index in range(0, len(data), max(1, len(data) // 1000)):
            item = data[0, index]
            self.nearest_map.add(item["known"][None], item["map"][None])

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        known, made = self.estimated(batch, batch["count"])
        self.add("model", made, batch)
        names = ("map", "city", "transmitter")
        shown = {name: batch[name] for name in names} | {"known": known, "made": made}
        keep_first(self.examples, shown)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)
        known, maps = batch["known"], batch["map"]
        for name, plain in baselines.PLAIN.items():
            self.add(name, plain(known), batch)
        self.add("propagation", baselines.propagation(known, batch["transmitter"]), batch)
        self.add("nearest_map", self.nearest_map(known), batch)
        hidden = unregistered(known)
        self.add(UNREGISTERED, corrected(self(hidden).float(), hidden), batch)
        for count in self.hparams.counts:
            _, made = self.estimated(batch, torch.full_like(batch["count"], count))
            self.add(f"model_{count}", made, batch)
            for name in baselines.COMPLETIONS:
                other = baselines.complete(name, known, maps, batch["places"], count)
                self.add(f"{name}_{count}", other, batch)

    def estimated(self, batch: dict[str, Tensor], counts: Tensor) -> tuple[Tensor, Tensor]:
        known = with_samples(batch["known"], batch["map"], batch["places"], counts)
        return known, corrected(self(known).float(), known)

    def add(self, name: str, made: Tensor, batch: dict[str, Tensor]) -> None:
        found = metrics.sums(made, batch["map"], batch["buildings"], batch["sight"], self.threshold)
        self.tables[name].update(found, batch["city"])

    def on_validation_epoch_end(self) -> None:
        self.log_dict({f"val/{k}": v for k, v in self.found("model")[0].items()})

    def on_test_epoch_end(self) -> None:
        found = {name: self.found(name) for name in self.tables}
        plain = [name for name in found if name.rpartition("_")[2] not in self.counted]
        logged = self.beside("", found, "model", [n for n in plain if n not in OURS])
        logged |= {f"{UNREGISTERED}/{k}": v for k, v in found[UNREGISTERED][0].items()}
        for count in self.counted:
            prefix, names = f"completion_{count}/", baselines.COMPLETIONS
            theirs = {name: found[f"{name}_{count}"] for name in ("model", *names)}
            logged |= self.beside(prefix, theirs, "model", list(names))
        self.log_dict({f"test/{name}": value for name, value in logged.items()})

    @property
    def counted(self) -> list[str]:
        return [str(count) for count in self.hparams.counts]

    def found(self, name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """A table's metrics, and their bootstrap; what no map has (a NaN) is left out."""
        values, draws = self.tables[name].compute()
        values = {k: v.to(self.device, torch.float32) for k, v in values.items() if v.isfinite()}
        return values, draws

    def beside(self, prefix: str, found: dict, ours: str, others: list[str]) -> dict[str, Tensor]:
        """Our metrics with their intervals, and the lower ends of our leads over the others."""
        values, draws = found[ours]
        logged = {f"{prefix}{name}": value for name, value in values.items()}
        for name in values:
            low, high = metrics.interval(draws[name])
            if math.isfinite(low):
                logged |= {f"{prefix}{name}_low": low, f"{prefix}{name}_high": high}
        for other in others:
            theirs, spread = found[other]
            kept = self.baselines.setdefault(other, {})
            kept |= {f"{prefix}{k}": float(v) for k, v in theirs.items() if k in values}
            for name in ("nmse", "ssim", "coverage_f1"):
                low, _ = metrics.interval(metrics.lead(name, draws[name], spread[name]))
                if math.isfinite(low):
                    logged[f"{prefix}{name}_lead_{other}_low"] = low
        return logged

    def figures(self) -> dict:
        drawn = {"maps": figures.maps(self.examples)} if self.examples else {}
        if self.baselines:
            numbers = {k: float(v) for k, v in self.trainer.callback_metrics.items()}
            drawn["completion"] = figures.completion(
                self.hparams.counts, numbers, self.baselines, tuple(baselines.COMPLETIONS)
            )
        return drawn
