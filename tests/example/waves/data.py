"""Noisy sine waves, made as they are asked for."""

import hashlib

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from experiments.shared.kinds import PositiveInt
from experiments.shared.loaders import training_loader


class Waves(Dataset):
    """Item (epoch, index): {"clean", "noisy": (T,) float32}, from (seed, epoch, index) alone."""

    def __init__(self, size: int, length: int, noise: float, seed: int):
        self.size, self.length, self.noise, self.seed = size, length, noise, seed

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, *np.atleast_1d(item)))
        turns = np.linspace(0, rng.uniform(1, 4), self.length) + rng.uniform()
        clean = np.sin(2 * np.pi * turns)
        noisy = clean + self.noise * rng.standard_normal(self.length)
        return {k: torch.from_numpy(v).float() for k, v in (("clean", clean), ("noisy", noisy))}


class WaveData(L.LightningDataModule):
    """Serves `Waves`: `sizes` says how many each split has."""

    def __init__(
        self, sizes: dict[str, int], length: int, noise: float, batch_size: PositiveInt, seed: int
    ):
        super().__init__()
        self.sizes, self.batch_size, self.seed = sizes, batch_size, seed
        self.train, self.val, self.test = (
            Waves(sizes[split], length, noise, seed + number)
            for number, split in enumerate(("train", "val", "test"))
        )

    def train_dataloader(self):
        return training_loader(self.train, self.batch_size, seed=self.seed, trainer=self.trainer)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val, self.batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.test, self.batch_size)

    def describe(self) -> dict:
        digest = hashlib.sha256(repr((vars(self.train), self.sizes)).encode()).hexdigest()
        return {"source": "embedded", "sizes": self.sizes, "hash": digest[:16]}
