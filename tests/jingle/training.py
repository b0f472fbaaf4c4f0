"""A small agent, pairs of songs in raw latents, and a short fit of the one to the other."""

import functools

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from experiments.shared.schedules import warmup_cosine
from jingle.module import CreativeAgent

WEIGHTS = {"target": 0, "input": 0, "spectral": 0, "mel": 0}
WEIGHTS |= {"gan": 0.1, "mask_reg": 0.1, "balance": 5, "parts": 0.5, "power": 0.05, "blend": 1}
SMALL = {"gate": {"width": 16}, "stages": {"widths": [16, 16], "depth": 1, "patch": 2}}
SMALL |= {"compositional": {"width": 16, "depth": 2}, "recomposition": {"widths": [16], "depth": 1}}


class Humming:
    """A codec whose sound follows its latents, differentiably."""

    meaningful, identity, note = True, "humming", ""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        loud = latents.mean(1, keepdim=True).repeat_interleave(320, -1)
        return loud * torch.sin(torch.arange(loud.shape[-1]) * 0.1)


def song(frames: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Six beating and six slowly changing components, each (6, frames)."""
    period, phase = torch.randint(12, 60, (2,), generator=generator)
    beat = ((torch.arange(frames) + phase) % period < period // 4).float()
    notes = torch.randn(6, frames // 40 + 1, generator=generator)
    rhythm = torch.randn(6, 1, generator=generator) * beat
    return rhythm, notes.repeat_interleave(40, 1)[:, :frames]


class Pairs(pl.LightningDataModule):
    """Pairs of songs in raw latents, and their blends: the input's rhythm, the target's harmony."""

    def __init__(self, frames: int = 80, batch_size: int = 2, size: int = 8):
        super().__init__()
        self.batch_size, self.size, self.codec = batch_size, size, Humming()
        generator = torch.Generator().manual_seed(0)
        mix, self.items = torch.randn(128, 12, generator=generator), []
        for k in range(size + 4):
            a, b = song(frames, generator), song(frames, generator)
            item = {}
            for side, song_ in (("input", a), ("target", b)):
                item[f"{side}_percussive"] = 1 + 2 * mix[:, :6] @ song_[0]
                item[f"{side}_harmonic"] = 1 + 2 * mix[:, 6:] @ song_[1]
                item[side] = item[f"{side}_percussive"] + item[f"{side}_harmonic"]
            item["blend"] = item["input_percussive"] + item["target_harmonic"]
            for side, part in (("input", "percussive"), ("target", "harmonic")):
                item[f"{side}_hpss"] = 0.9 * item[f"{side}_{part}"] + 0.1 * item[side]
            item["hpss_mix"] = 0.9 * item["blend"] + 0.1 * item["target"]
            extra = {"matched": torch.tensor(k % 2 == 0), "pair": torch.tensor(k // 2)}
            self.items.append(item | extra)
        self.statistics = (torch.full((128,), 2.0), torch.full((128,), 5.0))
        self.additive = True

    def rest(self) -> torch.Tensor:
        return torch.zeros(128)

    def songs(self, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        found = []
        for item in self.items[: min(self.size, count // 2)]:
            found.append((item["input"][None], item["input_hpss"][None]))
            found.append((item["target"][None], (item["target"] - item["target_hpss"])[None]))
        return found

    def channel_loudness(self) -> torch.Tensor:
        return torch.full((128,), 0.01)

    def channel_gains(self) -> torch.Tensor:
        return torch.tensor([[0.5], [0.5], [0.0]]).expand(3, 128)

    def reference(self, count: int) -> list[torch.Tensor]:
        return [item["blend"] for item in self.items[: self.size]][:count]

    def train_dataloader(self) -> DataLoader:
        left_out = ("hpss_mix", "matched", "pair")
        items = [
            {name: value for name, value in item.items() if name not in left_out}
            for item in self.items[: self.size]
        ]
        return DataLoader(items, batch_size=self.batch_size)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.items[self.size :], batch_size=self.batch_size)

    def test_dataloader(self) -> DataLoader:
        return self.val_dataloader()


class Reseed(pl.Callback):
    """As the suite does: every batch draws its noise from its own number."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
        torch.manual_seed(1000 * trainer.current_epoch + batch_idx)


def agent(weights: dict | None = None, **options) -> CreativeAgent:
    torch.manual_seed(0)
    partial = functools.partial
    return CreativeAgent(
        WEIGHTS | (weights or {}),
        **(SMALL | {"heard": 0} | options),
        optimizer=partial(torch.optim.AdamW, lr=1e-3),
        adversary_optimizer=partial(torch.optim.AdamW, lr=1e-3, betas=(0.5, 0.999)),
        schedule=partial(warmup_cosine, warmup=1, total=4),
    )


def fit(module: CreativeAgent, tmp_path, *, pairs: Pairs | None = None, **options) -> pl.Trainer:
    resume = options.pop("ckpt_path", None)
    defaults = {"max_epochs": 1, "limit_val_batches": 0, "callbacks": [Reseed()]}
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        **(defaults | options),
    )
    trainer.fit(module, datamodule=pairs or Pairs(), ckpt_path=resume)
    return trainer
