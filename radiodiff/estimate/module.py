"""Estimates radio maps from a plan, a transmitter and, where there are some, samples."""

from collections.abc import Callable
from typing import Annotated, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from experiments.shared.errors import InputError
from experiments.shared.kinds import ArgumentsOf, NonNegativeInt, PositiveInt, Weights
from experiments.shared.losses import check_names, weighted_sum
from experiments.shared.schedules import updates
from radiodiff.cities.propagation import FLOOR_DB
from radiodiff.estimate import baselines, comparison, figures, losses, metrics
from radiodiff.estimate.fields import unregistered, with_samples
from radiodiff.estimate.flow import LatentFlow
from radiodiff.estimate.network import FOLD, Regressor, cut
from radiodiff.estimate.residual import corrected
from radiodiff.estimate.uncertainty import Uncertainty
from radiodiff.estimate.views import Views, averaged
from radiodiff.examples import keep_first
from radiodiff.layout import align_moments, along_channels
from radiodiff.metrics import SPAN_DB

UNREGISTERED = "unregistered"  # ours, not told how plans lie against maps
FLOWS = ("regressor", "one_draw", "mean_of_draws")  # what stands beside the flow's own estimate
OURS = ("model", UNREGISTERED, "one_draw", "mean_of_draws")


class RadioMapEstimator(pl.LightningModule):
    """One network for prediction (no sample) and completion (some): the regressor; and the flow.

    In evaluation and use, what the regressor leaves at the samples is carried to their surroundings
    (`residual.corrected`). The flow starts from there; while it is trained the regressor, which
    comes from another run (`init_from=RUN init_parts=[network]`), stays as it is.

    Args:
        loss_weights: a weight for each of the estimator's `losses.TERMS`.
        estimator: what is trained, and what an estimate is made by.
        network: sizes, arguments of `Regressor`.
        flow: sizes, arguments of `LatentFlow`; for estimator flow.
        first_stage: run of radiodiff_vae that the flow's latents come from.
        maps: that the flow draws of a place for its spread.
        coverage_db: path gain from which on a place counts as covered.
        counts: numbers of samples whose completion is tested beside interpolation.
        window: pixels a side that the regressor is trained on at first; None: whole maps always.
            What lies beyond is known of it all the same: sight and the way round are inputs.
        windowed: updates for which that is so.
        views: turned and mirrored views of a place whose estimates are averaged, in evaluation and
            use; each costs as much as the first.
        optimizer: partial over the parameters.
        schedule: partial over the optimizer; gets `total`, the run's length in steps.

    Raises:
        InputError: weights that do not fit the terms, or a value that makes no evaluation.
    """

    def __init__(
        self,
        loss_weights: Weights,
        *,
        estimator: Literal["regressor", "flow"] = "regressor",
        network: Annotated[dict, ArgumentsOf(Regressor)] | None = None,
        flow: Annotated[dict, ArgumentsOf(LatentFlow)] | None = None,
        first_stage: str | None = None,
        maps: PositiveInt = 8,
        coverage_db: float = -120.0,
        counts: tuple[PositiveInt, ...] = (10, 50, 200),
        window: PositiveInt | None = None,
        windowed: NonNegativeInt = 0,
        views: Views = 1,
        optimizer: Callable | None = None,
        schedule: Callable | None = None,
    ):
        super().__init__()
        check_names(loss_weights, losses.TERMS[estimator])
        if not FLOOR_DB < coverage_db < FLOOR_DB + SPAN_DB:
            raise InputError(
                f"model.coverage_db={coverage_db}: expected between {FLOOR_DB} and "
                f"{FLOOR_DB + SPAN_DB:g} dB, the ends of gray"
            )
        self.save_hyperparameters(ignore=["optimizer", "schedule", "first_stage"], logger=False)
        self.optimizer, self.schedule, self.first_stage = optimizer, schedule, first_stage
        self.network = Regressor(**(network or {}))
        self.flow = self.uncertainty = None
        if estimator == "flow":
            self.network.requires_grad_(False)
            self.flow = LatentFlow(**(flow or {}))
            self.uncertainty = Uncertainty()
        self.threshold = (coverage_db - FLOOR_DB) / SPAN_DB
        self.tables = nn.ModuleDict({"model": metrics.Pooled()})
        self.nearest_map = baselines.NearestMap()
        self.baselines: dict[str, dict[str, float]] = {}
        self.examples: list[dict[str, Tensor]] = []

    def setup(self, stage: str) -> None:
        along_channels([self.trained], self.trainer.strategy.root_device)
        if stage == "fit" and self.flow is not None and self.first_stage:
            self.flow.take_first_stage(self.first_stage)

    @property
    def trained(self) -> nn.Module:
        return self.network if self.flow is None else self.flow.network

    def on_train_start(self) -> None:
        """Raises InputError where the flow has nothing to start from."""
        if self.flow is not None and not self.network.head.weight.any():
            raise InputError(
                "model.estimator=flow: its regressor is untrained; give init_from=RUN of radio_map "
                "and init_parts=[network]"
            )
        if self.flow is not None and bool((self.flow.std == 1).all()):
            raise InputError(
                "model.estimator=flow: its autoencoder is untrained; give model.first_stage=RUN of "
                "radiodiff_vae"
            )
        align_moments([self.optimizers().optimizer])

    def configure_optimizers(self):
        optimizer = self.optimizer(self.trained.parameters())
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
        known = with_samples(batch["known"], maps, batch["places"], batch["count"])
        if self.flow is None:
            if self.hparams.window is not None and self.global_step < self.hparams.windowed:
                known, maps = cut(self.hparams.window, FOLD, known, maps)
            made = self(known)
            terms = {name: getattr(losses, name)(made, maps) for name in losses.TERMS["regressor"]}
        else:
            with torch.no_grad():
                made = self(known).float()
            terms = {"matching": losses.matching(*self.flow.ends(known, made, maps))}
        total, shares = weighted_sum(terms, self.hparams.loss_weights)
        logged = {f"train/{name}": value.detach() for name, value in terms.items()}
        logged |= {f"share/{name}": value for name, value in shares.items()}
        logged["train/total"] = total.detach()
        logged["train/rmse_db"] = SPAN_DB * losses.l2(made.detach(), maps).sqrt()
        self.log_dict(logged, batch_size=len(maps))
        return total

    # Evaluation

    def on_validation_epoch_start(self) -> None:
        self.tables["model"].reset()
        self.begin()

    def begin(self) -> None:
        self.examples = []
        if self.uncertainty is not None:
            self.uncertainty.begin(self.global_rank)

    def on_test_epoch_start(self) -> None:
        """The test compares with everything; the validation with nothing that never changes."""
        names = ["model", UNREGISTERED, *baselines.PLAIN, "propagation", "nearest_map"]
        for count in self.hparams.counts:
            names += [f"{name}_{count}" for name in ("model", *baselines.COMPLETIONS)]
        if self.flow is not None:
            names += FLOWS
        self.tables = nn.ModuleDict({name: metrics.Pooled() for name in names}).to(self.device)
        self.begin()
        data = self.trainer.datamodule.dataset("train")
        for index in range(0, len(data), max(1, len(data) // 1000)):
            item = data[0, index]
            self.nearest_map.add(item["known"][None], item["map"][None])

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        known, made = self.estimated(batch, batch["count"])
        self.add("model", made, batch)
        names = ("map", "city", "transmitter")
        shown = {name: batch[name] for name in names} | {"known": known, "made": made}
        if self.flow is not None:
            shown |= self.drawn(known, batch)
        keep_first(self.examples, shown)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)
        known, maps = batch["known"], batch["map"]
        for name, plain in baselines.PLAIN.items():
            self.add(name, plain(known), batch)
        self.add("propagation", baselines.propagation(known, batch["transmitter"]), batch)
        self.add("nearest_map", self.nearest_map(known), batch)
        hidden = batch | {"known": unregistered(batch["known"])}
        self.add(UNREGISTERED, self.estimated(hidden, batch["count"])[1], batch)
        for count in self.hparams.counts:
            _, made = self.estimated(batch, torch.full_like(batch["count"], count))
            self.add(f"model_{count}", made, batch)
            for name in baselines.COMPLETIONS:
                other = baselines.complete(name, known, maps, batch["places"], count)
                self.add(f"{name}_{count}", other, batch)

    def estimated(self, batch: dict[str, Tensor], counts: Tensor) -> tuple[Tensor, Tensor]:
        """What is known with so many samples, and the estimated maps."""
        known = with_samples(batch["known"], batch["map"], batch["places"], counts)
        return known, self.estimate(known)

    def regressed(self, known: Tensor) -> Tensor:
        """The regressor's maps, by their samples corrected."""
        return corrected(averaged(self, known, self.hparams.views), known).clamp(0, 1)

    def estimate(self, known: Tensor) -> Tensor:
        """Gray maps (B, 1, H, W) by the run's estimator."""
        found = self.regressed(known)
        if self.flow is None:
            return found
        return found + self.flow.share * (self.flow(known, found) - found)

    def intervals(self, known: Tensor) -> dict[str, Tensor]:
        """`low_50` to `high_90`: ends of the flow's intervals, gray maps (B, 1, H, W)."""
        noise = torch.Generator().manual_seed(0)
        maps = self.flow.draws(known, self.regressed(known), self.hparams.maps, noise)
        return self.uncertainty.intervals(maps)

    def drawn(self, known: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Measure several maps of each place; returns one of them, and their spread, to show."""
        found = self.regressed(known)
        maps = self.flow.draws(known, found, self.hparams.maps, self.uncertainty.noise)
        self.uncertainty.update(maps, found, batch["map"], batch["buildings"])
        if "regressor" in self.tables:
            for name, made in zip(FLOWS, (found, maps[0], maps.mean(0)), strict=True):
                self.add(name, made, batch)
        return {"drawn": maps[0], "spread": maps.std(0)}

    def add(self, name: str, made: Tensor, batch: dict[str, Tensor]) -> None:
        found = metrics.sums(made, batch["map"], batch["buildings"], batch["sight"], self.threshold)
        self.tables[name].update(found, batch["city"])

    def on_validation_epoch_end(self) -> None:
        logged = comparison.found(self.tables["model"])[0]
        if self.uncertainty is not None:
            if not self.trainer.sanity_checking:
                self.uncertainty.calibrate()
            logged |= self.uncertainty.found()[0]
        self.record("val", logged)

    def on_test_epoch_end(self) -> None:
        found = {name: comparison.found(table) for name, table in self.tables.items()}
        plain = [name for name in found if name.rpartition("_")[2] not in self.counted]
        logged = comparison.beside(self.baselines, "", found, [n for n in plain if n not in OURS])
        for name in OURS[1:]:
            if name in found:
                logged |= {f"{name}/{k}": v for k, v in found[name][0].items()}
        if self.uncertainty is not None:
            ours, theirs = self.uncertainty.found()
            logged |= ours
            self.baselines["regressor"] |= theirs
        for count in self.counted:
            prefix, names = f"completion_{count}/", baselines.COMPLETIONS
            theirs = {name: found[f"{name}_{count}"] for name in ("model", *names)}
            logged |= comparison.beside(self.baselines, prefix, theirs, list(names))
        self.record("test", logged)

    @property
    def counted(self) -> list[str]:
        return [str(count) for count in self.hparams.counts]

    def record(self, split: str, found: dict[str, Tensor]) -> None:
        self.log_dict({f"{split}/{k}": v.to(self.device, torch.float32) for k, v in found.items()})

    def figures(self) -> dict:
        drawn = {"maps": figures.maps(self.examples)} if self.examples else {}
        if self.examples and "drawn" in self.examples[0]:
            drawn["draws"] = figures.draws(self.examples)
        if self.baselines:
            numbers = {k: float(v) for k, v in self.trainer.callback_metrics.items()}
            drawn["completion"] = figures.completion(
                self.hparams.counts, numbers, self.baselines, tuple(baselines.COMPLETIONS)
            )
        return drawn
