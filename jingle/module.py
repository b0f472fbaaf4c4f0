"""The creative agent: an agent chooses what of two sources passes, a writer makes the piece of it.

Axes: B batch, C latent channels, T frames (75 a second). Batches hold raw latents; metrics are of
standardised ones.
"""

import math
from collections.abc import Callable
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
from jingle import losses
from jingle.adversary import Adversary
from jingle.evaluation import Evaluation
from jingle.networks.cascade import Cascade
from jingle.networks.composition import Decomposition, Recomposition
from jingle.networks.gate import Gate
from jingle.networks.generator import Generator, Made, check
from jingle.pieces import listening
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
        prior: weight of librosa's HPSS mix in the piece, whose errors are others than the writer's.
        remix: share of batches of new songs, percussion of one with harmony of another, where the
            latents of parts add up; with the recomposition only.
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
        prior: Fraction = 0.5,
        remix: Fraction = 0.5,
        noise: NonNegativeFloat = 0.0,
        agent_rate: NonNegativeFloat = 4.0,
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
        self.register_buffer("measured", torch.tensor(False))  # whether mean and std are known
        self.evaluation = Evaluation()
        self.baselines: dict[str, dict[str, float]] = {}
        self.validations = 0

    def setup(self, stage: str) -> None:
        """Take what was measured of the training set, unless a checkpoint has brought its own."""
        if not self.measured:
            data = self.trainer.datamodule
            mean, std = data.statistics
            self.mean.copy_(mean[:, None])
            self.std.copy_(std[:, None])
            if self.generator.levels:
                self.generator.start(data.channel_loudness())
            self.measured.fill_(True)

    def configure_optimizers(self):
        rate = self.optimizer.keywords["lr"] * self.hparams.agent_rate
        ours = self.optimizer(
            [
                {"params": list(self.generator.cascade.parameters())},
                {"params": list(self.generator.agent.parameters()), "lr": rate},
            ]
        )
        optimizers = [ours]
        if self.adversary is not None:
            optimizers.append(self.adversary_optimizer(self.adversary.parameters()))
        return optimizers, [self.schedule(ours)] if self.schedule else []

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
        """Raw latents as the networks see them."""
        return self.standard(latents) if self.hparams.standardise else latents

    def raw(self, seen: Tensor) -> Tensor:
        """The inverse of `seen`."""
        return seen * self.std + self.mean if self.hparams.standardise else seen

    def unstandard(self, latents: Tensor) -> Tensor:
        """The inverse of `standard`."""
        return latents * self.std + self.mean

    @torch.no_grad()
    def compose(self, input_latents: Tensor, target_latents: Tensor) -> Made:
        """What is made of raw latents (B, C, T), as the networks see it; call in eval mode."""
        a, b = self.seen(input_latents), self.seen(target_latents)
        return self.generator(a, b, self.hparams.temperature[1])

    def settle(self, output: Tensor, hpss_mix: Tensor) -> Tensor:
        """The piece, raw latents: the writer's `output` with its share of the HPSS mix."""
        return output + self.hparams.prior * (hpss_mix - output)

    def generate(self, input_latents: Tensor, target_latents: Tensor) -> dict[str, Tensor]:
        """A piece from raw latents (B, C, T): `output`, raw, and both masks; call in eval mode."""
        made = self.compose(input_latents, target_latents)
        return {
            "output": self.raw(made.outputs[-1].float()),
            "input_mask": made.masks[0],
            "target_mask": made.masks[1],
        }

    def annealed(self) -> float:
        """The gate's temperature now; it follows from the update's number, so resumes are exact."""
        first, last = self.hparams.temperature
        epochs = self.global_step / self.trainer.num_training_batches
        return first * (last / first) ** min(1.0, epochs / max(1e-6, self.hparams.anneal))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        optimizers = self.optimizers()
        ours = optimizers if self.adversary is None else optimizers[0]
        if torch.rand(()) < self.remixes:
            batch = remix(batch)
        a, b = self.seen(batch["input"]), self.seen(batch["target"])
        if "blend" in batch:
            blend = self.seen(batch["blend"])
        else:  # of remixed songs
            parts = batch["input_percussive"], batch["target_harmonic"]
            gains = self.generator.gains(*map(self.seen, parts), a, b)
            blend = self.seen(gains[0] * parts[0] + gains[1] * parts[1])
        made = self.generator(a, b, self.annealed(), self.hparams.noise)
        logged = {}
        if self.adversary is not None:
            logged = self.adversary.learn(self, optimizers[1], made.outputs[-1], a, b, blend)

        self.toggle_optimizer(ours)
        details, terms = losses.of_masks(*made.masks, each=self.hparams.mask_terms == "each")
        terms |= losses.of_piece(made.outputs, a, b, blend, early=self.generator.early)
        terms |= self.decoded_terms(made.outputs[-1], blend)
        if self.adversary is not None:
            terms["gan"] = self.adversary.gan(made.outputs[-1], a, b)
        if self.hparams.loss_weights["parts"] and made.parts and made.parts.keys() <= batch.keys():
            truth = {name: self.seen(batch[name]) for name in made.parts}
            terms["parts"] = losses.parts(made.parts, truth, self.generator.part_gains(truth, a, b))
        total, shares = weighted_sum(terms, self.hparams.loss_weights)
        ours.zero_grad()
        self.manual_backward(total)
        self.grad_norm = clip_grad_norm_(self.generator.parameters(), self.hparams.clip).detach()
        ours.step()
        self.untoggle_optimizer(ours)

        logged |= {f"train/{name}": value.detach() for name, value in (terms | details).items()}
        logged |= {f"share/{name}": value for name, value in shares.items()}
        self.log_dict(logged | {"train/total": total.detach()}, batch_size=len(a))

    def on_train_epoch_end(self) -> None:
        if self.schedule:
            self.lr_schedulers().step()

    def decoded_terms(self, fake: Tensor, blend: Tensor) -> dict[str, Tensor]:
        """`mel` and `spectral` of a decoded crop, in their turn, on which all ranks agree."""
        wanted = [name for name in losses.DEAR if self.hparams.loss_weights[name]]
        if not wanted or self.global_step % self.hparams.decode_every:
            return {}
        codec, seconds = self.trainer.datamodule.codec, self.hparams.decode_seconds
        made, real = listening.crop(codec, self.raw(fake), self.raw(blend), seconds=seconds)
        return {name: getattr(losses, name)(made, real) for name in wanted}

    def on_validation_epoch_start(self) -> None:
        self.evaluation.begin(self.trainer.datamodule, self.device)

    on_test_epoch_start = on_validation_epoch_start

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
