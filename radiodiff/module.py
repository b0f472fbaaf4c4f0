"""RadioDiff's first stage: a VAE first, then the same with a discriminator; two optimizers by hand.

Axes: B batch, H W map, Z latent channels, h w latent. Batches hold maps in [-1, 1]; metrics are of
gray in [0, 1].
"""

import math
from collections.abc import Callable
from typing import Annotated

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from experiments.shared.errors import InputError
from experiments.shared.kinds import ArgumentsOf, NonNegativeInt, PositiveFloat, Weights
from experiments.shared.losses import check_names, weighted_sum
from experiments.shared.schedules import updates
from radiodiff import baselines, figures, losses
from radiodiff.autoencoder import perceptual
from radiodiff.autoencoder.discriminator import NORMS, Discriminator
from radiodiff.autoencoder.evaluation import Evaluation, Measured
from radiodiff.autoencoder.network import Autoencoder, draw
from radiodiff.examples import keep_first
from radiodiff.layout import align_moments, along_channels


class RadioDiffVAE(pl.LightningModule):
    """Trains the autoencoder alone for `disc_start` updates, then against the discriminator.

    `global_step` counts generator updates: the discriminator steps past Lightning's counter. So the
    phase, the checkpoints and the end of the run follow from that one number, also after a resume.

    Args:
        loss_weights: a weight for each of `losses.TERMS`.
        network: sizes, arguments of `Autoencoder`.
        discriminator: sizes, arguments of `Discriminator`.
        disc_start: generator updates without a discriminator; update `disc_start + 1` is the first
            with it. Before, nothing of it is computed. None: a third of the run, as published.
        adaptive_cap: greatest adaptive weight, on the scale of one pixel's loss.
        clip: largest gradient norm, of either part.
        start_logvar: of the posterior at first, where the network has a shortcut.
        perceptual: files with weights, {"vgg": FILE, "heads": FILE}; needed if it weighs anything.
        optimizer: partial of the autoencoder's optimizer.
        disc_optimizer: partial of the discriminator's.
        schedule: partial of the autoencoder's schedule, counted in updates; where its `total` is
            not set, it gets the run's length.

    Raises:
        InputError: weights that do not fit the terms, or a value that makes no training.
    """

    precisions = ("32-true", "bf16-mixed")  # 16-mixed scales what two optimizers share

    def __init__(
        self,
        loss_weights: Weights,
        *,
        network: Annotated[dict, ArgumentsOf(Autoencoder)] | None = None,
        discriminator: Annotated[dict, ArgumentsOf(Discriminator)] | None = None,
        disc_start: NonNegativeInt | None = None,
        adaptive_cap: PositiveFloat = 10.0,
        clip: PositiveFloat = 1.0,
        start_logvar: float = -7.0,
        perceptual: dict[str, str] | None = None,
        optimizer: Callable | None = None,
        disc_optimizer: Callable | None = None,
        schedule: Callable | None = None,
    ):
        super().__init__()
        check_names(loss_weights, losses.TERMS)
        if not (math.isfinite(adaptive_cap) and adaptive_cap > 0):
            raise InputError(
                f"model.adaptive_cap={adaptive_cap}: expected a finite number > 0; an unbounded "
                "adaptive weight lets one batch with a flat discriminator decide the run"
            )
        if not (math.isfinite(clip) and clip > 0) or (disc_start or 0) < 0:
            raise InputError(
                f"model.clip={clip}, model.disc_start={disc_start}: expected numbers above 0 and "
                "from 0"
            )
        if (discriminator or {}).get("norm", "group") not in NORMS:
            raise InputError(f"model.discriminator.norm: expected one of {', '.join(NORMS)}")
        self.save_hyperparameters(
            ignore=["optimizer", "disc_optimizer", "schedule", "perceptual"], logger=False
        )
        self.automatic_optimization = False
        self.optimizer, self.disc_optimizer, self.schedule = optimizer, disc_optimizer, schedule
        self.perceptual_files = perceptual
        self.distance: list[nn.Module] = []  # a list keeps its 15 million frozen numbers unsaved
        self.autoencoder = Autoencoder(**(network or {}))
        self.discriminator = Discriminator(**(discriminator or {}))
        channels = self.autoencoder.latent
        self.measured = Measured(channels)
        self.evaluation = Evaluation(channels)
        self.disc_start = disc_start
        self.baselines: dict[str, dict[str, float]] = {}
        self.examples: list[dict[str, Tensor]] = []
        self.history: list[dict[str, Tensor | float]] = []

    def setup(self, stage: str) -> None:
        """Fit the patch-PCA: a baseline, and where a network with a shortcut starts from."""
        side, weights = self.autoencoder.factor, self.hparams.loss_weights
        patches = self.trainer.datamodule.training_patches(side)
        self.pca = baselines.fit_patch_pca(patches, side, self.autoencoder.latent)
        if stage != "fit":
            return
        if self.trainer.precision == "16-mixed":
            raise InputError(
                "trainer.precision=16-mixed: gradients would be clipped as they are scaled; take "
                "bf16-mixed, or 32-true"
            )
        along_channels((self.autoencoder, self.discriminator), self.trainer.strategy.root_device)
        if self.disc_start is None:
            self.disc_start = self.updates() // 3
        distance = perceptual.build(weights["perceptual"], self.perceptual_files)
        self.distance = [distance] if distance is not None else []
        if self.autoencoder.analysis is not None:
            pca = self.pca
            self.autoencoder.start_from(pca.mean, pca.basis, pca.std, self.hparams.start_logvar)

    def updates(self) -> int:
        """Of the generator, in the whole run."""
        return updates(self.trainer, len(self.trainer.datamodule.train_dataloader()))

    def configure_optimizers(self):
        ours = self.optimizer(self.autoencoder.parameters())
        theirs = self.disc_optimizer(self.discriminator.parameters())
        if self.schedule is None:
            return [ours, theirs]
        whole = {} if self.schedule.keywords.get("total") else {"total": self.updates()}
        return [ours, theirs], [self.schedule(ours, **whole)]

    def on_fit_start(self) -> None:
        for distance in self.distance:
            distance.to(self.device)
        if not self.hparams.loss_weights["perceptual"]:
            self.print("not computed, for it needs local weights and weighs 0: perceptual")
        if not self.hparams.loss_weights["adversarial"]:
            self.print("no discriminator is trained, for it weighs 0: adversarial")

    def on_train_start(self) -> None:
        align_moments(optimizer.optimizer for optimizer in self.optimizers())

    # Training

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        ours, theirs = self.optimizers()
        weighs = self.hparams.loss_weights["adversarial"] > 0
        adversarial = weighs and self.global_step >= self.disc_start
        maps = batch["map"]
        if maps.is_cuda:
            maps = maps.contiguous(memory_format=torch.channels_last)

        self.toggle_optimizer(ours)
        mean, logvar = self.autoencoder.encode(maps)
        made = self.autoencoder.decode(draw(mean, logvar)).float()
        terms = {"l1": losses.l1(made, maps), "l2": losses.l2(made, maps)}
        for distance in self.distance:
            terms["perceptual"] = losses.perceptual(made, maps, distance)
        terms["kl"] = losses.kl(mean, logvar, maps)
        logged = {}
        if adversarial:
            terms["adversarial"], logged = self.adversarial_term(made, terms)
        total, shares = weighted_sum(terms, self.hparams.loss_weights)
        ours.zero_grad()
        self.manual_backward(total)
        norm = clip_grad_norm_(self.autoencoder.parameters(), self.hparams.clip)
        self.grad_norm = norm.detach()
        ours.step()
        self.untoggle_optimizer(ours)
        if self.schedule:
            self.lr_schedulers().step()

        if adversarial:
            logged |= self.discriminator_step(theirs, maps, made.detach())
        logged |= {f"train/{name}": value.detach() for name, value in terms.items()}
        logged |= {f"share/{name}": value for name, value in shares.items()}
        published = losses.published({n: v.detach() for n, v in terms.items()}, total.detach())
        logged |= {f"published/{name}": value for name, value in published.items()}
        logged["train/total"] = total.detach()
        logged["train/bits_per_pixel"] = terms["kl"].detach() / math.log(2)
        self.log_dict(logged, batch_size=len(maps))
        self.remember(logged)

    def adversarial_term(
        self, made: Tensor, terms: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The adaptive weight times the generator's loss, and what to log of the two.

        The discriminator is gone through once: its gradient at the reconstructions serves the
        adaptive weight and, as a constant, the backward pass of the whole.
        """
        seen = made.detach().requires_grad_()
        game = losses.generator(self.discriminator(seen))
        (slope,) = torch.autograd.grad(game, seen)
        pull = (made * slope).sum()  # has the gradient of `game`
        rec = sum(terms[name] * self.hparams.loss_weights[name] for name in ("l1", "l2"))
        if "perceptual" in terms:
            rec = rec + self.hparams.loss_weights["perceptual"] * terms["perceptual"]
        last = self.autoencoder.last_weight
        slopes = (torch.autograd.grad(x, last, retain_graph=True)[0] for x in (rec, pull))
        weight, capped = losses.adaptive_weight(*slopes, cap=self.hparams.adaptive_cap)
        return losses.adversarial(game, pull, weight), {
            "train/generator": game.detach(),
            "train/adaptive_weight": weight,
            "train/adaptive_capped": capped,
        }

    def discriminator_step(self, optimizer, maps: Tensor, made: Tensor) -> dict[str, Tensor]:
        """One update of the discriminator on maps and their reconstructions as they just were."""
        self.toggle_optimizer(optimizer)
        real, fake = self.discriminator(maps), self.discriminator(made)
        loss = losses.hinge(real, fake)
        optimizer.zero_grad()
        self.manual_backward(loss)
        norm = clip_grad_norm_(self.discriminator.parameters(), self.hparams.clip)
        optimizer.optimizer.step()  # not counted: global_step is the number of generator updates
        self.untoggle_optimizer(optimizer)
        return {
            "train/discriminator": loss.detach(),
            "train/discriminator_norm": norm.detach(),
            "train/real_accuracy": (real > 0).float().mean(),
            "train/fake_accuracy": (fake < 0).float().mean(),
            "published/disc_loss": loss.detach(),
            "published/logits_real": real.detach().mean(),
            "published/logits_fake": fake.detach().mean(),
        }

    def remember(self, logged: dict[str, Tensor]) -> None:
        """Keep what the published figures draw, at the logger's interval."""
        step = self.global_step
        if step == 1 or step % self.trainer.log_every_n_steps == 0:
            kept = {k.split("/")[1]: v for k, v in logged.items() if k.startswith("published/")}
            self.history.append({"step": step, **kept})

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        self.history = [{k: float(v) for k, v in row.items()} for row in self.history]
        checkpoint |= {"history": self.history, "disc_start": self.disc_start}
        # Measured, not learned: in an average over steps they would mean nothing.
        for name, value in self.measured.named_buffers():
            checkpoint["state_dict"][f"measured.{name}"] = value.clone()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.history = list(checkpoint.get("history", []))
        if self.hparams.disc_start is None:  # a lengthened run goes on with the phases it began
            self.disc_start = checkpoint.get("disc_start", self.disc_start)

    # Evaluation

    def on_validation_epoch_start(self) -> None:
        self.begin()

    def on_test_epoch_start(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.evaluation.begin(self.global_rank)
        self.examples = []

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        keep_first(self.examples, self.evaluation.update(self.autoencoder, self.pca, batch, "val"))

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        keep_first(self.examples, self.evaluation.update(self.autoencoder, self.pca, batch, "test"))
        self.evaluation.update_dear(self.autoencoder, batch, self.measured)

    def on_validation_epoch_end(self) -> None:
        logged, self.baselines = self.evaluation.conclude("val")
        if not self.trainer.sanity_checking:
            self.measured.take(logged, self.evaluation.tables())
        self.record("val", logged)

    def on_test_epoch_end(self) -> None:
        logged, plain = self.evaluation.conclude("test")
        dear, others = self.evaluation.conclude_dear()
        self.baselines = plain | others
        self.record("test", logged | dear)

    def record(self, split: str, found: dict[str, Tensor]) -> None:
        """Log a split's metrics; what no map has, a NaN, is left out."""
        finite = {k: v.to(self.device) for k, v in found.items() if v.isfinite()}
        self.log_dict({f"{split}/{name}": value for name, value in finite.items()})

    def figures(self) -> dict:
        """The published report's six, reconstructions, the latents, and rates against errors."""
        rows = [{k: float(v) for k, v in row.items()} for row in self.history]
        played = self.hparams.loss_weights["adversarial"] > 0 and self.disc_start is not None
        start = self.disc_start if played else math.inf
        drawn = figures.published(rows, start) if len(rows) > 1 else {}
        if self.examples:
            drawn["reconstruction"] = figures.reconstruction(self.examples)
            drawn["latents"] = figures.latents(self.examples)
        if self.evaluation.curves:
            drawn["rates"] = figures.rates(self.evaluation.curves)
        return drawn
