"""Makes the embedded corpus: pairs of rendered songs as `jingle.data` reads them, with their truth.

OUT/{train,val,test}/pair_0000_{input,output}.wav        24 kHz mono, 16 bit
OUT/stems/{split}/pair_0000_{input,output}_{percussive,harmonic}.wav
OUT/truth/{split}/pair_0000.json                         tempo, key, drum onsets, chords of both
OUT/metadata.txt                                         "key: value" lines
"""

import json
from pathlib import Path

import numpy as np

from experiments.shared import arguments, writing
from experiments.shared.errors import InputError, cli
from experiments.shared.progress import progress
from jingle.songs.song import render_song
from jingle.sound import audio

SPLITS = ("train", "val", "test")
SIDES = ("input", "output")
STEMS = ("percussive", "harmonic")


def make_corpus(
    folder: Path,
    *,
    pairs: int,
    val_pairs: int,
    test_pairs: int,
    seconds: float = 16.0,
    seed: int = 0,
    aligned: float = 0.75,
) -> None:
    """Write the corpus into `folder`; every song is in one pair, hence in one split.

    Args:
        folder: where to write; made if it is not there.
        pairs: training pairs.
        val_pairs: validation pairs.
        test_pairs: test pairs.
        seconds: length of every file.
        seed: the same seed gives the same files, whatever the other numbers are.
        aligned: share of the pairs whose output is rendered at the input's tempo; the published
            data align nothing, and two tempi at once make no music.

    Raises:
        InputError: a count, length or share that makes no corpus.
    """
    counts = dict(zip(SPLITS, (pairs, val_pairs, test_pairs), strict=True))
    if min(counts.values()) < 0 or pairs < 1:
        raise InputError(f"expected pairs >= 1 and no negative count, got {counts}")
    if not 0.5 <= seconds <= 3600:
        raise InputError(f"seconds={seconds}: expected 0.5 to 3600")
    if not 0 <= aligned <= 1:
        raise InputError(f"aligned={aligned}: expected a share from 0 to 1")
    folder = Path(folder)
    files = 2 * (1 + len(STEMS)) * sum(counts.values())
    writing.foresee(
        folder, files * seconds * audio.RATE * 2, f"pairs={pairs}: give fewer, or shorter"
    )
    jobs = [(split, index) for split in SPLITS for index in range(counts[split])]
    for split, index in progress(jobs, "rendering song pairs", "pair"):
        songs = render_pair(seed, split, index, seconds, aligned)
        write_pair(folder, split, index, songs)
    write_metadata(folder, counts, seconds, seed)


def render_pair(seed: int, split: str, index: int, seconds: float, aligned: float) -> list[dict]:
    """The two songs of a pair, input first; the same arguments give the same samples."""
    key = (seed, SPLITS.index(split), index)
    first = render_song((*key, 0), seconds)
    together = np.random.default_rng((*key, 2)).random() < aligned
    second = render_song((*key, 1), seconds, tempo=first["tempo"] if together else None)
    return [first, second]


def write_pair(folder: Path, split: str, index: int, songs: list[dict]) -> None:
    """Write a pair's songs, stems and truth."""
    name = f"pair_{index:04d}"
    truth: dict = {"tempo_aligned": songs[0]["tempo"] == songs[1]["tempo"]}
    for side, song in zip(SIDES, songs, strict=True):
        audio.write(folder / split / f"{name}_{side}.wav", song["audio"])
        for stem in STEMS:
            audio.write(folder / "stems" / split / f"{name}_{side}_{stem}.wav", song[stem])
        truth[side] = {key: song[key] for key in ("tempo", "key", "bar", "onsets", "chords")}
    file = folder / "truth" / split / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(truth, indent=1))


def write_metadata(folder: Path, counts: dict[str, int], seconds: float, seed: int) -> None:
    """Write `metadata.txt`, with the usual keys and the seed."""
    values = {
        "segment_duration": seconds,
        "sample_rate": audio.RATE,
        "samples_per_segment": round(seconds * audio.RATE),
        **{f"num_{split}": counts[split] for split in SPLITS},
        "total_pairs": sum(counts.values()),
        "seed": seed,
    }
    lines = [f"{key}: {value}" for key, value in values.items()]
    (folder / "metadata.txt").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Render the embedded corpus: song pairs with true stems, onsets and chords."""
    parser = arguments.Parser(prog="python -m jingle.corpus", description=main.__doc__)
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument(
        "--pairs", type=arguments.whole(1), default=200, help="training pairs (200)"
    )
    parser.add_argument(
        "--val-pairs", type=arguments.whole(0), help="validation pairs (a tenth, at least one)"
    )
    parser.add_argument(
        "--test-pairs", type=arguments.whole(0), help="test pairs (a tenth, at least one)"
    )
    parser.add_argument(
        "--seconds", type=arguments.real(0.5, 3600), default=16.0, help="length of each song (16)"
    )
    parser.add_argument("--seed", type=arguments.seed, default=0)
    parser.add_argument(
        "--aligned",
        type=arguments.real(0, 1),
        default=0.75,
        help="share of pairs rendered at one tempo (0.75)",
    )
    parser.overwrite()
    given = parser.parse_args()
    writing.check_folder(given.out, overwrite=given.overwrite)
    tenth = max(1, given.pairs // 10)
    with writing.new_folder(given.out) as scratch:
        make_corpus(
            scratch,
            pairs=given.pairs,
            val_pairs=tenth if given.val_pairs is None else given.val_pairs,
            test_pairs=tenth if given.test_pairs is None else given.test_pairs,
            seconds=given.seconds,
            seed=given.seed,
            aligned=given.aligned,
        )
    print(f"{given.out}: written")


if __name__ == "__main__":
    cli(main)
