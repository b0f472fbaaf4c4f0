"""python -m jingle.recordings OUT FOLDER...: freely licensed recorded music, in order.

Nothing is fetched. Debian's packages of game music, unpacked, are such folders; see the README for
the two lines that get them.
"""

import os
import shutil
from pathlib import Path

import numpy as np

from experiments.shared import arguments, writing
from experiments.shared.errors import InputError, cli
from experiments.shared.progress import progress
from jingle.sound import audio, intake

LEAST = 40.0  # seconds; shorter files are effects and signals
HOW = """expected folders with recorded music. On Debian or Ubuntu, for instance:
  apt-get download wesnoth-1.16-music warzone2100-music singularity-music hyperrogue-music
  for deb in *.deb; do dpkg -x "$deb" "music/${deb%%_*}"; done
  python -m jingle.recordings OUT music/*"""


def albums_in(folders: list[Path]) -> dict[str, list[Path]]:
    """Songs by album, which is the name of the folder given, after its parents' where two share it.

    Raises:
        InputError: no folder, or one that is not there or holds no audio.
    """
    if not folders:
        raise InputError(HOW)
    found: dict[str, list[Path]] = {}
    folders = list({folder.resolve(): folder for folder in folders}.values())
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; {HOW}")
        songs, foreign = intake.songs_in(folder)
        for line in foreign:
            print(f"skipped {line}")
        if songs:
            names = folder.resolve().parts[1:]
            known = ["_".join(names[-depth:]) for depth in range(1, len(names) + 1)]
            found[next(name for name in known if name not in found)] = songs
        else:
            print(f"skipped {folder}: no audio in it")
    if not found:
        raise InputError(f"{', '.join(map(str, folders))}: no audio there; {HOW}")
    return found


def gather(
    folders: list[Path], out: Path, *, clips: int = 20, seconds: float = 16.0, least: float = LEAST
) -> dict[str, int]:
    """Write OUT/songs, OUT/clips and OUT/credits.txt; how many songs there are by album.

    Songs are hard links where the disk allows, else copies, named by album. Clips are FLAC from the
    middle of songs, evenly over albums, so that no album decides a figure.

    Args:
        folders: one an album, subfolders too.
        out: new or empty.
        clips: how many.
        seconds: of each.
        least: songs that are shorter are left out, in seconds.

    Raises:
        InputError: nothing to take, or a folder that is there already or cannot be written.
    """
    albums = albums_in(folders)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; give a folder that is new or empty")
    kept: dict[str, list[Path]] = {album: [] for album in albums}
    jobs = [(album, song) for album, songs in albums.items() for song in songs]
    known: set[str] = set()
    for album, song in progress(jobs, "reading songs", "song"):
        try:
            sound = audio.read(song)
        except InputError as error:
            print(f"skipped {error}")
            continue
        content = audio.fingerprint(sound)
        if len(sound) < least * audio.RATE or content in known:
            continue
        known.add(content)
        kept[album].append(place(song, out / "songs" / f"{album}_{song.name.replace(' ', '_')}"))
    rng = np.random.default_rng(0)
    for song in evenly(kept, clips, rng):
        write_clip(song, out / "clips" / f"{song.stem}.flac", seconds)
    (out / "credits.txt").write_text(credits_of(folders), errors="backslashreplace")
    return {album: len(songs) for album, songs in kept.items()}


def place(song: Path, to: Path) -> Path:
    """`song` under the name `to`: linked, or copied where that cannot be."""
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(song.resolve(), to)
        except OSError:
            shutil.copyfile(song, to)
    except OSError as error:
        raise InputError(f"{to}: cannot be written ({error}); choose another folder") from error
    return to


def evenly(albums: dict[str, list[Path]], count: int, rng: np.random.Generator) -> list[Path]:
    """At most `count` songs, from each album in turn."""
    drawn = [[songs[i] for i in rng.permutation(len(songs))] for songs in albums.values()]
    turns = [songs[turn] for turn in range(count) for songs in drawn if turn < len(songs)]
    return turns[:count]


def write_clip(song: Path, to: Path, seconds: float) -> None:
    """`seconds` from the middle of a song, at its own rate and channels."""
    samples, rate = audio.load(song)
    length = round(seconds * rate)
    first = max(0, (len(samples) - length) // 2)
    audio.write(to, samples[first : first + length], rate)


def credits_of(folders: list[Path]) -> str:
    """The licences that Debian keeps beside what it packs, for whoever hears or trains."""
    lines = []
    for folder in folders:
        files = sorted(f for f in folder.rglob("copyright") if f.is_file())
        texts = [file.read_text(errors="replace") for file in files]
        lines.append(f"== {folder.resolve().name}\n" + "\n".join(texts or ["no copyright file"]))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Put recorded music in order: songs by album, clips to measure with, licences."""
    parser = arguments.Parser(prog="python -m jingle.recordings", description=main.__doc__)
    parser.add_argument("out", type=Path, help="folder to write; new or empty")
    parser.add_argument(
        "folders",
        type=arguments.folder("recorded music"),
        nargs="*",
        help="one an album; nothing is fetched",
    )
    parser.add_argument("--clips", type=arguments.whole(0), default=20, help="how many (20)")
    parser.add_argument(
        "--seconds", type=arguments.real(0.01, 3600), default=16.0, help="of each clip (16)"
    )
    given = parser.parse_args()
    writing.check_folder(given.out)
    sizes = gather(given.folders, given.out, clips=given.clips, seconds=given.seconds)
    print(f"{given.out}: {sum(sizes.values())} songs {sizes}; licences in credits.txt")


if __name__ == "__main__":
    cli(main)
