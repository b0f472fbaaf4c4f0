"""python -m jingle.pairs SONGS OUT: pairs for training from a folder of songs."""

from pathlib import Path

from experiments.shared import arguments, writing
from experiments.shared.errors import cli
from jingle.pairs.align import CHOICES
from jingle.pairs.build import build


def main() -> None:
    """Build pairs for training from a folder of songs; no song is in two splits."""
    parser = arguments.Parser(prog="python -m jingle.pairs", description=main.__doc__)
    parser.add_argument(
        "songs",
        type=arguments.folder("songs"),
        help="folder of wav, flac, mp3, ogg, ...; with subfolders",
    )
    parser.add_argument("out", type=Path, help="folder to write; new or empty")
    parser.add_argument(
        "--pairs-per-song",
        type=arguments.whole(1, 1000),
        default=4,
        help="with each as input (4)",
    )
    parser.add_argument(
        "--seconds", type=arguments.real(0.5, 3600), default=16.0, help="length of a file (16)"
    )
    parser.add_argument("--seed", type=arguments.seed, default=0)
    share = arguments.real(0, 1)
    parser.add_argument("--val-share", type=share, default=0.1, help="of the songs (0.1)")
    parser.add_argument("--test-share", type=share, default=0.0, help="of the songs (0: none)")
    parser.add_argument("--format", choices=("wav", "flac", "ogg"), default="wav")
    parser.add_argument(
        "--align",
        choices=CHOICES,
        default="none",
        help="choose songs that go together and stretch the output song to the input song's tempo, "
        "or also lay its beats and bars on the input's; none takes any (none)",
    )
    parser.add_argument(
        "--key", action="store_true", help="shift the output song by up to 3 semitones likewise"
    )
    given = parser.parse_args()
    writing.check_folder(given.out)
    build(
        given.songs,
        given.out,
        per_song=given.pairs_per_song,
        seconds=given.seconds,
        seed=given.seed,
        val_share=given.val_share,
        test_share=given.test_share,
        suffix=f".{given.format}",
        how=given.align,
        key=given.key,
    )


if __name__ == "__main__":
    cli(main)
