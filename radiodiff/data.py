"""Radio maps in RadioMapSeer's layout: read, split by city, cropped, turned and mirrored.

    ROOT/gain/{DPM,IRT2,IRT4,carsDPM,...}/{map}_{tx}.png   gray, 0 in buildings
    ROOT/png/buildings_complete/{map}.png                  0 or 255
    ROOT/png/antennas/{map}_{tx}.png                       one lit pixel

Map 0 is in no split, as published.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from experiments.shared import corpora
from experiments.shared.errors import InputError
from experiments.shared.kinds import NonNegativeInt, PositiveInt, Share
from experiments.shared.loaders import training_loader
from radiodiff import corpus
from radiodiff.cities.propagation import in_sight
from radiodiff.manifest import SPLITS, choose, refuse_moved
from radiodiff.png import LARGEST_SIDE, read_gray
from radiodiff.scan import SIMULATIONS, Sample, first_of_each, read_transmitter, scan


def turn(array: np.ndarray, which: int) -> np.ndarray:
    """One of the eight symmetries of the square (D4): `which` in 0..7; of the last two axes."""
    turned = np.rot90(array, which % 4, axes=(-2, -1))
    return turned[..., ::-1] if which >= 4 else turned


def scaled(gray: np.ndarray) -> Tensor:
    """8-bit gray (H, W) -> (1, H, W) in [-1, 1]."""
    return torch.from_numpy(gray.astype(np.float32) / 127.5 - 1.0)[None]


class TrainMaps(Dataset):
    """Item (epoch, index): {"map": (1, H, W) float32 in [-1, 1]}.

    Crop and symmetry follow from (seed, epoch, index) alone.
    """

    def __init__(self, samples: list[Sample], crop: int | None, augment: bool, seed: int):
        self.samples, self.crop, self.augment, self.seed = samples, crop, augment, seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Tensor]:
        epoch, index = item
        rng = np.random.default_rng((self.seed, epoch, index))
        gray = read_gray(self.samples[index].gain)
        if self.crop and self.crop < len(gray):
            y, x = rng.integers(len(gray) - self.crop + 1, size=2)
            gray = gray[y : y + self.crop, x : x + self.crop]
        if self.augment:
            gray = turn(gray, int(rng.integers(8)))
        return {"map": scaled(gray)}


class WholeMaps(Dataset):
    """Item: {"map": as in training but whole, "buildings", "sight": (1, H, W) bool, "city": int64}.

    `sight` is where a straight line to the transmitter crosses no building.
    """

    def __init__(self, samples: list[Sample]):
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        sample = self.samples[index]
        gray, buildings = read_gray(sample.gain), read_gray(sample.buildings) > 127
        if buildings.shape != gray.shape:
            raise InputError(
                f"{sample.buildings}: expected {gray.shape} pixels as its map has, got "
                f"{buildings.shape}"
            )
        y, x = read_transmitter(sample.antenna, gray.shape)
        return {
            "map": scaled(gray),
            "buildings": torch.from_numpy(buildings)[None],
            "sight": torch.from_numpy(in_sight(buildings, y, x))[None],
            "city": torch.tensor(sample.city),
        }


@dataclass
class Splits:
    """Samples of the three splits."""

    train: list[Sample]
    val: list[Sample]
    test: list[Sample]


class RadioMaps(L.LightningDataModule):
    """Serves radio maps, split by city; validation and test see whole maps of unseen cities.

    Args:
        root: folder in RadioMapSeer's layout; None makes the embedded corpus.
        cache: folder for the embedded corpus and the manifest of splits.
        simulation: one of DPM, IRT2, IRT4, carsDPM, carsIRT2, carsIRT4.
        size: pixels a side.
        crop: side of training crops; None trains on whole maps.
        augment: turn and mirror training maps at random.
        batch_size: training samples a device.
        eval_batch: maps a batch in validation and test.
        eval_transmitters: at most so many maps of each unseen city; None: all.
        shares: of the cities, for validation and test.
        manifest: file with cities of each split (JSON); None draws one by `seed` and keeps it.
        seed: of splits, order, crops and symmetries.
        num_workers: processes that read maps.
        maps: cities of the embedded corpus.
        transmitters: of each city.
        cars: of each city; needed for simulation carsDPM.
        corpus_seed: of its cities.
        corpus_workers: processes that make it.
    """

    def __init__(
        self,
        root: str | None = None,
        cache: str = "data",
        *,
        simulation: Literal["DPM", "IRT2", "IRT4", "carsDPM", "carsIRT2", "carsIRT4"] = "DPM",
        size: PositiveInt = 256,
        crop: PositiveInt | None = None,
        augment: bool = True,
        batch_size: PositiveInt = 16,
        eval_batch: PositiveInt = 8,
        eval_transmitters: PositiveInt | None = None,
        shares: tuple[Share, Share] = (0.15, 0.15),
        manifest: str | None = None,
        seed: NonNegativeInt = 42,
        num_workers: NonNegativeInt = 4,
        maps: PositiveInt = 120,
        transmitters: PositiveInt = 20,
        cars: NonNegativeInt = 0,
        corpus_seed: NonNegativeInt = 0,
        corpus_workers: PositiveInt = 1,
    ):
        super().__init__()
        if simulation not in SIMULATIONS:
            raise InputError(
                f"data.simulation={simulation}: expected one of {', '.join(SIMULATIONS)}"
            )
        side = crop or size
        if side % 4 or side < 32 or side > size or size > LARGEST_SIDE:
            raise InputError(
                f"data.crop={crop}, data.size={size}: expected a multiple of 4, from 32 to the "
                f"size, and this at most {LARGEST_SIDE:,}"
            )
        if root is None and maps < len(SPLITS):
            raise InputError(
                f"data.maps={maps}: expected {len(SPLITS)} cities at least, one each to train, "
                "validate and test"
            )
        if simulation == "carsDPM" and root is None and not cars:
            raise InputError(
                "data.simulation=carsDPM without data.root needs data.cars, 40 for instance"
            )
        if root is None and simulation not in ("DPM", "carsDPM"):
            raise InputError(
                f"data.simulation={simulation}: the embedded corpus has DPM alone; give data.root"
            )
        self.root, self.cache = Path(root) if root else None, Path(cache)
        self.simulation, self.size, self.crop, self.augment = simulation, size, crop, augment
        self.batch_size, self.eval_batch = batch_size, eval_batch
        self.eval_transmitters, self.shares, self.manifest = eval_transmitters, shares, manifest
        self.seed, self.num_workers = seed, num_workers
        self.parameters = {
            "maps": maps,
            "transmitters": transmitters,
            "size": size,
            "cars": cars,
            "seed": corpus_seed,
            "version": 3,
        }
        self.corpus_workers = corpus_workers
        self.splits: Splits | None = None
        self.unit_per_sample = ("pixels", side * side)

    def prepare_data(self) -> None:
        if self.root is None:
            self.embedded()

    def embedded(self) -> Path:
        wanted = {k: v for k, v in self.parameters.items() if k != "version"}

        def make(folder: Path) -> None:
            corpus.make_corpus(folder, **wanted, workers=self.corpus_workers)

        return corpora.build_once(self.cache, "radio-maps", self.parameters, make)

    def setup(self, stage: str | None = None) -> None:
        if self.splits is not None:
            return
        self.folder = self.root or self.embedded()
        samples, self.skipped = scan(self.folder, self.simulation, self.size)
        for line in self.skipped:
            print(line, flush=True)
        cities = sorted({s.city for s in samples})
        self.cities, self.manifest_file = choose(
            cities, self.shares, self.seed, self.manifest, self.cache, self.folder
        )
        by_split = {n: [s for s in samples if s.city in set(c)] for n, c in self.cities.items()}
        for name, members in by_split.items():
            if not members:
                raise InputError(
                    f"{self.folder}: no map in split {name}; give more cities or shares"
                )
        limit = self.eval_transmitters
        for name in ("val", "test"):
            by_split[name] = first_of_each(by_split[name], limit) if limit else by_split[name]
        self.splits = Splits(**by_split)

    def state_dict(self) -> dict:
        """What a checkpoint must remember of its data: which city is in which split."""
        return {"cities": self.cities}

    def load_state_dict(self, state: dict) -> None:
        """Stop a run whose validation or test would see cities that it was trained on."""
        refuse_moved(state["cities"], self.cities, self.cache, self.folder)

    def describe(self) -> dict:
        """What was trained on, for summary.json."""
        splits = vars(self.splits)
        files = [s.gain for members in splits.values() for s in members[:50]]
        return {
            "source": "embedded" if self.root is None else str(self.root),
            "sizes": {name: len(members) for name, members in splits.items()},
            "cities": {name: len({s.city for s in members}) for name, members in splits.items()},
            "hash": corpora.content_hash([*files, self.manifest_file]),
            "skipped": len(self.skipped),
            "manifest": str(self.manifest_file),
            "simulation": self.simulation,
            "notes": [f"WARNING: {line}" for line in self.skipped[:20]],
        }

    def training_patches(self, side: int, maps: int = 64) -> np.ndarray:
        """Patches (N, side^2) in [-1, 1] of some training maps, to fit a patch-PCA."""
        every = max(1, len(self.splits.train) // maps)
        found = []
        for sample in self.splits.train[::every]:
            gray = scaled(read_gray(sample.gain))[0].numpy()
            rows, columns = (n // side for n in gray.shape)
            tiles = gray[: rows * side, : columns * side].reshape(rows, side, columns, side)
            found.append(tiles.swapaxes(1, 2).reshape(-1, side * side))
        return np.concatenate(found)

    def train_dataloader(self) -> StatefulDataLoader:
        return training_loader(
            TrainMaps(self.splits.train, self.crop, self.augment, self.seed),
            self.batch_size,
            seed=self.seed,
            trainer=self.trainer,
            num_workers=self.num_workers,
        )

    def _whole(self, samples: list[Sample]) -> DataLoader:
        return DataLoader(WholeMaps(samples), self.eval_batch, num_workers=self.num_workers)

    def val_dataloader(self) -> DataLoader:
        return self._whole(self.splits.val)

    def test_dataloader(self) -> DataLoader:
        return self._whole(self.splits.test)
