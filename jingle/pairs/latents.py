"""Audio to latents and back, in chunks for long files, and the work of filling a latent cache."""

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from experiments.shared.progress import Progress
from jingle.pairs import blend
from jingle.pairs.cache import LatentStore, key_of
from jingle.pairs.scan import HOP, Pair, Song
from jingle.sound import audio

CHUNK = 60 * 75  # latent frames coded at once; bounds the memory for whole songs
PAST, FUTURE = 8 * 75, 75  # frames before and after a chunk that are coded with it and dropped


def device_of(codec) -> torch.device:
    return next(chain(codec.parameters(), codec.buffers())).device


def spans(length: int, chunk: int, past: int, future: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, stop, first, last) of each chunk: code [start, stop), keep [first, last)."""
    for first in range(0, max(length, 1), chunk):
        last = min(first + chunk, length)
        yield max(0, first - past), min(last + future, length), first, last


@torch.inference_mode()
def encode(
    codec, waves: Tensor, *, chunk: int = CHUNK, past: int = PAST, future: int = FUTURE
) -> Tensor:
    """Latents of `waves` at 24 kHz: (B, 1, S) -> (B, 128, ceil(S / 320)), float32.

    Longer audio than `chunk` frames is encoded in pieces with their surroundings. Convolutions
    reach 0.2 s, EnCodec's LSTM into the past as far as it remembers: 8 s by default.
    """
    frames, pieces = math.ceil(waves.shape[-1] / HOP), []
    for start, stop, first, last in spans(frames, chunk, past, future):
        piece = codec.encode(waves[..., start * HOP : stop * HOP].to(device_of(codec)))
        pieces.append(piece[..., first - start : last - start].float())
    return torch.cat(pieces, dim=-1)


@torch.inference_mode()
def decode(
    codec, latents: Tensor, *, chunk: int = CHUNK, past: int = PAST, future: int = FUTURE
) -> Tensor:
    """Audio of `latents`: (B, 128, T) -> (B, 1, 320 T), float32, in pieces as `encode`."""
    pieces = []
    for start, stop, first, last in spans(latents.shape[-1], chunk, past, future):
        piece = codec.decode(latents[..., start:stop].float().to(device_of(codec)), start)
        pieces.append(piece[..., (first - start) * HOP : (last - start) * HOP].float())
    return torch.cat(pieces, dim=-1)


def song_key(codec, song: Song) -> str:
    return key_of("song", codec.identity, song.hash)


def blend_key(codec, a: Pair, b: Pair) -> str:
    """Key of percussive(input of `a`) + harmonic(target of `b`)."""
    stems = [part.hash if part else "hpss" for part in (a.percussive, b.harmonic)]
    songs = [a.input.hash, b.target.hash]
    return key_of("blend", codec.identity, songs, stems, blend.RECIPE)


def part_key(codec, song: Song, stem: Song | None, part: str) -> str:
    """Key of the "percussive" or "harmonic" part of a song by itself."""
    by = stem.hash if stem else ["hpss", blend.RECIPE["hpss"]]
    return key_of("part", codec.identity, song.hash, by, part)


@dataclass(frozen=True)
class Job:
    """One song or part of it to encode, or the blends of one pair's input with several targets."""

    of: str
    song: Song | None = None
    song_key: str = ""
    stem: Song | None = None
    part: str = ""  # of the song; empty: the whole
    pair: Pair | None = None
    partners: tuple[tuple[Pair, str], ...] = ()  # (whose target, key of the blend)

    @property
    def frames(self) -> list[int]:
        """Latent frames of each array that the job makes."""
        if self.song is not None:
            return [self.song.frames]
        return [min(self.pair.input.frames, other.target.frames) for other, _ in self.partners]


def song_jobs(codec, store: LatentStore, pairs: list[Pair], split: str) -> list[Job]:
    """What `store` lacks of each pair's input and target."""
    return missing(
        store,
        (
            Job(f"{split}/{song.file.name}", song, song_key(codec, song))
            for pair in pairs
            for song in (pair.input, pair.target)
        ),
    )


def part_jobs(codec, store: LatentStore, pairs: list[Pair], split: str) -> list[Job]:
    """What `store` lacks of the parts of both songs of each pair: true ones, and two separated."""
    return missing(
        store,
        (
            Job(f"{split}/{pair.name} {name}", song, part_key(codec, song, stem, part), stem, part)
            for pair in pairs
            for name, (song, stem, part) in [*pair.parts().items(), *pair.separated().items()]
        ),
    )


def missing(store: LatentStore, jobs: Iterable[Job]) -> list[Job]:
    """Those of `jobs` whose array is not there, each once."""
    return list({job.song_key: job for job in jobs if job.song_key not in store}.values())


