"""Plans, transmitters and samples beside the radio maps that are to be found from them."""

from pathlib import Path
from typing import Annotated, Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from experiments.shared.errors import InputError
from experiments.shared.kinds import ArgumentsOf, NonNegativeInt, PositiveInt
from experiments.shared.loaders import training_loader
from radiodiff.data import RadioMaps, turn
from radiodiff.estimate.fields import cached_look, known
from radiodiff.estimate.registration import UNKNOWN, registration, turned
from radiodiff.png import read_gray
from radiodiff.scan import Sample, first_of_each, read_transmitter

SPLIT = Path(__file__).parent / "radiomapseer_split.json"
HIDDEN = 1 / 3  # of augmented examples do not say how their plan lies against their map
REGISTERED = 60  # maps at most, a city each, that this is measured on


class Places(Dataset):
    """One radio map and what is known of its place; by (epoch, index), or by index alone.

    {"known": (K, H, W) float32, channels of `fields.CHANNELS` without samples,
     "map": (1, H, W) float32, gray in [0, 1],
     "buildings", "sight": (1, H, W) bool,
     "transmitter": (2,) int64, row and column,
     "places": (N, 2) int64, rows and columns outdoors, in the order in which they are measured,
     "count": int64, how many of them are,
     "city": int64}

    Args:
        samples: maps and their files.
        cache: folder for what is computed once a map.
        given: number of measured places; None: drawn for each example, half of the time 0.
        most: N.
        know_cars: whether cars are known, where the data have them.
        shift: how plans lie against maps (`registration`); hidden in a third of augmented examples,
            so that plans of unknown registration are no surprise.
        augment: turn and mirror at random.
        seed: of all draws.
    """

    def __init__(
        self,
        samples: list[Sample],
        cache: Path,
        *,
        given: int | None,
        most: int,
        know_cars: bool,
        shift: np.ndarray,
        augment: bool,
        seed: int,
    ):
        self.samples, self.cache, self.given, self.most = samples, cache, given, most
        self.know_cars, self.shift, self.augment, self.seed = know_cars, shift, augment, seed
        self.plans: dict[Path, np.ndarray] = {}
        self.transmitters: dict[Path, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, Tensor]:
        epoch, index = item if isinstance(item, tuple) else (0, item)
        sample, rng = self.samples[index], np.random.default_rng((self.seed, epoch, index))
        gain, (plan, y, x) = read_gray(sample.gain), self.place(sample)
        file = self.cache / f"{sample.city}_{sample.transmitter}.png"
        looks = cached_look(plan, y, x, file)
        cars, shift = self.cars(sample, plan.shape), self.shift
        if self.augment:
            which = int(rng.integers(8))
            shift = turned(shift, which) if rng.random() > HIDDEN else UNKNOWN
            lit = np.zeros(plan.shape, np.bool_)
            lit[y, x] = True
            lit, gain, plan, looks, cars = (turn(a, which) for a in (lit, gain, plan, looks, cars))
            y, x = (int(n[0]) for n in np.nonzero(lit))
        inputs = known(plan, looks, y, x, cars, shift)
        free = np.argwhere(~plan)
        places = free[rng.choice(len(free), self.most, replace=len(free) < self.most)]
        return {
            "known": torch.from_numpy(inputs),
            "map": torch.from_numpy(gain.astype(np.float32) / 255.0)[None],
            "buildings": torch.from_numpy(np.ascontiguousarray(plan))[None],
            "sight": torch.from_numpy(~plan & (looks[0] == 0))[None],
            "transmitter": torch.tensor((y, x)),
            "places": torch.from_numpy(places),
            "count": torch.tensor(self.draw_count(rng)),
            "city": torch.tensor(sample.city),
        }

    def place(self, sample: Sample) -> tuple[np.ndarray, int, int]:
        """Plan (H, W) bool, row and column of the transmitter: decoded once, and kept."""
        if sample.buildings not in self.plans:
            self.plans[sample.buildings] = read_gray(sample.buildings) > 127
        plan = self.plans[sample.buildings]
        if sample.antenna not in self.transmitters:
            self.transmitters[sample.antenna] = read_transmitter(sample.antenna, plan.shape)
        return plan, *self.transmitters[sample.antenna]

    def draw_count(self, rng: np.random.Generator) -> int:
        if self.given is not None:
            return self.given
        drawn = int(np.exp(rng.uniform(0.0, np.log(self.most + 1.0))))  # as many of 1-9 as of 10-99
        return drawn if rng.random() < 0.5 else 0

    def cars(self, sample: Sample, shape: tuple[int, int]) -> np.ndarray:
        file = sample.buildings.parent.parent / "cars" / sample.buildings.name
        if not self.know_cars or not file.is_file():
            return np.zeros(shape, np.bool_)
        return read_gray(file) > 127


