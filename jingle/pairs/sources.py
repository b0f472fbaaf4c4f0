"""The usable songs of a folder, what is left out and why, and their split."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from experiments.shared.errors import InputError
from experiments.shared.progress import progress
from jingle.pairs.match import Study, study
from jingle.sound import audio, intake
from jingle.sound.features import level

SILENT_DB = -50.0  # RMS; a crop or song below this counts as silence


@dataclass(frozen=True)
class Source:
    """A usable song: its file, its content, its length in seconds, what was asked to be heard."""

    file: Path
    hash: str
    seconds: float
    study: Study | None = field(default=None, compare=False)
    notes: tuple[str, ...] = ()


def find_songs(
    folder: Path, seconds: float, *, listen: bool = False
) -> tuple[list[Source], list[str]]:
    """The usable songs under `folder`, and one line for each that is not.

    Left out: unreadable files, songs shorter than `seconds`, silence, and copies of a song (which
    could otherwise end in two splits).

    Args:
        folder: where to look, subfolders too.
        seconds: the least length.
        listen: find pulse, key and drums of each, as aligning needs.

    Raises:
        InputError: no such folder, or no audio file in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a folder of songs")
    files, foreign = intake.songs_in(folder)
    if not files:
        raise InputError(
            f"{folder}: no audio in it, expected {', '.join(intake.SUFFIXES)} files"
            + "".join(f"; {line}" for line in foreign[:3])
        )
    with ThreadPoolExecutor(max_workers=4) as pool:
        looked = pool.map(lambda file: look_at(file, seconds, listen=listen), files)
        found = list(progress(looked, "reading songs", "song", total=len(files)))
    songs, skipped, known = [], [f"skipped {line}" for line in foreign], {}
    for file, one in zip(files, found, strict=True):
        if isinstance(one, str):
            skipped.append(f"skipped {one}")
        elif one.hash in known:
            skipped.append(f"skipped {file}: a copy of {known[one.hash]}")
        else:
            known[one.hash] = file
            songs.append(one)
    return songs, skipped


def look_at(file: Path, seconds: float, *, listen: bool = False) -> Source | str:
    """The song in `file`, or what is wrong with it."""
    notes: list[str] = []
    try:
        sound = audio.read(file, notes=notes)
    except InputError as error:
        return str(error)
    length = len(sound) / audio.RATE
    if length < seconds:
        return f"{file}: lasts {length:.1f} s, expected at least {seconds:g} s; lower --seconds"
    if level(sound) < SILENT_DB:
        return f"{file}: silent throughout ({level(sound):.0f} dB)"
    heard = study(sound) if listen else None
    return Source(file, audio.fingerprint(sound), length, heard, tuple(notes))


def split_songs(
    songs: list[Source], shares: dict[str, float], rng: np.random.Generator
) -> dict[str, list[Source]]:
    """Songs by split, no song in two; a split with a share gets two songs at least.

    Args:
        songs: all of them.
        shares: of each split besides "train", which gets the rest; 0 leaves a split out.
        rng: draws who goes where.

    Raises:
        InputError: too few songs for two in each split.
    """
    order = [songs[i] for i in rng.permutation(len(songs))]
    counts = {name: max(2, round(s * len(songs))) for name, s in shares.items() if s > 0}
    rest = len(songs) - sum(counts.values())
    if rest < 2:
        raise InputError(
            f"expected two songs or more in each split (a pair is of two songs), got {len(songs)} "
            f"usable ones for train and {counts}; add songs or lower the shares"
        )
    split, first = {}, 0
    for name, count in {"train": rest, **counts}.items():
        split[name], first = order[first : first + count], first + count
    return split
