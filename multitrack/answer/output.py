"""Writes files that a user named: a failure names the file and the remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib.figure import Figure

from experiments.shared.errors import InputError

PICTURES = (".png", ".pdf", ".svg")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around whatever writes `path`.

    Raises:
        InputError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}): name a file in a folder that "
            "exists, may be written to and has room"
        ) from None


def save_picture(figure: Figure, path: Path) -> None:
    """Write `figure` to `path`.

    Raises:
        InputError: it cannot be written, or its suffix is not one of PICTURES.
    """
    if path.suffix.lower() not in PICTURES:
        raise InputError(f"{path}: expected a picture's name that ends in {', '.join(PICTURES)}")
    with writing(path):
        figure.savefig(path)
