"""Finds the pairs of a data folder, checks every file once, and says what it leaves out."""

import itertools
import json
import math
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from experiments.shared.errors import InputError
from experiments.shared.progress import progress
from jingle.sound import audio, intake

INTAKE = 2  # what is known of a file holds for one way of looking at it
HOP = 320  # samples of 24 kHz audio a latent frame
ENDINGS = "|".join(suffix[1:] for suffix in intake.SUFFIXES + intake.FOREIGN)
NAME = re.compile(rf"(pair_\d+)_(input|output)\.({ENDINGS})", re.IGNORECASE)
LAYOUT = "train/pair_0000_input.wav with train/pair_0000_output.wav, and the same under val/"


@dataclass(frozen=True)
class Song:
    """An audio file that was read to its end: its content hash and its length at 24 kHz."""

    file: Path
    hash: str
    samples: int

    @property
    def frames(self) -> int:
        """Latent frames; the codec rounds up."""
        return math.ceil(self.samples / HOP)


@dataclass(frozen=True)
class Pair:
    """`input` gives the rhythm, `target` the harmony; true stems where the folder has them."""

    name: str
    input: Song
    target: Song
    percussive: Song | None = None  # of the input
    harmonic: Song | None = None  # of the target
    input_harmonic: Song | None = None  # what a blend leaves out
    target_percussive: Song | None = None

    def without_stems(self) -> "Pair":
        """The same songs as where no stems are known: their parts are separated."""
        return Pair(self.name, self.input, self.target)

    def parts(self) -> dict[str, tuple[Song, Song | None, str]]:
        """Each part's name -> its song, its true stem if there is one, percussive or harmonic."""
        return {
            "input_percussive": (self.input, self.percussive, "percussive"),
            "input_harmonic": (self.input, self.input_harmonic, "harmonic"),
            "target_percussive": (self.target, self.target_percussive, "percussive"),
            "target_harmonic": (self.target, self.harmonic, "harmonic"),
        }

    def separated(self) -> dict[str, tuple[Song, None, str]]:
        """What an agent hears of separation, stems or not: drums of the input, target's harmony."""
        return {
            "input_hpss": (self.input, None, "percussive"),
            "target_hpss": (self.target, None, "harmonic"),
        }