class Estimation(L.LightningDataModule):
    """Serves `Places` of radio maps, split by city.

    Args:
        samples: measured places of every example, in training and evaluation; None: their number
            is drawn in training, and evaluation has none (beside its table by number of samples).
        most_samples: at most so many.
        know_cars: cars are an input, where the data have them.
        registered: how plans lie against maps is measured on training cities, and an input.
        manifest: as of `RadioMaps`, or "published": RadioMapSeer's published split, for
            `root` alone.
        maps: further arguments of `RadioMaps`.

    Raises:
        InputError: a value that makes no data.
    """

    def __init__(
        self,
        *,
        samples: NonNegativeInt | None = None,
        most_samples: PositiveInt = 200,
        know_cars: bool = False,
        registered: bool = True,
        manifest: str | None = "published",
        **maps: Annotated[Any, ArgumentsOf(RadioMaps)],
    ):
        super().__init__()
        if most_samples < 1 or not 0 <= (samples or 0) <= most_samples:
            raise InputError(
                f"data.samples={samples}, data.most_samples={most_samples}: expected null, or a "
                "number from 0 to the most, and the most at least 1"
            )
        if manifest == "published":
            manifest = str(SPLIT) if maps.get("root") else None
        self.maps = RadioMaps(**maps, manifest=manifest)
        self.samples, self.most_samples, self.know_cars = samples, most_samples, know_cars
        self.registered, self.shift = registered, np.array(UNKNOWN)
        self.batch_size, self.unit_per_sample = self.maps.batch_size, self.maps.unit_per_sample

    def prepare_data(self) -> None:
        self.maps.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        self.maps.trainer = self.trainer
        self.maps.setup(stage)
        if self.registered:
            one = first_of_each(self.maps.splits.train, 1)[:REGISTERED]
            pairs = [(read_gray(s.buildings) > 127, read_gray(s.gain)) for s in one]
            self.shift = np.mean([registration(*pair) for pair in pairs], axis=0)

    def state_dict(self) -> dict:
        return self.maps.state_dict()

    def load_state_dict(self, state: dict) -> None:
        self.maps.load_state_dict(state)

    def describe(self) -> dict:
        return self.maps.describe() | {"plan_lies_by": self.shift.round(3).tolist()}

    def dataset(self, split: str) -> Places:
        """The examples of "train", "val" or "test"."""
        training = split == "train"
        return Places(
            getattr(self.maps.splits, split),
            self.maps.cache / f"radio-looks-{self.maps.folder.name}",
            given=self.samples if training or self.samples is not None else 0,
            most=self.most_samples,
            know_cars=self.know_cars,
            shift=self.shift,
            augment=self.maps.augment and training,
            seed=self.maps.seed,
        )

    def train_dataloader(self) -> StatefulDataLoader:
        return training_loader(
            self.dataset("train"),
            self.batch_size,
            seed=self.maps.seed,
            trainer=self.trainer,
            num_workers=self.maps.num_workers,
        )

    def val_dataloader(self) -> DataLoader:
        return self._whole("val")

    def test_dataloader(self) -> DataLoader:
        return self._whole("test")

    def _whole(self, split: str) -> DataLoader:
        maps = self.maps
        return DataLoader(self.dataset(split), maps.eval_batch, num_workers=maps.num_workers)
