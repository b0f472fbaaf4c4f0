"""Builds pairs in the layout that `jingle.data` reads from a folder of songs, split by song."""

import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments.shared.errors import InputError
from jingle.sound import audio
from jingle.sound.features import level

SILENT_DB = -50.0  # RMS; a crop or song below this counts as silence
TRIES = 20  # crops drawn before a song is given up as mostly silent


@dataclass(frozen=True)
class Source:
    """A usable song: its file, its content and its length in seconds."""

    file: Path
    hash: str
    seconds: float


def find_songs(folder: Path, seconds: float) -> tuple[list[Source], list[str]]:
    """The usable songs under `folder`, and one line for each that is not.

    Left out: unreadable files, songs shorter than `seconds`, silence, and copies of a song (which
    could otherwise end in two splits).

    Raises:
        InputError: no such folder, or no audio file in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a folder of songs")
    files = [f for f in sorted(folder.rglob("*")) if f.suffix.lower() in audio.SUFFIXES]
    if not files:
        raise InputError(f"{folder}: no audio in it, expected {', '.join(audio.SUFFIXES)} files")
    with ThreadPoolExecutor(max_workers=4) as pool:
        looked = pool.map(lambda file: look_at(file, seconds), files)
        found = list(tqdm(looked, total=len(files), desc="reading songs", unit="song"))
    songs, skipped, known = [], [], {}
    for file, one in zip(files, found, strict=True):
        if isinstance(one, str):
            skipped.append(f"skipped {one}")
        elif one.hash in known:
            skipped.append(f"skipped {file}: a copy of {known[one.hash]}")
        else:
            known[one.hash] = file
            songs.append(one)
    return songs, skipped


def look_at(file: Path, seconds: float) -> Source | str:
    """The song in `file`, or what is wrong with it."""
    try:
        sound = audio.read(file)
    except InputError as error:
        return str(error)
    length = len(sound) / audio.RATE
    if length < seconds:
        return f"{file}: lasts {length:.1f} s, expected at least {seconds:g} s; lower --seconds"
    if level(sound) < SILENT_DB:
        return f"{file}: silent throughout ({level(sound):.0f} dB)"
    return Source(file, audio.fingerprint(sound), length)


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


def draw_crop(song: Source, seconds: float, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Start in seconds and samples (24 kHz) of a crop that is not silent; empty if none is found.

    Of `TRIES` draws the first good one counts.
    """
    length = round(seconds * audio.RATE)
    for _ in range(TRIES):
        start = rng.random() * (song.seconds - seconds)
        crop = audio.read(song.file, start, seconds)[:length]
        crop = np.pad(crop, (0, length - len(crop)))
        if level(crop) >= SILENT_DB:
            return start, crop
    return 0.0, np.zeros(0, np.float32)


def write_pairs(
    folder: Path,
    split: dict[str, list[Source]],
    *,
    per_song: int,
    seconds: float,
    suffix: str,
    rng: np.random.Generator,
) -> tuple[dict[str, list[dict]], list[str]]:
    """Write `per_song` pairs with each song as input; say what each is of, and what was skipped."""
    made: dict[str, list[dict]] = {name: [] for name in split}
    skipped: list[str] = []
    jobs = [
        (name, song) for name, songs in split.items() for song in songs for _ in range(per_song)
    ]
    for name, song in tqdm(jobs, desc="writing pairs", unit="pair"):
        others = [other for other in split[name] if other != song]
        both = (song, others[rng.integers(len(others))])
        crops = [draw_crop(one, seconds, rng) for one in both]
        silent = [one for one, (_, crop) in zip(both, crops, strict=True) if not len(crop)]
        if silent:
            skipped.append(f"skipped a pair: {TRIES} crops of {silent[0].file} were silent")
            continue
        pair = f"pair_{len(made[name]):04d}"
        entry = {"pair": pair}
        for side, one, (start, crop) in zip(("input", "output"), both, crops, strict=True):
            audio.write(folder / name / f"{pair}_{side}{suffix}", crop)
            entry[side] = {"song": str(one.file), "hash": one.hash, "start_s": round(start, 3)}
        made[name].append(entry)
    return made, skipped


def check_apart(made: dict[str, list[dict]]) -> None:
    """Stop if a song, by content, is in two splits."""
    owner: dict[str, str] = {}
    for name, entries in made.items():
        for entry in entries:
            for side in ("input", "output"):
                if owner.setdefault(entry[side]["hash"], name) != name:
                    raise AssertionError(f"{entry[side]['song']} is in two splits")


def build(
    songs_folder: Path,
    out: Path,
    *,
    per_song: int = 4,
    seconds: float = 16.0,
    seed: int = 0,
    val_share: float = 0.1,
    test_share: float = 0.0,
    suffix: str = ".wav",
) -> dict[str, int]:
    """Write OUT/{train,val[,test]}/pair_0000_{input,output}.wav; the number of pairs by split.

    24 kHz mono; `metadata.txt` says how it was made, `songs.json` which song is where. The folder
    is made aside and renamed, so that it is whole or not there.

    Raises:
        InputError: bad values, no usable songs, a folder that is there already or not writable.
    """
    if per_song < 1 or seconds <= 0 or not 0 < val_share < 1 or not 0 <= test_share < 1:
        raise InputError(
            f"pairs-per-song={per_song}, seconds={seconds}, val-share={val_share}, test-share="
            f"{test_share}: expected at least 1, more than 0, between 0 and 1 (test-share may be 0)"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; give a folder that is new or empty")
    rng = np.random.default_rng(seed)
    songs, skipped = find_songs(songs_folder, seconds)
    for line in skipped:
        print(line)
    split = split_songs(songs, {"val": val_share, "test": test_share}, rng)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error}); choose another folder") from error
    try:
        options = {"per_song": per_song, "seconds": seconds, "suffix": suffix, "rng": rng}
        made, silent = write_pairs(scratch, split, **options)
        for line in silent:
            print(line)
        check_apart(made)
        sizes = {name: len(entries) for name, entries in made.items()}
        if not all(sizes.values()):
            raise InputError(f"{songs_folder}: no pair that is not silent for a split, got {sizes}")
        write_records(scratch, made, sizes, seconds, seed)
        scratch.chmod(0o755)
        if out.is_dir():
            out.rmdir()
        scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(
        f"{out}: {sizes} pairs of {seconds:g} s from {len(songs)} songs "
        f"({ {name: len(own) for name, own in split.items()} }); "
        f"{len(skipped)} files and {len(silent)} silent pairs skipped"
    )
    return sizes


def write_records(
    folder: Path, made: dict[str, list[dict]], sizes: dict[str, int], seconds: float, seed: int
) -> None:
    """`metadata.txt` with the usual keys, and `songs.json`."""
    values = {
        "segment_duration": seconds,
        "sample_rate": audio.RATE,
        "samples_per_segment": round(seconds * audio.RATE),
        **{f"num_{name}": size for name, size in sizes.items()},
        "total_pairs": sum(sizes.values()),
        "seed": seed,
    }
    lines = [f"{key}: {value}\n" for key, value in values.items()]
    (folder / "metadata.txt").write_text("".join(lines))
    (folder / "songs.json").write_text(json.dumps(made, indent=1))
