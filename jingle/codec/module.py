"""Trains a small SEANet codec with continuous latents: steps, logging, optimizer."""

from collections.abc import Callable
from typing import Annotated, Literal

import lightning as L
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.shared.errors import InputError
from experiments.shared.kinds import ArgumentsOf, NonNegativeFloat, PositiveInt, Weights
from experiments.shared.losses import check_names, weighted_sum
from jingle import figures
from jingle.codec import losses
from jingle.codec.metrics import BASELINES, SongTable
from jingle.codec.model import RATE
from jingle.codec.optimizer import even_groups, level_groups
from jingle.codec.seanet import build_seanet, small
from jingle.codec.start import transform_start


class CodecTraining(L.LightningModule):
    """The codec in training; batches are {"audio": (B, 1, S)} at 24 kHz.

    Args:
        loss_weights: weight of each of `losses.TERMS`.
        architecture: arguments of `jingle.codec.model.small`.
        start: "transform" (an MDCT and levels of noise, see `jingle.codec.start`) or "random".
        start_crops: how many crops the transform is fitted to.
        noise: latents get Gaussian noise of a deviation drawn from [0, noise] for each sample, so
            that the decoder bears latents that another network predicts.
        optimizer: partial of `jingle.codec.optimizer.LevelAdam`.
        schedule: partial of a schedule, stepped every update.
    """

    def __init__(
        self,
        loss_weights: Weights,
        architecture: Annotated[dict, ArgumentsOf(small)] | None = None,
        start: Literal["transform", "random"] = "transform",
        start_crops: PositiveInt = 160,
        noise: NonNegativeFloat = 0.1,
        optimizer: Callable | None = None,
        schedule: Callable | None = None,
    ):
        super().__init__()
        check_names(loss_weights, losses.TERMS)
        if start not in ("transform", "random"):
            raise InputError(f"model.start={start}: expected transform or random")
        architecture = small(**(architecture or {}))
        if start == "transform" and (
            architecture["norm"] != "none"
            or architecture["lstm"]
            or architecture["n_residual_layers"] != 1
            or not architecture["true_skip"]
            or architecture["causal"]
            or architecture["n_filters"] < 8
            or architecture["noise_bands"] != 4
        ):
            raise InputError(
                "model.start=transform: expected norm none, lstm 0, n_residual_layers 1, "
                "true_skip, not causal, n_filters >= 8, noise_bands 4; choose model.start=random "
                "for others"
            )
        self.save_hyperparameters(ignore=["optimizer", "schedule"], logger=False)
        self.hparams["architecture"] = architecture  # whole, so that a checkpoint says all
        self.encoder, self.decoder = build_seanet(architecture)
        self.loss_weights, self.noise = loss_weights, noise
        self.start, self.start_crops = start, start_crops
        self.optimizer, self.schedule = optimizer, schedule
        self.groups: list[dict] = []  # of the optimizer
        self.table = SongTable()
        self.trivial = torch.nn.ModuleDict({name: SongTable() for name in BASELINES})
        self.baselines: dict[str, dict[str, float]] = {}
        self.example: dict[str, Tensor] | None = None

    def setup(self, stage: str) -> None:
        # before a checkpoint is restored, which then overrides it
        if stage == "fit" and self.start == "transform":
            crops = self.trainer.datamodule.train_dataset()
            sounds = [crops[0, index]["audio"] for index in range(self.start_crops)]
            print(
                f"codec: fitting the start, a transform codec, to {len(sounds)} crops", flush=True
            )
            sounds = torch.stack(sounds)
            transform_start(self.encoder, self.decoder, sounds)
            self.groups = level_groups(self.encoder, self.decoder, sounds[:32])

    def round_trip(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Sound and latents: (B, 1, S) -> (B, 1, S), (B, 128, T)."""
        latents = self.encoder(audio)
        return self.decoder(latents)[..., : audio.shape[-1]], latents

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        audio = batch["audio"]
        latents = self.encoder(audio)
        level = self.noise * torch.rand(len(audio), 1, 1, device=audio.device)
        noisy = latents + level * torch.randn_like(latents)
        found = self.decoder(noisy)[..., : audio.shape[-1]]
        terms = {
            "waveform": losses.waveform(found, audio),
            "stft": losses.stft(found, audio),
            "mel": losses.mel(found, audio),
            "latent": losses.latent(latents),
        }
        total, shares = weighted_sum(terms, self.loss_weights)
        size = len(audio)
        self.log_dict({f"train/{k}": v.detach() for k, v in terms.items()}, batch_size=size)
        self.log_dict({f"share/{k}": v for k, v in shares.items()}, batch_size=size)
        self.log("train/total", total.detach(), batch_size=size)
        return total

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._listen(batch["audio"], batch_idx, with_baselines=not self.baselines)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._listen(batch["audio"], batch_idx, with_baselines=True)

    def _listen(self, audio: Tensor, index: int, with_baselines: bool) -> None:
        found, latents = self.round_trip(audio)
        self.table.update(found, audio)
        if with_baselines:
            for name, trivial in BASELINES.items():
                self.trivial[name].update(trivial(audio), audio)
        if index == 0:
            example = {"original": audio[0], "round trip": found[0], "latents": latents[0]}
            self.example = {k: v.detach().float().cpu() for k, v in example.items()}

    def on_validation_epoch_end(self) -> None:
        self._conclude("val")

    def on_test_epoch_end(self) -> None:
        self.baselines = {}
        self._conclude("test")

    def _conclude(self, split: str) -> None:
        self.log_dict({f"{split}/{k}": v for k, v in self.table.compute().items()})
        self.table.reset()
        if not self.baselines:
            found = {name: table.compute() for name, table in self.trivial.items()}
            if not self.trainer.sanity_checking:  # it hears a part of the songs only
                self.baselines = found
        for table in self.trivial.values():
            table.reset()

    def configure_optimizers(self):
        optimizer = self.optimizer(self.groups or even_groups(self))
        if self.schedule is None:
            return optimizer
        schedule = self.schedule(optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def figures(self) -> dict[str, Figure]:
        """Spectrograms and latents of the fixed validation song."""
        if self.example is None:
            return {}
        original, found = self.example["original"], self.example["round trip"]
        pieces = {"original": original, "round trip": found, "difference": original - found}
        latents = self.example["latents"][:, : 75 * 4]
        return {
            "round_trip": figures.spectrograms(pieces, RATE),
            "latents": figures.latents({"latents, the first 4 s": latents}),
        }

    def audio(self) -> dict[str, tuple[Tensor, int]]:
        """The fixed validation song, before and after."""
        if self.example is None:
            return {}
        names = {"original": "original", "round_trip": "round trip"}
        return {name: (self.example[key], RATE) for name, key in names.items()}
