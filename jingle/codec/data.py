"""Songs for the codec: a folder of the user's own, or a rendered one, in crops and whole."""

import hashlib
from pathlib import Path

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from experiments.shared import corpora, writing
from experiments.shared.errors import InputError
from experiments.shared.kinds import Fraction, NonNegativeInt, PositiveFloat, PositiveInt
from experiments.shared.loaders import training_loader
from experiments.shared.progress import progress
from jingle.codec.augment import augment
from jingle.pairs.scan import FileBook, shared
from jingle.songs.song import PARTS, render_song
from jingle.sound import audio, intake

SPLITS = ("train", "val", "test")
LONGEST = 600.0  # seconds of a crop
QUIET = 1e-3  # RMS below which a training crop is drawn again


def make_corpus(folder: Path, *, counts: dict[str, int], seconds: float, seed: int) -> None:
    """Render songs as `folder/{split}/song_0000.wav`; a third of those for training lack parts."""
    writing.foresee(
        folder, sum(counts.values()) * seconds * audio.RATE * 2,
        f"songs={counts['train']}: give fewer, or shorter",
    )  # fmt: skip
    jobs = [(split, index) for split in SPLITS for index in range(counts[split])]
    for split, index in progress(jobs, "rendering songs", "song"):
        # the constant keeps these songs apart from those of jingle.corpus at the same seed
        key = (seed, 7919, SPLITS.index(split), index)
        rng, parts = np.random.default_rng((*key, 1)), PARTS
        if split == "train" and rng.random() < 1 / 3:
            parts = tuple(rng.permutation(PARTS)[: rng.integers(1, len(PARTS))])
        song = render_song(key, seconds, parts=parts)
        audio.write(folder / split / f"song_{index:04d}.wav", song["audio"])


def find_songs(root: Path) -> dict[str, list[Path]]:
    """Audio files by split: of train/, val/ and test/ if val/ or test/ is there, else by file.

    Without test/ the test has val/'s files. Split by file, every twentieth goes to validation and
    to test, at least one each, chosen by a fixed shuffle of the sorted names.

    Raises:
        InputError: no folder, val/ or test/ without what belongs to it, or fewer than three songs.
    """
    if not root.is_dir():
        raise InputError(f"data.root={root}: no such folder; expected a folder of songs")
    there = [split for split in SPLITS if (root / split).is_dir()]
    if "val" in there or "test" in there:
        for needed in ("train", "val"):
            if needed not in there:
                raise InputError(
                    f"data.root={root}: has {there[-1]}/ but no {needed}/; add it with songs of "
                    "its own, or put all songs into one folder to have them split"
                )
        files = {split: _audio_files(root / split) for split in there}
        return {"test": files["val"]} | files
    files = _audio_files(root)
    if len(files) < 3:
        raise InputError(
            f"data.root={root}: expected at least 3 songs ({', '.join(intake.SUFFIXES)}), "
            f"got {len(files)}"
        )
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))]
    held = max(1, len(files) // 20)
    return {"val": files[:held], "test": files[held : 2 * held], "train": files[2 * held :]}


def _audio_files(folder: Path) -> list[Path]:
    files, foreign = intake.songs_in(folder)
    for line in foreign:
        print(f"skipped {line}", flush=True)
    return files


class TrainCrops(Dataset):
    """Item (epoch, index): {"audio": float32 (1, S)}, a random crop of a random song, augmented.

    All chance follows from (seed, epoch, index). A shorter song is padded with silence.
    """

    def __init__(
        self,
        songs: list[tuple[Path, float]],
        seconds: float,
        size: int,
        seed: int,
        variety: Fraction = 0.0,
    ):
        self.songs, self.seconds, self.size, self.seed = songs, seconds, size, seed
        self.variety = variety

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, *item))
        sound = augment(self._crop(rng), self._crop(rng), rng, self.variety)
        return {"audio": torch.from_numpy(sound)[None]}

    def _crop(self, rng: np.random.Generator) -> np.ndarray:
        for _ in range(4):
            file, seconds = self.songs[rng.integers(len(self.songs))]
            start = rng.uniform(0, max(0.0, seconds - self.seconds))
            sound = padded(audio.read(file, start, self.seconds), self.seconds)
            if np.sqrt(np.mean(sound**2)) > QUIET:
                break
        return sound


