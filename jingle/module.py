"""The creative agent: a gate chooses, a cascade writes the blend, an adversary listens.

Axes: B batch, C latent channels, T frames (75 a second). Batches hold raw latents; metrics are of
standardised ones.
"""

import math
from collections.abc import Callable
from typing import Annotated, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torchmetrics.classification import BinaryAUROC

from experiments.shared.errors import InputError
from experiments.shared.kinds import (
    ArgumentsOf,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Weights,
)
from experiments.shared.losses import check_names, weighted_sum
from jingle import figures, losses, metrics
from jingle.networks.cascade import Cascade, Discriminator
from jingle.networks.gate import Gate
from jingle.networks.published import AttentionAgent, PublishedCascade, PublishedDiscriminator, bce
from jingle.pieces import listening

AGENTS = {"gate": Gate, "attention": AttentionAgent}
WRITERS = {"rotary": Cascade, "published": PublishedCascade}
ADVERSARIES = {"conditional": Discriminator, "published": PublishedDiscriminator}


class CreativeAgent(pl.LightningModule):
    """Trains agent and cascade against the blend, and an adversary, by two optimizers.

    Args:
        loss_weights: a weight for each of `losses.TERMS`.
        agent: "gate" (one field, complementary masks) or "attention" (published: two masks).
        gate: sizes of the gate, arguments of `Gate`.
        writer: "rotary" (ours) or "published", the cascade.
        stages: sizes of our cascade, arguments of `Cascade`.
        adversary: "conditional" (hinge, hears both sources; real is the blend) or "published"
            (cross-entropy, hears the piece alone; real is the target).
        mask_terms: "each" asks every sample and channel for movement and balance; "batch", as
            published, only their means.
        standardise: whether the networks see standardised latents; published: raw ones.
        noise: level of the anti-cheating noise on the sources in training (std of the latents).
        agent_rate: the agent's learning rate, relative to the cascade's.
        temperature: of the gate, at first and after `anneal` epochs; geometric in between.
            Evaluation always uses the last one, so that its numbers can be compared.
        anneal: epochs from the first temperature to the last.
        clip: largest gradient norm of generator and adversary.
        decode_every: updates between those with decoded terms (`mel`, `spectral`).
        decode_seconds: length of the decoded crop, of one sample a device.
        heard: how many pairs are decoded for the audio metrics in a test (0: none).
        heard_every: validations between those with audio metrics; 0: only in tests.
        optimizer: partial of the generator's optimizer.
        adversary_optimizer: partial of the adversary's optimizer.
        schedule: partial of the generator's schedule, counted in epochs: it does not depend on
            `trainer.max_epochs`, so that a run can be resumed for longer.
    """

    precisions = ("32-true", "bf16-mixed")  # 16-mixed scales what two optimizers share

    def __init__(
        self,
        loss_weights: Weights,
        *,
        agent: Literal["gate", "attention"] = "gate",
        gate: Annotated[dict, ArgumentsOf(Gate)] | None = None,
        writer: Literal["rotary", "published"] = "rotary",
        stages: Annotated[dict, ArgumentsOf(Cascade)] | None = None,
        adversary: Literal["conditional", "published"] = "conditional",
        mask_terms: Literal["each", "batch"] = "each",
        standardise: bool = True,
        noise: NonNegativeFloat = 0.9,
        agent_rate: NonNegativeFloat = 10.0,
        temperature: tuple[PositiveFloat, PositiveFloat] = (4.0, 0.1),
        anneal: PositiveFloat = 8.0,
        clip: PositiveFloat = 1.0,
        decode_every: PositiveInt = 8,
        decode_seconds: PositiveFloat = 1.0,
        heard: NonNegativeInt = 16,
        heard_every: NonNegativeInt = 5,
        optimizer: Callable | None = None,
        adversary_optimizer: Callable | None = None,
        schedule: Callable | None = None,
    ):
        super().__init__()
        check_names(loss_weights, losses.TERMS)
        for name, value, known in (
            ("agent", agent, AGENTS),
            ("writer", writer, WRITERS),
            ("adversary", adversary, ADVERSARIES),
            ("mask_terms", mask_terms, ("each", "batch")),
        ):
            if value not in known:
                raise InputError(f"model.{name}={value}: expected one of {', '.join(known)}")
        self.save_hyperparameters(
            ignore=["optimizer", "adversary_optimizer", "schedule"], logger=False
        )
        self.automatic_optimization = False
        self.optimizer, self.adversary_optimizer = optimizer, adversary_optimizer
        self.schedule = schedule
        self.generator = nn.ModuleDict(
            {
                "agent": AGENTS[agent](**(gate or {}) if agent == "gate" else {}),
                "cascade": WRITERS[writer](**(stages or {}) if writer == "rotary" else {}),
            }
        )
        self.adversary = ADVERSARIES[adversary]()
        self.register_buffer("mean", torch.zeros(128, 1))
        self.register_buffer("std", torch.ones(128, 1))
        self.register_buffer("measured", torch.tensor(False))  # whether mean and std are known
        self.tables = nn.ModuleDict({name: metrics.PairTable() for name in metrics.TABLES})
        self.aurocs = nn.ModuleDict({"model": BinaryAUROC(), "plain_average": BinaryAUROC()})
        self.baselines: dict[str, dict[str, float]] = {}
        self.example: dict[str, Tensor] = {}
        self.mask_means: list[Tensor] = []
        self.validations = 0

    def setup(self, stage: str) -> None:
        """Take the training set's statistics, unless a checkpoint has brought its own."""
        if not self.measured:
            mean, std = self.trainer.datamodule.statistics
            self.mean.copy_(mean[:, None])
            self.std.copy_(std[:, None])
            self.measured.fill_(True)

    def configure_optimizers(self):
        rate = self.optimizer.keywords["lr"] * self.hparams.agent_rate
        ours = self.optimizer(
            [
                {"params": list(self.generator["cascade"].parameters())},
                {"params": list(self.generator["agent"].parameters()), "lr": rate},
            ]
        )
        theirs = self.adversary_optimizer(self.adversary.parameters())
        return [ours, theirs], [self.schedule(ours)] if self.schedule else []

    def on_fit_start(self) -> None:
        idle = [name for name in losses.DEAR if not self.hparams.loss_weights[name]]
        if idle:
            self.print(f"not computed, for they need decoded audio and weigh 0: {', '.join(idle)}")

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["validations"] = self.validations

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.validations = checkpoint.get("validations", 0)  # older checkpoints lack it

    # What the networks see, and back

    def standard(self, latents: Tensor) -> Tensor:
        """Raw latents (B, C, T) with mean 0 and std 1 in each channel."""
        return (latents - self.mean) / self.std

    def seen(self, latents: Tensor) -> Tensor:
        """Raw latents as the networks see them."""
        return self.standard(latents) if self.hparams.standardise else latents

    def raw(self, seen: Tensor) -> Tensor:
        """The inverse of `seen`."""
        return seen * self.std + self.mean if self.hparams.standardise else seen

    @torch.no_grad()
    def generate(self, input_latents: Tensor, target_latents: Tensor) -> dict[str, Tensor]:
        """A piece from raw latents (B, C, T): `output`, raw, and both masks; call in eval mode."""
        a, b = self.seen(input_latents), self.seen(target_latents)
        masks = self.generator["agent"](a, b, self.hparams.temperature[1])
        output = self.generator["cascade"](a, b, masks)[-1]
        return {
            "output": self.raw(output.float()),
            "input_mask": masks[0],
            "target_mask": masks[1],
        }

    # Training

    def annealed(self) -> float:
        """The gate's temperature now; it follows from the update's number, so resumes are exact."""
        first, last = self.hparams.temperature
        epochs = self.global_step / self.trainer.num_training_batches
        return first * (last / first) ** min(1.0, epochs / max(1e-6, self.hparams.anneal))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        ours, theirs = self.optimizers()
        a, b, blend = (self.seen(batch[name]) for name in ("input", "target", "blend"))
        masks = self.generator["agent"](a, b, self.annealed())
        outputs = self.generator["cascade"](a, b, masks, self.hparams.noise)
        fake = outputs[-1]

        self.toggle_optimizer(theirs)
        published = self.hparams.adversary == "published"
        # scored together: half the launches, and one spectral power iteration
        real = b if published else blend
        scores = self.adversary(*(torch.cat(x) for x in ((real, fake.detach()), (a, a), (b, b))))
        real_score, fake_score = scores.chunk(2)
        adversary = (bce if published else losses.hinge)(real_score, fake_score)
        theirs.zero_grad()
        self.manual_backward(adversary)
        clip_grad_norm_(self.adversary.parameters(), self.hparams.clip)
        theirs.optimizer.step()  # not counted: global_step is the number of generator updates
        self.untoggle_optimizer(theirs)

        self.toggle_optimizer(ours)
        game = losses.gan_published if published else losses.gan
        parts, terms = self.mask_terms(*masks)
        terms["gan"] = game(self.adversary(fake, a, b))
        terms["input"], terms["target"] = losses.input(fake, a), losses.target(fake, b)
        terms["blend"] = losses.blend(outputs, blend)
        terms |= self.decoded_terms(fake, batch["blend"])
        total, shares = weighted_sum(terms, self.hparams.loss_weights)
        ours.zero_grad()
        self.manual_backward(total)
        self.grad_norm = clip_grad_norm_(self.generator.parameters(), self.hparams.clip).detach()
        ours.step()
        self.untoggle_optimizer(ours)

        logged = {f"train/{name}": value.detach() for name, value in (terms | parts).items()}
        logged |= {f"share/{name}": value for name, value in shares.items()}
        logged |= {"train/total": total.detach(), "train/adversary": adversary.detach()}
        logged["train/real_accuracy"] = (real_score.detach() > 0).float().mean()
        logged["train/fake_accuracy"] = (fake_score.detach() < 0).float().mean()
        self.log_dict(logged, batch_size=len(a))

    def on_train_epoch_end(self) -> None:
        if self.schedule:
            self.lr_schedulers().step()

    def mask_terms(self, m: Tensor, n: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The parts of `mask_reg`, and the terms `mask_reg` and `balance`."""
        each = self.hparams.mask_terms == "each"
        parts = {
            "overlap": losses.overlap(m, n),
            "coverage": losses.coverage(m, n),
            "temporal": (losses.temporal if each else losses.temporal_published)(m, n),
        }
        balance = (losses.balance if each else losses.balance_published)(m, n)
        return parts, {"mask_reg": losses.mask_reg(**parts), "balance": balance}

    def decoded_terms(self, fake: Tensor, blend: Tensor) -> dict[str, Tensor]:
        """`mel` and `spectral` of a decoded crop, where they weigh anything and it is their turn.

        All ranks agree: the turn follows from the update's number.
        """
        wanted = [name for name in losses.DEAR if self.hparams.loss_weights[name]]
        if not wanted or self.global_step % self.hparams.decode_every:
            return {}
        codec, seconds = self.trainer.datamodule.codec, self.hparams.decode_seconds
        made, real = listening.crop(codec, self.raw(fake), blend, seconds=seconds)
        return {name: getattr(losses, name)(made, real) for name in wanted}

    # Evaluation

    def on_validation_epoch_start(self) -> None:
        self.begin()

    def on_test_epoch_start(self) -> None:
        self.begin()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        every = self.hparams.heard_every
        due = bool(every) and self.validations % every == 0 and not self.trainer.sanity_checking
        self.evaluate(batch, batch_idx, heard=self.to_hear() if due else 0)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.evaluate(batch, batch_idx, heard=self.to_hear())

    def to_hear(self) -> int:
        """How many pairs to decode: none where decoded audio means nothing, and then it says so."""
        if self.hparams.heard and not self.trainer.datamodule.codec.meaningful:
            if not self.mask_means:  # at the first batch
                self.print("rhythm, harmony and mel distance not measured: the codec is untrained")
            return 0
        return self.hparams.heard

    def on_validation_epoch_end(self) -> None:
        self.validations += not self.trainer.sanity_checking
        self.conclude("val")

    def on_test_epoch_end(self) -> None:
        self.conclude("test")

    def begin(self) -> None:
        for metric in (*self.tables.values(), *self.aurocs.values()):
            metric.reset()
        self.mask_means, self.decoded = [], 0
        self.bits = torch.Generator().manual_seed(0)  # of the random-bits baseline

    def evaluate(self, batch: dict[str, Tensor], batch_idx: int, *, heard: int) -> None:
        """Measure a batch and its baselines; decode as many of its pairs as `heard` still asks."""
        made = self.generate(batch["input"], batch["target"])
        matched = batch["matched"]
        a, b, blend, piece = (
            self.standard(x)
            for x in (batch["input"], batch["target"], batch["blend"], made["output"])
        )
        m, n = made["input_mask"], made["target_mask"]
        pieces = {"plain_average": (a + b) / 2, "input_alone": a, "target_alone": b}
        pieces |= {"gated_sum": m * a + n * b, "silence": torch.zeros_like(a)}
        ours = metrics.of_masks(a, b, m, n) | metrics.of_piece(piece, a, b, blend)
        self.tables["model"].update(ours, matched)
        for name, other in pieces.items():
            self.tables[name].update(metrics.of_piece(other, a, b, blend), matched)
        for name, others in metrics.trivial_masks(a, self.bits).items():
            self.tables[name].update(metrics.of_masks(a, b, *others), matched)
        self.judge(batch, made["output"], matched)
        heard = min(len(a), math.ceil(heard / self.trainer.world_size) - self.decoded)
        if heard > 0:
            self.decoded += heard
            shown = {k: v[:heard] for k, v in batch.items()}
            scores = listening.compare(self.trainer.datamodule.codec, shown, made["output"][:heard])
            for name, values in scores.items():
                self.tables[name].update(values, matched[:heard])
        self.mask_means.append(m.mean((1, 2)).cpu())
        if batch_idx == 0:
            shown = {name: batch[name] for name in ("input", "target", "blend")} | made
            self.example = {name: value[:1].float().cpu() for name, value in shown.items()}

    def judge(self, batch: dict[str, Tensor], output: Tensor, matched: Tensor) -> None:
        """What the adversary makes of real, generated and plainly averaged pieces."""
        average = (batch["input"] + batch["target"]) / 2
        real = batch["target"] if self.hparams.adversary == "published" else batch["blend"]
        a, b = self.seen(batch["input"]), self.seen(batch["target"])
        truth, ours, plain = (
            self.adversary(self.seen(x), a, b).mean(1) for x in (real, output, average)
        )
        for name, fake in (("model", ours), ("plain_average", plain)):
            scores = {"real_accuracy": (truth > 0).float(), "fake_accuracy": (fake < 0).float()}
            self.tables[name].update(scores, matched)
            known = torch.cat([torch.ones_like(truth), torch.zeros_like(fake)]).long()
            self.aurocs[name].update(torch.cat([truth, fake]).sigmoid(), known)

    def conclude(self, split: str) -> None:
        found = {n: table.compute() for n, table in self.tables.items() if table.update_called}
        for name, auroc in self.aurocs.items():
            found[name]["adversary_auc"] = float(auroc.compute())
        plain = found["plain_average"]["blend_distance"]
        for values in found.values():
            if "blend_distance" in values:
                values["blend_gain"] = 1 - values["blend_distance"] / plain
        ours = found.pop("model")
        self.baselines = found
        self.log_dict({f"{split}/{name}": value for name, value in ours.items()}, sync_dist=True)

    # Pictures and sound

    def audio(self) -> dict[str, tuple[Tensor, int]]:
        """The fixed validation pair, decoded: each (1, samples) and its rate."""
        if not self.example:
            return {}
        names = ("input", "target", "output", "blend")
        codec = self.trainer.datamodule.codec
        stacked = torch.cat([self.example[name] for name in names]).to(self.device)
        waves = listening.sound(codec, stacked).cpu()
        return {name: (wave, listening.RATE) for name, wave in zip(names, waves, strict=True)}

    def figures(self) -> dict:
        if not self.example:
            return {}
        standard = {
            name: self.standard(self.example[name].to(self.device))[0].cpu()
            for name in ("input", "target", "output", "blend")
        }
        waves = {name: wave[0] for name, (wave, _) in self.audio().items()}
        return {
            "masks": figures.masks(self.example["input_mask"][0], self.example["target_mask"][0]),
            "latents": figures.latents(standard),
            "spectrograms": figures.spectrograms(waves, listening.RATE),
            "mask_means": figures.mask_means(torch.cat(self.mask_means)),
        }
