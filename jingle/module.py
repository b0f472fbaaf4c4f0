"""The creative agent: an agent chooses what of two sources passes, a writer makes the piece of it.

Axes: B batch, C latent channels, T frames (75 a second). Batches hold raw latents; metrics are of
standardised ones.
"""

import math
from collections.abc import Callable
from itertools import islice
from typing import Annotated, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from experiments.shared.kinds import (
    ArgumentsOf,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Weights,
)
from experiments.shared.losses import check_names, weighted_sum
from jingle import losses, objective, paying, preparation
from jingle.adversary import Adversary
from jingle.evaluation import Evaluation
from jingle.networks.cascade import Cascade
from jingle.networks.composition import Decomposition, Recomposition
from jingle.networks.gate import Gate
from jingle.networks.generator import Generator, Made, check
from jingle.remix import remix


class CreativeAgent(pl.LightningModule):
    """Trains agent and writer against the blend, and perhaps an adversary beside them.

    Args:
        loss_weights: a weight for each of `losses.TERMS`; with `gan` at 0 there is no adversary.
        agent: "compositional" (ours: independent soft masks, each source taken apart), "gate" (one
            field, complementary masks) or "attention" (published: two masks).
        compositional: arguments of `Decomposition`, the compositional agent.
        gate: arguments of `Gate`.
        writer: "recomposition" (parts made equally loud, added, refined), "rotary" (a cascade that
            sees what passes), "published", or "auto": the first for "compositional", else rotary.
        recomposition: arguments of `Recomposition`.
        stages: arguments of `Cascade`, the rotary writer.
        adversary: "conditional" (hinge, hears both sources; real is the blend) or "published"
            (cross-entropy, hears the piece alone; real is the target).
        mask_terms: "each" sample and channel is to move and balance; "batch", published: the means.
        standardise: whether the networks see standardised latents; published: raw ones.
        remix: share of batches of new pairs, any two songs of a batch, where the latents of parts
            add up; with the recomposition only.
        noise: level of the anti-cheating noise on the sources in training (std of the latents).
        agent_rate: the agent's learning rate, relative to the writer's.
        temperature: of the gate, first and after `anneal` epochs; evaluation uses the last alone.
        anneal: epochs from the first temperature to the last.
        clip: largest gradient norm of generator and adversary.
        decode_every: updates between those with decoded terms (`mel`, `spectral`).
        decode_seconds: length of the decoded crop, of one sample a device.
        heard: how many pairs are decoded for the metrics of sound in a test; None: all.
        heard_every: validations between those with metrics of sound; 0: only in tests.
        optimizer: partial of the generator's optimizer.
        adversary_optimizer: partial of the adversary's optimizer.
        schedule: partial of the generator's schedule, in epochs, whatever `trainer.max_epochs` is.
    """

    precisions = ("32-true", "bf16-mixed")  # 16-mixed scales what two optimizers share

    def __init__(
        self,
        loss_weights: Weights,
        *,
        agent: Literal["compositional", "gate", "attention"] = "compositional",
        compositional: Annotated[dict, ArgumentsOf(Decomposition)] | None = None,
        gate: Annotated[dict, ArgumentsOf(Gate)] | None = None,
        writer: Literal["auto", "recomposition", "rotary", "published"] = "auto",
        recomposition: Annotated[dict, ArgumentsOf(Recomposition)] | None = None,
        stages: Annotated[dict, ArgumentsOf(Cascade)] | None = None,
        adversary: Literal["conditional", "published"] = "conditional",
        mask_terms: Literal["each", "batch"] = "each",
        standardise: bool = True,
        remix: Fraction = 0.5,
        noise: NonNegativeFloat = 0.0,
        agent_rate: NonNegativeFloat = 2.0,
        temperature: tuple[PositiveFloat, PositiveFloat] = (4.0, 0.1),
        anneal: PositiveFloat = 8.0,
        clip: PositiveFloat = 1.0,
        decode_every: PositiveInt = 8,
        decode_seconds: PositiveFloat = 1.0,
        heard: NonNegativeInt | None = None,
        heard_every: NonNegativeInt = 0,
        optimizer: Callable | None = None,
        adversary_optimizer: Callable | None = None,
        schedule: Callable | None = None,
    ):
        super().__init__()
        check_names(loss_weights, losses.TERMS)
        check("mask_terms", mask_terms, ("each", "batch"))
        self.save_hyperparameters(
            ignore=["optimizer", "adversary_optimizer", "schedule"], logger=False
        )
        self.automatic_optimization = False
        self.optimizer, self.adversary_optimizer = optimizer, adversary_optimizer
        self.schedule = schedule
        sizes = {
            "compositional": compositional,
            "gate": gate,
            "recomposition": recomposition,
            "rotary": stages,
        }
        self.generator = Generator(agent, writer, sizes)
        self.adversary = Adversary(adversary) if loss_weights["gan"] else None
        self.register_buffer("mean", torch.zeros(128, 1))
        self.register_buffer("std", torch.ones(128, 1))
        self.register_buffer("rest", torch.zeros(128, 1))
        self.register_buffer("measured", torch.tensor(False))  # whether mean and std are known
        self.evaluation = Evaluation()
        self.baselines: dict[str, dict[str, float]] = {}
        self.validations = 0

    def setup(self, stage: str) -> None:
        """Take what was measured of the training set, unless a checkpoint has brought its own."""
        if not self.measured:
            preparation.measure(self, self.trainer.datamodule)

    def configure_optimizers(self):
        return preparation.optimizers(self)

    def on_fit_start(self) -> None:
        idle = [name for name in losses.DEAR if not self.hparams.loss_weights[name]]
        if idle:
            self.print(f"not computed, for they need decoded audio and weigh 0: {', '.join(idle)}")
        if self.adversary is None:
            self.print("no adversary: gan weighs 0")
        able = self.generator.decomposes and self.generator.levels
        self.remixes = self.hparams.remix * (able and self.trainer.datamodule.additive)
        if self.hparams.remix and able and not self.remixes:
            self.print("no remixing: the latents of parts do not add up, or are not cached")

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["validations"] = self.validations

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.validations = checkpoint.get("validations", 0)  # older checkpoints lack it

    def standard(self, latents: Tensor) -> Tensor:
        """Raw latents (B, C, T) with mean 0 and std 1 in each channel."""
        return (latents - self.mean) / self.std

    def seen(self, latents: Tensor) -> Tensor:
        """Raw latents as the networks see them.

        Where parts are added up, 0 is silence: half of a level is a level half as high, and what no
        mask passes is silent.
        """
        return (latents - self.zero) / self.std if self.hparams.standardise else latents

    def raw(self, seen: Tensor) -> Tensor:
        """The inverse of `seen`."""
        return seen * self.std + self.zero if self.hparams.standardise else seen

    @property
    def zero(self) -> Tensor:
        """What the networks see as 0, raw (C, 1)."""
        return self.rest if self.generator.levels else self.mean

    def unstandard(self, latents: Tensor) -> Tensor:
        """The inverse of `standard`."""
        return latents * self.std + self.mean

    @torch.no_grad()
    def compose(self, batch: dict[str, Tensor]) -> Made:
        """What is made of raw latents (B, C, T), as the networks see it; call in eval mode.

        Args:
            batch: `input`, `target`; for the compositional agent also `input_hpss`, `target_hpss`
                and, where known, `input_levels`, `target_levels` (B, 5, any) and `hpss_mix`; of a
                take other than the first `input_variation`, `target_variation`.
        """
        names = ("input", "target", "input_hpss", "target_hpss", "hpss_mix")
        seen = {name: self.seen(batch[name]) for name in names if name in batch}
        made = self.generator(
            seen["input"],
            seen["target"],
            objective.both(seen, "hpss"),
            self.hparams.temperature[1],
            variation=objective.both(batch, "variation"),
            levels=objective.levels(batch),
        )
        if "hpss_mix" not in seen or not made.parts or "input_variation" in batch:
            return made  # a take is to differ, also where the plain piece is the mix itself
        return objective.anchored(made, seen, batch)

    def generate(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """A piece from raw latents (B, C, T): `output`, raw, and both masks; call in eval mode."""
        made = self.compose(batch)
        return {
            "output": self.raw(made.outputs[-1].float()),
            "input_mask": made.masks[0],
            "target_mask": made.masks[1],
            "familiarity": made.familiarity[:, :, None].expand(-1, -1, batch["input"].shape[-1]),
        }

    def annealed(self) -> float:
        """The gate's temperature now; it follows from the update's number, so resumes are exact."""
        first, last = self.hparams.temperature
        epochs = self.global_step / self.trainer.num_training_batches
        return first * (last / first) ** min(1.0, epochs / max(1e-6, self.hparams.anneal))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        optimizers = self.optimizers()
        ours = optimizers if self.adversary is None else optimizers[0]
        batch = {name: x if "levels" in name else self.seen(x) for name, x in batch.items()}
        if self.trainer.datamodule.additive and "input_levels" in batch and self.generator.levels:
            del batch["blend"]  # made of its parts: then no peak has turned it down
        if torch.rand(()) < self.remixes:
            batch = remix(batch)
        a, b = batch["input"], batch["target"]
        blend = objective.blend_of(self.generator, batch)
        found = objective.both(batch, "hpss")
        levels = objective.levels(batch)
        made = self.generator(a, b, found, self.annealed(), self.hparams.noise, levels=levels)
        logged = {}
        if self.adversary is not None:
            logged = self.adversary.learn(self, optimizers[1], made.outputs[-1], a, b, blend)

        self.toggle_optimizer(ours)
        details, terms = objective.terms_of(self, made, batch, blend)
        total, shares = weighted_sum(terms, self.hparams.loss_weights)
        ours.zero_grad()
        self.manual_backward(total)
        self.grad_norm = clip_grad_norm_(self.generator.parameters(), self.hparams.clip).detach()
        ours.step()
        self.untoggle_optimizer(ours)
        if self.schedule:
            self.lr_schedulers().step()

        logged |= {f"train/{name}": value.detach() for name, value in (terms | details).items()}
        logged |= {f"share/{name}": value for name, value in shares.items()}
        self.log_dict(logged | {"train/total": total.detach()}, batch_size=len(a))

    def on_validation_epoch_start(self) -> None:
        data = self.trainer.datamodule
        if self.generator.decomposes and not self.trainer.sanity_checking:
            batches = islice(data.val_dataloader(), int(self.trainer.num_val_batches[0]))
            there = (data.transfer_batch_to_device(b, self.device, 0) for b in batches)
            paying.choose(self, there)
        self.evaluation.begin(data, self.device)

    def on_test_epoch_start(self) -> None:
        self.evaluation.begin(self.trainer.datamodule, self.device)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        every = self.hparams.heard_every
        due = bool(every) and self.validations % every == 0 and not self.trainer.sanity_checking
        heard = self.to_hear() if due else 0
        self.evaluation.update(self, self.trainer.datamodule, batch, heard=heard)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.evaluation.update(self, self.trainer.datamodule, batch, heard=self.to_hear())

    def to_hear(self) -> int | None:
        """How many pairs to decode: none where decoded audio means nothing, and then it says so."""
        heard = self.hparams.heard
        if heard != 0 and not self.trainer.datamodule.codec.meaningful:
            if not self.evaluation.mask_means:  # at the first batch
                self.print("rhythm, harmony and mel distance not measured: the codec is untrained")
            return 0
        return heard and math.ceil(heard / self.trainer.world_size)

    def on_validation_epoch_end(self) -> None:
        self.validations += not self.trainer.sanity_checking
        self.conclude("val")

    def on_test_epoch_end(self) -> None:
        self.conclude("test")

    def conclude(self, split: str) -> None:
        whole = split == "test" and self.trainer.world_size == 1
        found = self.evaluation.conclude(self.trainer.datamodule, whole=whole)
        ours = found.pop("model")
        self.baselines = found
        self.log_dict({f"{split}/{name}": value for name, value in ours.items()}, sync_dist=True)

    def audio(self) -> dict[str, tuple[Tensor, int]]:
        """The fixed validation pair, decoded: each (1, samples) and its rate."""
        return self.evaluation.audio(self, self.trainer.datamodule.codec)

    def figures(self) -> dict:
        return self.evaluation.figures(self, self.trainer.datamodule.codec)
