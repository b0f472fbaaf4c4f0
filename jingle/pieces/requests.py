"""Which pieces to make of which songs, and where to write them without writing over a song."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.shared.errors import InputError
from jingle.pairs.scan import FileBook, scan
from jingle.sound import audio, intake


@dataclass(frozen=True)
class Request:
    """One piece to make, and where to write it."""

    input: Path
    target: Path
    output: Path
    takes: int = 1

    def beside(self, name: str) -> Path:
        """The file OUT_name.wav that stands beside OUT.wav."""
        return self.output.with_name(f"{self.output.stem}_{name}{self.output.suffix}")

    @property
    def written(self) -> list[Path]:
        """Every file that the piece becomes."""
        names = ("input", "target", *(f"take_{take + 1}" for take in range(1, self.takes)))
        return [
            self.output,
            *(self.beside(name) for name in names),
            *(self.output.with_suffix(s) for s in (".json", ".html", ".png")),
        ]


def find_requests(
    source: Path | None, target: Path | None, data: Path | None, output: Path, takes: int = 1
) -> list[Request]:
    """What to make: of two files, of two folders (by equal names, else in order), of a data root.

    Of each, so many takes.

    Raises:
        InputError: nothing there, folders that do not match, an output name without a format, or
            an output that would take the place of one of the songs.
    """
    if data is not None:
        requests = of_data(data, output)
    elif source is None or target is None:
        raise InputError("expected --input and --target, or --data; give what to make a piece of")
    else:
        requests = of_songs(source, target, output)
    requests = [replace(request, takes=takes) for request in requests]
    refuse_overwriting(requests)
    return requests


def of_data(data: Path, output: Path) -> list[Request]:
    """A piece of each pair of the test split, else of the validation split."""
    folder = next((data / n for n in ("test", "val") if (data / n).is_dir()), None)
    if folder is None:
        raise InputError(f"--data {data}: expected a folder with test/ or val/ in it")
    with tempfile.TemporaryDirectory() as scratch:
        pairs, skipped = scan(folder, FileBook(Path(scratch)), seconds=0.1)
    for line in skipped:
        print(line)
    return [Request(p.input.file, p.target.file, output / f"{p.name}.wav") for p in pairs]


def of_songs(source: Path, target: Path, output: Path) -> list[Request]:
    """A piece of two files, or one of each two in two folders."""
    for path in (source, target):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
    if source.is_file() != target.is_file():
        raise InputError(f"{source} and {target}: expected two files or two folders")
    if source.is_file():
        if output.suffix.lower() not in audio.WRITTEN:
            raise InputError(
                f"--output {output}: expected a file name that ends in one of "
                f"{', '.join(audio.WRITTEN)}"
            )
        return [Request(source, target, output)]
    inputs, targets = ({f.stem: f for f in songs_in(path)} for path in (source, target))
    names = sorted(set(inputs) & set(targets))
    if names:
        return [Request(inputs[n], targets[n], output / f"{n}.wav") for n in names]
    if len(inputs) != len(targets):
        raise InputError(
            f"{source} has {len(inputs)} songs, {target} has {len(targets)}, no name in both: "
            "expected equal names or equal counts"
        )
    pairs = zip(inputs.values(), targets.values(), strict=True)
    return [Request(a, b, output / f"{a.stem}_with_{b.stem}.wav") for a, b in pairs]


def songs_in(folder: Path) -> list[Path]:
    """The songs of a folder, not of its subfolders; says which formats nobody reads."""
    songs, foreign = intake.songs_in(folder, deep=False)
    for line in foreign:
        print(f"skipped {line}")
    if not songs:
        raise InputError(f"{folder}: no audio in it, expected {', '.join(intake.SUFFIXES)} files")
    return songs


def refuse_overwriting(requests: list[Request]) -> None:
    """Stop before any work if a file to be written is one of the songs, under any name.

    Raises:
        InputError: it is.
    """
    songs = {place(f): f for request in requests for f in (request.input, request.target)}
    for request in requests:
        for file in request.written:
            if file.exists() and (song := songs.get(place(file))):
                raise InputError(
                    f"--output {request.output}: {file} would take the place of the song {song}; "
                    "choose another name or folder"
                )


def place(file: Path) -> tuple[int, int]:
    """What file it is, whatever it is called: device and inode."""
    facts = file.stat()
    return facts.st_dev, facts.st_ino
