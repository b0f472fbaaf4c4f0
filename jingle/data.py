"""Pairs of songs as cached latents: input, target, and the blend of the two, in equal crops."""

from pathlib import Path

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from experiments.shared import corpora
from experiments.shared.errors import InputError
from experiments.shared.kinds import NonNegativeInt, PositiveFloat, PositiveInt
from experiments.shared.loaders import training_loader
from jingle.pairs import latents, levels, statistics
from jingle.pairs.cache import LatentStore, key_of
from jingle.pairs.describe import describe
from jingle.pairs.scan import FileBook, Pair, scan, shared, splits
from jingle.pairs.triples import EvalTriples, TrainTriples, Triple, draw_partners, triple

FRAME_RATE = 75  # latent frames a second
ADDED = 64  # training pairs on which additivity is measured
ADDITIVE = 0.05  # standard deviations: below it the parts of a song add up as latents


class JinglePairs(L.LightningDataModule):
    """Reads pairs of songs from a folder, or renders a corpus, and serves their cached latents.

    Batches are dictionaries of (B, 128, T) float32 raw latents with T = 75 `seconds`: `input`,
    `target`, `blend`; with `parts` also both parts of both songs, `input_percussive`,
    `input_harmonic`, `target_percussive`, `target_harmonic`: true stems where they are known,
    else separated; and what separation finds in any case, `input_hpss`, percussive, and
    `target_hpss`, harmonic; and `input_levels`, `target_levels` (B, 5, 1), LUFS
    (`jingle.pairs.levels`). In validation and test all are there, and `hpss_mix`, the blend of
    separated parts, whether stems are known or not; `matched` (B,) bool and `pair` (B,) int64:
    each pair comes once with its own target and once with a fixed other one.

    Args:
        root: folder with train/, val/ and perhaps test/; None renders the embedded corpus.
        cache: folder for the embedded corpus and the latents.
        codec: auto, pretrained, embedded, or a file of codec weights.
        seconds: length of a crop.
        batch_size: samples a device.
        partners: how many other targets each training input may be given, chosen once by `seed`.
        shuffle_targets: train on these partners; otherwise on each pair's own target.
        parts: whether training batches hold the parts of both songs (four more encodings a pair,
            six where there are stems).
        seed: of partners, crops and order.
        num_workers: processes that load batches.
        pairs: size of the embedded corpus' training split.
        val_pairs: size of its validation split.
        test_pairs: size of its test split.
        file_seconds: length of its files; None means `seconds`.
        corpus_seed: of its songs.
        encode_batch: sequences encoded at once while caching.
        cache_workers: processes for source separation while caching; None means as many as pay.
    """

    def __init__(
        self,
        root: str | None = None,
        cache: str = "data",
        codec: str = "auto",
        seconds: PositiveFloat = 16.0,
        batch_size: PositiveInt = 8,
        partners: PositiveInt = 2,
        shuffle_targets: bool = True,
        parts: bool = True,
        seed: NonNegativeInt = 42,
        num_workers: NonNegativeInt = 2,
        pairs: PositiveInt = 200,
        val_pairs: PositiveInt = 16,
        test_pairs: PositiveInt = 16,
        file_seconds: PositiveFloat | None = None,
        corpus_seed: NonNegativeInt = 0,
        encode_batch: PositiveInt = 4,
        cache_workers: NonNegativeInt | None = None,
    ):
        super().__init__()
        if seconds <= 0 or partners < 1 or batch_size < 1:
            raise InputError(
                f"data.seconds={seconds}, data.partners={partners}, data.batch_size={batch_size}: "
                "expected seconds > 0, partners >= 1 and batch_size >= 1"
            )
        self.root, self.cache, self.codec_choice = root, Path(cache), codec
        self.seconds, self.frames = seconds, round(seconds * FRAME_RATE)
        self.batch_size, self.partners, self.shuffle_targets = batch_size, partners, shuffle_targets
        self.unit_per_sample = ("audio-seconds", seconds)  # what experiments.bench counts
        self.parts, self.seed, self.num_workers = parts, seed, num_workers
        self.corpus = {
            "pairs": pairs,
            "val_pairs": val_pairs,
            "test_pairs": test_pairs,
            "seconds": file_seconds or seconds,
            "seed": corpus_seed,
        }
        self.encode_batch, self.cache_workers = encode_batch, cache_workers
        self._codec = None
        self.statistics: tuple[Tensor, Tensor] | None = None
        self.additive = False
        self._pairs: dict[str, list[Pair]] = {}
        self._others: dict[str, list[list[int]]] = {}
        self._triples: dict[str, list[list[Triple]]] = {}
        self._notes: list[str] = []
        self._skipped: list[str] = []

    @property
    def codec(self):
        """The codec, loaded when first asked for, on the trainer's device."""
        if self._codec is None:
            from jingle.codec.model import load_codec

            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            if self.trainer is not None:
                device = self.trainer.strategy.root_device
            self._codec = load_codec(self.codec_choice, device)
            print(self._codec.note, flush=True)
        return self._codec

    def prepare_data(self) -> None:
        """Render the corpus if there is no data, and compute the latents that are not cached."""
        self._find()
        for split, bad in self._verify().items():
            print(
                f"latent cache: {bad} arrays of {split} are gone or differ from their hash; "
                "computing them again",
                flush=True,
            )
        self._fill()

    def setup(self, stage: str | None = None) -> None:
        if self.statistics is None:
            self._find()
            self._fill()  # on a node whose cache is its own and was not prepared
            self._measure()
            for split, chosen in self._triples.items():
                if split != "test" or chosen is not self._triples["val"]:
                    keys = [triple.keys["blend"] for both in chosen for triple in both]
                    self._notes += latents.drumless(self._store, keys, split)

    def state_dict(self) -> dict:
        """What a checkpoint must remember of its data: another codec's latents are noise to it."""
        return {"codec": self.codec.name, "identity": self.codec.identity, "seconds": self.seconds}

    def load_state_dict(self, state: dict) -> None:
        """Stop a run that goes on with another codec than it began with."""
        if state["identity"] != self.codec.identity:
            raise InputError(
                f"data.codec: expected the run's own codec {state['codec']} ({state['identity']}), "
                f"got {self.codec.name} ({self.codec.identity}); set data.codec, or start a new run"
            )

    def _folder(self) -> Path:
        if self.root is not None:
            return Path(self.root).expanduser()
        from jingle.corpus import make_corpus

        return corpora.build_once(
            self.cache, "jingle", self.corpus, lambda folder: make_corpus(folder, **self.corpus)
        )

    def _find(self) -> None:
        """Find the pairs and choose whose targets each input meets."""
        if self._pairs:
            return
        folders, book, songs = splits(self._folder()), FileBook(self.cache), {}
        self._store = LatentStore(self.cache / f"latents-{key_of(self.codec.identity)[:12]}")
        for split, folder in folders.items():
            if split == "test" and folder == folders["val"]:
                for known in (self._pairs, self._others, self._triples):
                    known["test"] = known["val"]
                self._notes.append("there is no test split: test figures are of the val split")
                continue
            pairs, left_out = scan(folder, book, seconds=self.seconds)
            self._pairs[split], self._others[split] = pairs, self._choose(split, len(pairs))
            held_out = split != "train"
            wanted = {"parts": held_out or self.parts, "hpss": held_out}
            self._triples[split] = [
                [triple(self.codec, pairs, i, j, **wanted) for j in chosen]
                for i, chosen in enumerate(self._others[split])
            ]
            self._skipped += left_out
            for line in left_out:
                print(line, flush=True)
            if len(pairs) == 1 and (split != "train" or self.shuffle_targets):
                self._notes.append(f"{split} holds one pair: its random partner is its own target")
            songs[split] = [(s.file, s.hash) for p in pairs for s in (p.input, p.target)]
        for line in shared(songs):
            print(line, flush=True)
            self._notes.append(line)

    def _verify(self) -> dict[str, int]:
        """How many arrays of each split are damaged; they are forgotten."""
        damaged = {}
        for split, pairs in self._pairs.items():
            keys = {key for pair in pairs for key in song_keys(self.codec, pair)}
            keys |= {key for both in self._triples[split] for t in both for key in t.keys.values()}
            if bad := self._store.verify(sorted(keys)):
                damaged[split] = len(bad)
        return damaged

    def _fill(self) -> None:
        """Compute what the cache lacks."""
        codec, store, jobs = self.codec, self._store, []
        for split, pairs in self._pairs.items():
            if split == "test" and pairs is self._pairs["val"]:
                continue
            blends = [
                (pair, [pairs[j] for j in chosen])
                for pair, chosen in zip(pairs, self._others[split], strict=True)
            ]
            if split != "train" or self.parts:
                jobs += latents.part_jobs(codec, store, pairs, split)
                levels.fill(store, pairs, workers=latents.worth(2 * len(pairs), self.cache_workers))
            if split != "train":
                blends += [(a.without_stems(), [b.without_stems() for b in bs]) for a, bs in blends]
            jobs += latents.song_jobs(codec, store, pairs, split)
            jobs += latents.blend_jobs(codec, store, blends, split)
        latents.fill(codec, store, jobs, batch=self.encode_batch, workers=self.cache_workers)

    def _choose(self, split: str, size: int) -> list[list[int]]:
        """Whose targets each pair's input meets: fixed for the whole run."""
        if split != "train":
            drawn = draw_partners(size, 1, self.seed)
            return [[index, *chosen] for index, chosen in enumerate(drawn)]
        if self.shuffle_targets:
            return draw_partners(size, self.partners, self.seed)
        return [[index] for index in range(size)]

    def _measure(self) -> None:
        """Scales of all training latents, inputs and targets, and whether parts can be added."""
        keys = {key for pair in self._pairs["train"] for key in song_keys(self.codec, pair)}
        self.statistics = statistics.scales(self._store, keys)
        triples = [chosen[0] for chosen in self._triples["train"][:ADDED]]
        if self.parts:
            error = statistics.additivity_error(self._store, triples, self.statistics[1])
            self.additive = error < ADDITIVE

    def channel_gains(self) -> Tensor:
        """The fixed mix (3, 128) that fits the training blends best: a baseline."""
        triples = [triple for chosen in self._triples["train"] for triple in chosen]
        return statistics.channel_gains(self._store, triples)

    def channel_loudness(self) -> Tensor:
        """What each channel (128,) of standardised latents adds to the loudness of the sound."""
        return statistics.channel_loudness(self.codec, *self.statistics)

    def rest(self) -> Tensor:
        """Raw latents (128,) of silence."""
        return statistics.rest(self.codec)

    def songs(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """Raw latents (1, 128, T) of at most `count` training songs: whole, and HPSS's percussive.

        None where there are no parts.
        """
        chosen = [t[0] for t in self._triples["train"][: count // 2]] if self.parts else []
        return [song for t in chosen for song in statistics.heard(self._store, t, self.frames)]

    def reference(self, count: int) -> list[Tensor]:
        """Training blends (128, T), the first crops of `count` pairs, evenly over all."""
        every = self._triples["train"]
        chosen = every[:: max(1, len(every) // count)][:count]
        return [statistics.read(self._store, t[0].keys["blend"])[:, : self.frames] for t in chosen]

    def train_dataloader(self) -> DataLoader:
        return training_loader(
            TrainTriples(self._store, self._triples["train"], self.frames, self.seed),
            self.batch_size,
            seed=self.seed,
            trainer=self.trainer,
            num_workers=self.num_workers,
        )

    def val_dataloader(self) -> DataLoader:
        return self._eval_loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._eval_loader("test")

    def _eval_loader(self, split: str) -> DataLoader:
        triples = [triple for both in self._triples[split] for triple in both]
        dataset = EvalTriples(self._store, triples, self.frames)
        return DataLoader(dataset, batch_size=self.batch_size, num_workers=self.num_workers)

    def describe(self) -> dict:
        """Where the data came from, how much there is, and what a reader must know about it."""
        source = "embedded" if self.root is None else str(self.root)
        return describe(self._pairs, self.codec, self._notes, self._skipped) | {
            "source": source,
            "seconds": self.seconds,
        }


def song_keys(codec, pair: Pair) -> list[str]:
    return [latents.song_key(codec, song) for song in (pair.input, pair.target)]