class FileBook:
    """Remembers what was found in a file, by path, size and time, so that it is read only once."""

    def __init__(self, folder: Path):
        self.path = folder / "files.jsonl"
        self.known: dict[str, dict] = {}
        if self.path.is_file():
            for line in self.path.read_text(errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                    if is_entry(entry):
                        self.known[entry["path"]] = entry
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue  # a line cut off by a kill; the file is simply read again

    def look(self, files: Iterable[Path]) -> dict[Path, dict]:
        """{file: {"hash", "samples"} or {"problem"}}; reads what is new or changed."""
        files = list(dict.fromkeys(files))
        fresh = [file for file in files if not self._is_known(file)]
        if fresh:
            with ThreadPoolExecutor(max_workers=8) as pool:
                looked = pool.map(examine, fresh)
                if len(fresh) >= 200:
                    looked = progress(looked, "checking audio files", "file", total=len(fresh))
                entries = list(looked)
            self.known.update((entry["path"], entry) for entry in entries)
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a") as stream:
                    stream.writelines("\n" + json.dumps(entry) for entry in entries)
            except OSError as error:
                raise InputError(
                    f"cannot write to {self.path.parent} ({error}): free space or set paths.data"
                ) from error
        return {file: self.known[str(file.resolve())] for file in files}

    def _is_known(self, file: Path) -> bool:
        entry = self.known.get(str(file.resolve()))
        return entry is not None and entry["stamp"] == stamp(file) and entry.get("by") == INTAKE


def is_entry(entry: dict) -> bool:
    """Whether a line of the book says all that `examine` does."""
    kinds = {"problem": str} if "problem" in entry else {"hash": str, "samples": int}
    kinds |= {"path": str, "stamp": list}
    return all(isinstance(entry[name], kind) for name, kind in kinds.items())


def stamp(file: Path) -> list[int]:
    facts = file.stat()
    return [facts.st_size, facts.st_mtime_ns]


def examine(file: Path) -> dict:
    """Read `file` to its end: its hash and length, or what is wrong with it."""
    entry = {"path": str(file.resolve()), "stamp": stamp(file), "by": INTAKE}
    notes: list[str] = []
    try:
        sound = audio.read(file, notes=notes)
    except InputError as error:
        return entry | {"problem": str(error)}
    for note in notes:
        print(f"note: {note}", flush=True)
    return entry | {"hash": audio.fingerprint(sound), "samples": len(sound)}


def splits(root: Path) -> dict[str, Path]:
    """{"train", "val", "test"} -> folder; test falls back to val where there is none.

    Raises:
        InputError: no such folder, or no train or val folder in it.
    """
    if not root.is_dir():
        raise InputError(f"data.root={root}: no such folder; expected {LAYOUT}")
    for split in ("train", "val"):
        if not (root / split).is_dir():
            raise InputError(
                f"data.root={root}: no folder {split}/ in it; expected {LAYOUT}. "
                "`python -m jingle.pairs SONGS_DIR OUT` builds that from a folder of songs"
            )
    test = root / "test" if (root / "test").is_dir() else root / "val"
    return {"train": root / "train", "val": root / "val", "test": test}


def scan(folder: Path, book: FileBook, *, seconds: float) -> tuple[list[Pair], list[str]]:
    """The usable pairs of one split's folder by name, and one line for each that is left out.

    Left out: a pair with a file missing, unreadable (see `audio.read`) or shorter than `seconds`.

    Raises:
        InputError: no pair is usable; the message gives the reasons.
    """
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.iterdir()):
        if match := NAME.fullmatch(file.name):
            found.setdefault(match[1].lower(), {}).setdefault(match[2].lower(), file)
    stems = folder.parent / "stems" / folder.name
    facts = book.look(
        [file for sides in found.values() for file in sides.values()]
        + [file for name in found for file in stem_files(stems, name) if file.is_file()]
    )
    pairs, skipped = [], []
    for name, sides in found.items():
        problem = why_not(name, sides, facts, seconds)
        if problem:
            skipped.append(f"{folder.name}/{name} skipped: {problem}")
            continue
        parts = [_song(file, facts) for file in stem_files(stems, name)]
        pairs.append(Pair(name, *(_song(sides[s], facts) for s in ("input", "output")), *parts))
    if not pairs:
        reasons = "; ".join(skipped[:5]) if skipped else "there is no file named like a pair"
        reasons += f"; and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        raise InputError(f"{folder}: no usable pair, expected {LAYOUT}; {reasons}")
    return pairs, skipped


def shared(songs: dict[str, list[tuple[Path, str]]]) -> list[str]:
    """A line for each two splits that hold the same recording; `songs`: (file, content hash).

    Only equal samples are noticed: not another part of the same song, nor another encoding of it.
    """
    notes = []
    for first, second in itertools.combinations(songs, 2):
        known = {content: file for file, content in songs[first]}
        both = [(file, known[content]) for file, content in songs[second] if content in known]
        if both:
            named = "; ".join(f"{file} is {other}" for file, other in both[:5])
            more = f"; and {len(both) - 5} more" if len(both) > 5 else ""
            notes.append(
                f"WARNING {len(both)} of {len(songs[second])} files of {second} hold the same "
                f"recording as one of {first}, which flatters the figures of {second}: "
                f"{named}{more}; remove one of each two, or split by song"
            )
    return notes


def why_not(name: str, sides: dict[str, Path], facts: dict[Path, dict], seconds: float) -> str:
    """What keeps a pair from being used; empty if nothing does."""
    for side in ("input", "output"):
        if side not in sides:
            return f"{name}_{side} is missing, expected an input and an output file; add it"
    for side in ("input", "output"):
        entry = facts[sides[side]]
        if "problem" in entry:
            return entry["problem"]
        if math.ceil(entry["samples"] / HOP) < round(seconds * audio.RATE / HOP):
            return (
                f"{sides[side]} lasts {entry['samples'] / audio.RATE:.2f} s, expected at least "
                f"the crop of {seconds:g} s; set data.seconds lower or use a longer file"
            )
    return ""


def stem_files(stems: Path, name: str) -> list[Path]:
    """Where a pair's true stems would be, in the order of `Pair`: the two that are used first."""
    parts = ("input_percussive", "output_harmonic", "input_harmonic", "output_percussive")
    return [stems / f"{name}_{part}.wav" for part in parts]


def _song(file: Path, facts: dict[Path, dict]) -> Song | None:
    entry = facts.get(file)
    if entry is None or "problem" in entry:
        return None
    return Song(file, entry["hash"], entry["samples"])