def blend_jobs(
    codec, store: LatentStore, wanted: Iterable[tuple[Pair, list[Pair]]], split: str
) -> list[Job]:
    """What `store` lacks of the blends of each pair's input with the targets of others."""
    jobs, seen = [], set()
    for pair, others in wanted:
        keys = {blend_key(codec, pair, other): other for other in others}
        lacking = tuple((other, k) for k, other in keys.items() if k not in store and k not in seen)
        if lacking:
            jobs.append(Job(f"{split}/{pair.name} blend", pair=pair, partners=lacking))
            seen.update(key for _, key in lacking)
    return jobs


class Waves(Dataset):
    """Job -> list of (key, what it is, audio (samples,)); the slow, parallel part of caching."""

    def __init__(self, jobs: list[Job]):
        self.jobs = jobs

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, index: int) -> list[tuple[str, str, np.ndarray]]:
        job = self.jobs[index]
        if job.part:
            return [(job.song_key, job.of, part_of(job.song, job.stem, job.part)[0])]
        if job.song is not None:
            return [(job.song_key, job.of, audio.read(job.song.file))]
        drums, level = part_of(job.pair.input, job.pair.percussive, "percussive")
        made = []
        for other, key in job.partners:
            chords, other_level = part_of(other.target, other.harmonic, "harmonic")
            mixed = blend.blend(drums, chords, level, other_level)
            remark = "" if job.pair.percussive else blend.remark(drums, level, other_level)
            made.append((key, f"{job.of} with {other.name}{remark}", mixed))
        return made


@lru_cache(maxsize=8)
def part_of(song: Song, stem: Song | None, part: str) -> tuple[np.ndarray, float]:
    """The part of a song (its true stem where there is one) and the whole song's loudness."""
    whole = audio.read(song.file)
    apart = audio.read(stem.file) if stem else blend.separate(whole, part)
    apart = np.pad(apart[: len(whole)], (0, max(0, len(whole) - len(apart))))
    return apart, blend.loudness(whole)


def drumless(store: LatentStore, keys: Iterable[str], split: str) -> list[str]:
    """A line on the blends of `split` whose percussive part is the residue of a drumless song."""
    keys = list(keys)
    names = [str(store.entries.get(key, {}).get("of", "")) for key in keys]
    found = [name for name in names if blend.REMARK in name]
    if not found:
        return []
    return [
        f"WARNING {len(found)} of {len(keys)} blends of {split} have no drums to keep: what "
        f"separation leaves of their input was raised by {blend.DRUMLESS_DB:g} dB and more "
        f"({'; '.join(found[:3])}{'; ...' if len(found) > 3 else ''}); take other songs as input, "
        "or give stems"
    ]


def fill(
    codec, store: LatentStore, jobs: list[Job], *, batch: int, workers: int | None = None
) -> None:
    """Do `jobs`: prepare the audio in `workers` processes, encode it `batch` at a time, keep it.

    Args:
        codec: as `codec.load_codec` gives it.
        store: where the latents go.
        jobs: from `song_jobs`, `part_jobs` and `blend_jobs`.
        batch: sequences of equal length encoded at once.
        workers: processes for reading and source separation; None: as many as pay.

    Raises:
        InputError: the disk is or would be full.
    """
    if not jobs:
        return
    frames = [count for job in jobs for count in job.frames]
    store.check_space(sum(frames))
    separating = sum(job.pair is not None and job.pair.percussive is None for job in jobs)
    processes = worth(separating, workers)
    with Progress(len(frames), "caching latents", "song") as bar:
        for keys, names, waves in batches(jobs, batch=batch, workers=processes):
            for key, name, latents in zip(keys, names, encode(codec, waves), strict=True):
                store.put(key, latents.T.cpu().numpy(), name)
                bar.update()


def worth(separations: int, workers: int | None) -> int:
    """How many processes to separate in: `workers`, or with None as many as pay."""
    if workers is not None:
        return workers
    return min(os.cpu_count() or 1, 16) if separations >= 16 else 0


def batches(
    jobs: list[Job], *, batch: int, workers: int
) -> Iterator[tuple[list[str], list[str], Tensor]]:
    """Keys, names and waves (B, 1, S) of `jobs`, sequences of equal length together."""
    loader = DataLoader(Waves(jobs), batch_size=None, num_workers=workers)
    waiting: dict[int, list[tuple[str, str, np.ndarray]]] = {}
    for made in loader:
        for item in made:
            group = waiting.setdefault(len(item[2]), [])
            group.append(item)
            if len(group) == batch or sum(map(len, waiting.values())) >= 4 * batch:
                yield _stack(waiting.pop(len(item[2])))
    for group in waiting.values():
        yield _stack(group)


def _stack(group: list[tuple[str, str, np.ndarray]]) -> tuple[list[str], list[str], Tensor]:
    keys, names, waves = zip(*group, strict=True)
    stacked = torch.stack([torch.as_tensor(wave) for wave in waves])
    return list(keys), list(names), stacked[:, None]  # (B, 1, S)
