"""Tells a user what was made: files, where a failure names the remedy, and notes by kind."""

import re
import warnings
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

from experiments.shared.errors import InputError
from experiments.shared.writing import replacing

SINGLE = re.compile(
    r"\bV\d+|'[^']*'|\"[^\"]*\"|-?\d+(\.\d+)?"
)  # what differs among notes of a kind
PICTURES = (".png", ".pdf", ".svg")


def save_picture(figure: Figure, path: Path) -> None:
    """Write `figure` to `path`.

    Raises:
        InputError: it cannot be written, or its suffix is not one of PICTURES.
    """
    if path.suffix.lower() not in PICTURES:
        raise InputError(f"{path}: expected a picture's name that ends in {', '.join(PICTURES)}")
    with replacing(path) as scratch, warnings.catch_warnings():
        # Clips are called in scripts that no one font holds; boxes stand there then.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(scratch)


def summary(notes: list[str], most: int = 2) -> list[str]:
    """The notes by kind, in order: up to `most` of a kind in full, of more their number."""
    kinds = defaultdict(list)
    for note in notes:
        kinds[SINGLE.sub("_", note)].append(note)
    told = []
    for same in kinds.values():
        told += same if len(same) <= most else [f"{len(same)} times such as: {same[0]}"]
    return told