class WholeSongs(Dataset):
    """Item index: {"audio": float32 (1, S)}, the first `seconds` of a song."""

    def __init__(self, songs: list[tuple[Path, float]], seconds: float):
        self.songs, self.seconds = songs, seconds

    def __len__(self) -> int:
        return len(self.songs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        sound = padded(audio.read(self.songs[index][0], 0.0, self.seconds), self.seconds)
        return {"audio": torch.from_numpy(sound)[None]}


def padded(sound: np.ndarray, seconds: float) -> np.ndarray:
    """Exactly `seconds` of `sound`, with silence after it where it is shorter."""
    samples = round(seconds * audio.RATE)
    return np.pad(sound[:samples], (0, max(0, samples - len(sound)))).astype(np.float32)


class CodecSongs(L.LightningDataModule):
    """Serves {"audio": (B, 1, S)}: augmented crops for training, song beginnings for the rest.

    Args:
        root: a folder of songs, or of train/, val/ and perhaps test/; None renders the embedded
            songs.
        cache: folder for the embedded songs and for what is known of the user's files.
        crop_seconds: length of a training crop.
        eval_seconds: how much of a held-out song is heard.
        batch_size: crops a device.
        epoch_crops: crops an epoch.
        variety: share of training crops that give way to other instruments, and share that get an
            effect, see `jingle.codec.timbres`.
        seed: of crops and augmentation.
        num_workers: processes that load batches.
        songs: embedded songs for training.
        val_songs: for validation.
        test_songs: for the test.
        song_seconds: length of an embedded song.
        corpus_seed: of the embedded songs.
    """

    def __init__(
        self,
        root: str | None = None,
        cache: str = "data",
        crop_seconds: PositiveFloat = 1.0,
        eval_seconds: PositiveFloat = 8.0,
        batch_size: PositiveInt = 8,
        epoch_crops: PositiveInt = 800,
        variety: Fraction = 0.0,
        seed: NonNegativeInt = 42,
        num_workers: NonNegativeInt = 0,
        songs: PositiveInt = 240,
        val_songs: PositiveInt = 8,
        test_songs: PositiveInt = 24,
        song_seconds: PositiveFloat = 16.0,
        corpus_seed: NonNegativeInt = 0,
    ):
        super().__init__()
        if max(crop_seconds, eval_seconds) > LONGEST:
            raise InputError(
                f"data.crop_seconds={crop_seconds}, eval_seconds={eval_seconds}: expected at most "
                f"{LONGEST:g} s, for all of a batch is in memory at once"
            )
        if min(crop_seconds, eval_seconds) < 0.2 or batch_size < 1 or epoch_crops < batch_size:
            raise InputError(
                f"data.crop_seconds={crop_seconds}, eval_seconds={eval_seconds}, batch_size="
                f"{batch_size}, epoch_crops={epoch_crops}: expected 0.2 s at least, and an epoch "
                "of one batch at least"
            )
        self.root, self.cache = root, Path(cache)
        self.crop_seconds, self.eval_seconds = crop_seconds, eval_seconds
        self.batch_size, self.epoch_crops = batch_size, epoch_crops
        self.seed, self.num_workers, self.variety = seed, num_workers, variety
        self.counts = {"train": songs, "val": val_songs, "test": test_songs}
        self.song_seconds, self.corpus_seed = song_seconds, corpus_seed
        self.songs: dict[str, list[tuple[Path, float]]] = {}
        self.skipped: list[str] = []
        self.notes: list[str] = []
        self.hash = ""

    def _folder(self) -> Path:
        if self.root is not None:
            return Path(self.root)
        sizes = {
            "counts": self.counts,
            "seconds": self.song_seconds,
            "seed": self.corpus_seed,
        }
        return corpora.build_once(
            self.cache, "codec-songs", sizes | {"version": 1}, lambda f: make_corpus(f, **sizes)
        )

    def prepare_data(self) -> None:
        self._folder()

    def setup(self, stage: str | None = None) -> None:
        if self.songs:
            return
        found = find_songs(self._folder())
        book = FileBook(self.cache)
        facts = book.look(file for files in found.values() for file in files)
        known: dict[str, list[tuple[Path, str]]] = {}
        for split in SPLITS:
            if split == "test" and found["test"] is found["val"]:
                self.songs["test"] = self.songs["val"]
                self.notes.append("there is no test split: test figures are of the val split")
                continue
            good = [file for file in found[split] if "problem" not in facts[file]]
            self.skipped += [facts[f]["problem"] for f in found[split] if "problem" in facts[f]]
            if not good:
                raise InputError(
                    f"data.root={self.root}: no readable song for {split}; "
                    + "; ".join(self.skipped[:5])
                )
            self.songs[split] = [(file, facts[file]["samples"] / audio.RATE) for file in good]
            known[split] = [(file, facts[file]["hash"]) for file in good]
        self.notes += shared(known)
        for line in (*self.notes, *(f"skipped: {problem}" for problem in self.skipped)):
            print(line, flush=True)
        hashes = [content for songs in known.values() for _, content in songs]
        self.hash = hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()[:16]

    def train_dataset(self) -> TrainCrops:
        sizes = self.crop_seconds, self.epoch_crops
        return TrainCrops(self.songs["train"], *sizes, self.seed, self.variety)

    def train_dataloader(self) -> DataLoader:
        return training_loader(
            self.train_dataset(),
            self.batch_size,
            seed=self.seed,
            trainer=self.trainer,
            num_workers=self.num_workers,
        )

    def val_dataloader(self) -> DataLoader:
        return DataLoader(WholeSongs(self.songs["val"], self.eval_seconds), batch_size=4)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(WholeSongs(self.songs["test"], self.eval_seconds), batch_size=4)

    def describe(self) -> dict:
        """What the summary records of the data."""
        notes = self.notes + [f"WARNING skipped {problem}" for problem in self.skipped]
        return {
            "source": "embedded" if self.root is None else str(self.root),
            "sizes": {split: len(songs) for split, songs in self.songs.items()},
            "hash": self.hash,
            "skipped": len(self.skipped),
            "notes": notes,
        }
