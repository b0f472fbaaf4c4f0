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
from radiodiff import baselines, figures, losses, metrics, perceptual
from radiodiff.discriminator import NORMS, Discriminator
from radiodiff.network import Autoencoder, draw

# Values of a map that our table has beside those of `metrics.compare`.
OWN = ("psnr_mode",)
LATENT_NOISE = (0.01, 0.03, 0.1, 0.3)  # in units of each latent channel's std


class RadioDiffVAE(pl.LightningModule):
    """Trains the autoencoder alone for `disc_start` updates, then against the discriminator.

    `global_step` counts generator updates: the discriminator steps past Lightning's counter. So the
    phase, the checkpoints and the end of the run follow from that one number, also after a resume.

    Args:
        loss_weights: a weight for each of `losses.TERMS`.
        network: sizes, arguments of `Autoencoder`.
        discriminator: sizes, arguments of `Discriminator`.
        disc_start: generator updates without a discriminator; update `disc_start + 1` is the first
            with it. Before, nothing of it is computed.
        adaptive_cap: greatest adaptive weight, on the scale of one pixel's loss.
        clip: largest gradient norm, of either part.
        start_logvar: of the posterior at first, where the network has a shortcut.
        perceptual: files with weights, {"vgg": FILE, "heads": FILE}; needed if it weighs anything.
        optimizer: partial of the autoencoder's optimizer.
        disc_optimizer: partial of the discriminator's.
        schedule: partial of the autoencoder's schedule, counted in updates.

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
        disc_start: NonNegativeInt = 50_000,
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
        for name, value in (("disc_start", disc_start), ("clip", clip)):
            if not math.isfinite(value) or value < 0 or (name == "clip" and value == 0):
                raise InputError(f"model.{name}={value}: expected a finite number, not negative")
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
        self.register_buffer("latent_mean", torch.zeros(channels))
        self.register_buffer("latent_std", torch.ones(channels))
        names = metrics.NAMES
        rows = {"model": (*names, *OWN), "constant": names, "down_up": names, "patch_pca": names}
        self.tables = nn.ModuleDict(
            {name: metrics.Table(columns) for name, columns in rows.items()}
        )
        self.jpegs = nn.ModuleDict(
            {str(q): metrics.Table((*names, "rate")) for q in baselines.QUALITIES}
        )
        self.robustness = metrics.Table(tuple(f"psnr_noise_{a}" for a in LATENT_NOISE))
        self.health = metrics.LatentHealth(channels)
        self.baselines: dict[str, dict[str, float]] = {}
        self.example: dict[str, Tensor] = {}
        self.history: list[dict[str, Tensor | float]] = []

    def setup(self, stage: str) -> None:
        """Fit the patch-PCA: a baseline, and where a network with a shortcut starts from."""
        side, weight = self.autoencoder.factor, self.hparams.loss_weights["perceptual"]
        patches = self.trainer.datamodule.training_patches(side)
        self.pca = baselines.fit_patch_pca(patches, side, self.autoencoder.latent)
        if stage != "fit":
            return
        distance = perceptual.build(weight, self.perceptual_files)
        self.distance = [distance] if distance is not None else []
        if self.autoencoder.analysis is not None:
            pca = self.pca
            self.autoencoder.start_from(pca.mean, pca.basis, pca.std, self.hparams.start_logvar)

    def configure_optimizers(self):
        ours = self.optimizer(self.autoencoder.parameters())
        theirs = self.disc_optimizer(self.discriminator.parameters())
        return [ours, theirs], [self.schedule(ours)] if self.schedule else []

    def on_fit_start(self) -> None:
        if self.device.type == "cuda":  # on a CPU the usual order is up to twice as fast
            self.autoencoder.to(memory_format=torch.channels_last)
            self.discriminator.to(memory_format=torch.channels_last)
        for distance in self.distance:
            distance.to(self.device)
        if not self.hparams.loss_weights["perceptual"]:
            self.print("not computed, for it needs local weights and weighs 0: perceptual")

    # Training

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        ours, theirs = self.optimizers()
        adversarial = self.global_step >= self.hparams.disc_start
        maps = batch["map"]
        if maps.is_cuda:
            maps = maps.contiguous(memory_format=torch.channels_last)

        self.toggle_optimizer(ours)
        mean, logvar = self.autoencoder.encode(maps)
        made = self.autoencoder.decode(draw(mean, logvar)).float()
        terms = {"l1": losses.l1(made, maps), "l2": losses.l2(made, maps)}
        for distance in self.distance:
            terms["perceptual"] = distance(made, maps)
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
        term = weight * (game.detach() + pull - pull.detach())
        return term, {
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
        checkpoint["history"] = self.history
        # Measured, not learned: in an average over steps they would mean nothing.
        for name in ("latent_mean", "latent_std"):
            checkpoint["state_dict"][name] = getattr(self, name).clone()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.history = list(checkpoint.get("history", []))

    # Evaluation

    def on_validation_epoch_start(self) -> None:
        self.begin()

    def on_test_epoch_start(self) -> None:
        self.begin()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.evaluate(batch, batch_idx)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.evaluate(batch, batch_idx)
        self.evaluate_dear(batch)

    def on_validation_epoch_end(self) -> None:
        self.conclude("val")

    def on_test_epoch_end(self) -> None:
        self.conclude("test")

    def begin(self) -> None:
        for table in (*self.tables.values(), *self.jpegs.values(), self.robustness, self.health):
            table.reset()
        self.noise = torch.Generator().manual_seed(self.global_rank)

    def evaluate(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Measure whole maps, decoded from a sample of the posterior, as the stated rate asks."""
        maps = batch["map"]
        mean, logvar = self.autoencoder.encode(maps)
        made = self.autoencoder.decode(draw(mean, logvar, self.noise)).float()
        by_mode = self.autoencoder.decode(mean).float()
        self.health.update(mean, losses.kl_nats(mean, logvar), maps.numel())
        found = self.compared(made, batch)
        found["psnr_mode"] = metrics.psnr(*(gray(x).clamp(0, 1) for x in (by_mode, maps)))
        self.tables["model"].update(found, batch["city"])
        level, factor = float(self.pca.mean.mean()), self.autoencoder.factor
        others = {
            "constant": baselines.constant(maps, level),
            "down_up": baselines.down_up(maps, factor),
            "patch_pca": self.pca(maps),
        }
        for name, other in others.items():
            self.tables[name].update(self.compared(other, batch), batch["city"])
        if batch_idx == 0:
            kept = {"map": maps, "made": made, "mean": mean, "logvar": logvar}
            self.example = {name: value[:3].float().cpu() for name, value in kept.items()}

    def evaluate_dear(self, batch: dict[str, Tensor]) -> None:
        """What only a test asks for: JPEG at each quality, and decoding with noisy latents."""
        maps, cities = batch["map"], batch["city"]
        for quality in baselines.QUALITIES:
            made, rates = baselines.jpeg(maps, quality)
            found = self.compared(made, batch) | {"rate": rates.to(maps)}
            self.jpegs[str(quality)].update(found, cities)
        mean, _ = self.autoencoder.encode(maps)
        scale = self.latent_std[:, None, None]
        found = {}
        for level in LATENT_NOISE:
            noise = torch.randn(mean.shape, generator=self.noise).to(mean)
            made = self.autoencoder.decode(mean + level * scale * noise).float()
            found[f"psnr_noise_{level}"] = metrics.psnr(gray(made).clamp(0, 1), gray(maps))
        self.robustness.update(found, cities)

    def compared(self, made: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return metrics.compare(gray(made), gray(batch["map"]), batch["buildings"], batch["sight"])

    def conclude(self, split: str) -> None:
        """Log a split's metrics with their intervals, and set the baselines beside them."""
        values, intervals = self.tables["model"].compute()
        health = self.health.compute()
        if split == "val" and not self.trainer.sanity_checking:
            self.latent_mean.copy_(health["mean"])
            self.latent_std.copy_(health["std"])
        logged = {f"{split}/{name}": value for name, value in values.items()}
        for name, (low, high) in intervals.items():
            if torch.isfinite(low):
                logged |= {f"{split}/{name}_low": low, f"{split}/{name}_high": high}
        for name in ("bits_per_pixel", "nats_per_dim", "active"):
            logged[f"{split}/{name}"] = health[name].float()
        for channel in range(len(health["mean"])):
            for name in ("mean", "std"):
                logged[f"{split}/latent_{name}_{channel}"] = health[name][channel].float()
        for name in ("constant", "down_up", "patch_pca"):
            means, _ = self.tables[name].compute()
            self.baselines[name] = {k: float(v) for k, v in means.items()}
        if split == "test":
            logged |= {f"test/{k}": v for k, v in self.robustness.compute()[0].items()}
            self.baselines |= self.jpeg_at(float(health["bits_per_pixel"]))
        self.log_dict({name: value.to(self.device) for name, value in logged.items()})

    def jpeg_at(self, rate: float) -> dict[str, dict[str, float]]:
        """JPEG's metrics at the quality that costs as much as our latents, or a little more."""
        found = {int(q): table.compute()[0] for q, table in self.jpegs.items()}
        quality = baselines.choose_quality({q: float(v["rate"]) for q, v in found.items()}, rate)
        values = {k: float(v) for k, v in found[quality].items()}
        values["bits_per_pixel"] = values.pop("rate")
        return {f"jpeg_q{quality}": values}

    def figures(self) -> dict:
        """The published report's six, reconstructions, and the latents."""
        rows = [{k: float(v) for k, v in row.items()} for row in self.history]
        drawn = figures.published(rows, self.hparams.disc_start) if len(rows) > 1 else {}
        if self.example:
            drawn["reconstruction"] = figures.reconstruction(self.example)
            drawn["latents"] = figures.latents(self.example)
        return drawn


def gray(maps: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]."""
    return (maps.float() + 1) / 2
