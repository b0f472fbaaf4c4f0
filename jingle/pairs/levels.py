"""How loud songs and their parts are, measured once on the sound: a blend follows from it.

A blend brings percussive(A) and harmonic(B) to one loudness (`jingle.pairs.blend`), each by what
the whole file has. Neither a crop nor its latents tell that; these numbers do.
"""

from collections.abc import Iterable

import numpy as np
from torch.utils.data import DataLoader, Dataset

from experiments.shared.progress import Progress
from jingle.pairs import blend
from jingle.pairs.cache import LatentStore, key_of
from jingle.pairs.scan import Pair, Song
from jingle.sound import audio

SILENT = -100.0  # LUFS, in place of -inf
Sides = tuple[Song, Song | None, Song | None]  # a song, its percussive and its harmonic stem


def sides(pair: Pair) -> dict[str, Sides]:
    """Song and stems of a pair's input and target."""
    return {
        "input": (pair.input, pair.percussive, pair.input_harmonic),
        "target": (pair.target, pair.target_percussive, pair.harmonic),
    }


def key(song: Song, *stems: Song | None) -> str:
    """Under which the levels of a song are kept."""
    return key_of("levels", song.hash, [s.hash if s else "hpss" for s in stems], blend.RECIPE)


def of_sound(
    whole: np.ndarray, percussive: np.ndarray | None = None, harmonic: np.ndarray | None = None
) -> np.ndarray:
    """The five levels (1, 5), LUFS, of a song (samples,), and perhaps of its true stems.

    In the order of `jingle.sound.loudness_rule.NAMES`.
    """
    separated = [blend.loudness(wave) for wave in blend.apart(whole)]
    own = [
        level if stem is None else blend.loudness(stem)
        for stem, level in zip((percussive, harmonic), separated, strict=True)
    ]
    return np.array([[blend.loudness(whole), *separated, *own]]).clip(min=SILENT)


class Measured(Dataset):
    """Song -> its key, its name, its levels."""

    def __init__(self, jobs: list[Sides]):
        self.jobs = jobs

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, index: int) -> tuple[str, str, np.ndarray]:
        job = self.jobs[index]
        waves = (audio.read(song.file) if song else None for song in job)
        return key(*job), f"levels of {job[0].file.name}", of_sound(*waves)


def fill(store: LatentStore, pairs: Iterable[Pair], *, workers: int) -> None:
    """Measure what `store` lacks of the songs of `pairs`, in `workers` processes."""
    every = {key(*job): job for pair in pairs for job in sides(pair).values()}
    jobs = [job for name, job in every.items() if name not in store]
    if not jobs:
        return
    loader = DataLoader(Measured(jobs), batch_size=None, num_workers=workers)
    with Progress(len(jobs), "measuring levels", "song") as bar:
        for name, of, found in loader:
            store.put(name, np.asarray(found), of)
            bar.update()
