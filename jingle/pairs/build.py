"""Builds pairs in the layout that `jingle.data` reads from a folder of songs, split by song."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from experiments.shared.errors import InputError
from experiments.shared.progress import progress
from jingle.pairs.align import CHOICES
from jingle.pairs.draw import draw_pair
from jingle.pairs.sources import Source, find_songs, split_songs
from jingle.sound import audio


def write_pairs(
    folder: Path,
    split: dict[str, list[Source]],
    *,
    per_song: int,
    seconds: float,
    suffix: str,
    how: str,
    key: bool,
    rng: np.random.Generator,
) -> tuple[dict[str, list[dict]], list[str]]:
    """Write `per_song` pairs with each song as input; say what each is of, and what was skipped."""
    made: dict[str, list[dict]] = {name: [] for name in split}
    skipped: list[str] = []
    jobs = [
        (name, song) for name, songs in split.items() for song in songs for _ in range(per_song)
    ]
    for name, song in progress(jobs, "writing pairs", "pair"):
        others = [other for other in split[name] if other != song]
        drawn = draw_pair(song, others, rng, seconds=seconds, how=how, key=key)
        if isinstance(drawn, str):
            skipped.append(f"skipped a pair: {drawn}")
            continue
        entry, *crops = drawn
        pair = f"pair_{len(made[name]):04d}"
        for side, crop in zip(("input", "output"), crops, strict=True):
            audio.write(folder / name / f"{pair}_{side}{suffix}", crop)
        made[name].append({"pair": pair} | entry)
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
    how: str = "none",
    key: bool = False,
) -> dict[str, int]:
    """Write OUT/{train,val[,test]}/pair_0000_{input,output}.wav; the number of pairs by split.

    24 kHz mono; `metadata.txt` says how it was made, `songs.json` which song is where. The folder
    is made aside and renamed, so that it is whole or not there.

    With `how` "tempo" or "beat", or with `key`, partners are drawn from those that go together best
    (`match.compatibility`), and the output song is stretched and shifted to the input song's tempo,
    beats and key (`align`); `songs.json` says by how much.

    Raises:
        InputError: bad values, no usable songs, a folder that is there already or not writable.
    """
    if per_song < 1 or seconds <= 0 or not 0 < val_share < 1 or not 0 <= test_share < 1:
        raise InputError(
            f"pairs-per-song={per_song}, seconds={seconds}, val-share={val_share}, test-share="
            f"{test_share}: expected at least 1, more than 0, between 0 and 1 (test-share may be 0)"
        )
    if how not in CHOICES:
        raise InputError(f"align={how}: expected one of {', '.join(CHOICES)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; give a folder that is new or empty")
    rng = np.random.default_rng(seed)
    songs, skipped = find_songs(songs_folder, seconds, listen=key or how != "none")
    for line in (*skipped, *(f"note: {note}" for song in songs for note in song.notes)):
        print(line)
    split = split_songs(songs, {"val": val_share, "test": test_share}, rng)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error}); choose another folder") from error
    try:
        options = {"per_song": per_song, "seconds": seconds, "suffix": suffix, "rng": rng}
        made, silent = write_pairs(scratch, split, how=how, key=key, **options)
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
        f"{len(skipped)} files and {len(silent)} pairs skipped"
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
