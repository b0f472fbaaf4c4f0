"""Where a command may write: nothing is overwritten unasked, nothing is left half-written.

One rule for all commands. An output that is there already stays unless --overwrite is given; a
command's own input is never written over; what is written goes to a scratch file beside and is
renamed when it is whole.
"""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from experiments.shared.errors import InputError, first_line
from experiments.shared.reading import kind_of

ADVICE = "choose a place that exists, may be written to and has room"
SPARE = 24  # bytes that a scratch file's name has beyond that of the file


def check_file(
    path: Path, *, inputs: Iterable[Path | None] = (), overwrite: bool = False, option: str = ""
) -> Path:
    """`path`, if a file may be written there.

    Args:
        path: the file.
        inputs: what the command reads; it is never written over, whatever `overwrite` says.
        overwrite: whether the user has asked for what is there to be replaced.
        option: what the message calls it by.

    Raises:
        InputError: it is there already or is no regular file, or its folder cannot be written.
    """
    path, said = Path(path), f"{option} {path}".strip()
    facts = facts_of(path, said)
    if facts is not None:
        if not stat.S_ISREG(facts.st_mode):
            raise InputError(f"{said}: is {kind_of(facts.st_mode)}: expected a new file's name")
        for own in inputs:
            if own is not None and same(own, facts):
                raise InputError(
                    f"{said}: would take the place of the input {own}: choose another name"
                )
        if not overwrite:
            raise InputError(
                f"{said}: is there already: give --overwrite to replace it, or another name"
            )
    check_room(path, said)
    return path


def check_folder(path: Path, *, overwrite: bool = False, option: str = "") -> Path:
    """`path`, if it may become a folder that a command fills: new, or empty unless `overwrite`.

    Raises:
        InputError: it holds something, is no folder, or cannot be made.
    """
    path, said = Path(path), f"{option} {path}".strip()
    check_below(path, option)
    if path.is_dir() and not overwrite and (found := next(path.iterdir(), None)) is not None:
        raise InputError(
            f"{said}: holds {found.name} already: give a folder that is new or empty, or "
            "--overwrite to write into it"
        )
    return path


def check_below(path: Path, option: str = "") -> Path:
    """`path`, if it is a folder, or may be made one, that files can be written into.

    Raises:
        InputError: it is a file, or cannot be made or written.
    """
    path, said = Path(path), f"{option} {path}".strip()
    facts = facts_of(path, said)
    if facts is not None and not stat.S_ISDIR(facts.st_mode):
        raise InputError(f"{said}: is {described(facts)}: expected a folder; choose another place")
    check_room(path / "x", said)
    return path


def described(facts: os.stat_result) -> str:
    return "a file" if stat.S_ISREG(facts.st_mode) else kind_of(facts.st_mode)


def facts_of(path: Path, said: str) -> os.stat_result | None:
    """What is at `path`, through links; None where nothing is."""
    try:
        return path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise InputError(f"{said}: is a link to nothing: choose another name") from None
        return None
    except (OSError, ValueError) as error:
        raise cannot(said, error) from None


def same(own: Path, facts: os.stat_result) -> bool:
    try:
        return os.path.samestat(Path(own).stat(), facts)
    except OSError:
        return False


def check_room(path: Path, said: str) -> None:
    """Write and remove a scratch file in the nearest folder above `path` that there is."""
    above = next((p for p in path.absolute().parents if os.path.lexists(p)), Path("/"))
    try:
        most = os.pathconf(above, "PC_NAME_MAX") - SPARE
        if any(len(os.fsencode(part)) > most for part in path.parts):
            raise InputError(f"{said[:80]}...: its name is too long: choose one of at most {most}")
        with tempfile.NamedTemporaryFile(dir=above, prefix=".room-"):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise cannot(said, error) from None


def foresee(folder: Path, needed: float, what: str) -> None:
    """Stop before the work on what the disk would not hold.

    Args:
        folder: where it is to be written.
        needed: bytes, at least.
        what: of what, and what to do about it.

    Raises:
        InputError: less is free.
    """
    above = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(above).free
    if needed > free:
        raise InputError(
            f"{folder}: would take {needed / 2**30:,.1f} GiB at least, {free / 2**30:,.1f} GiB are "
            f"free: {what}"
        )


def cannot(said: object, error: BaseException) -> InputError:
    reason = getattr(error, "strerror", None) or first_line(error)
    return InputError(f"{said}: cannot be written ({reason}): {ADVICE}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A scratch file beside `path`, of its suffix, that takes its place when all went well.

    Raises:
        InputError: it cannot be written, for want of room or rights.
    """
    path = Path(path)
    scratch = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
        os.replace(scratch, path)
    except OSError as error:
        raise cannot(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A scratch folder that becomes `path`, or whose files go into it where it is there already.

    Raises:
        InputError: something in it cannot be written.
    """
    path, scratch = Path(path).absolute(), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name[:80]}-", dir=path.parent))
        yield scratch
        scratch.chmod(0o755)
        if not path.is_dir():
            os.replace(scratch, path)
        elif any(path.iterdir()):
            shutil.copytree(scratch, path, dirs_exist_ok=True)
        else:  # it may be somebody's working directory
            for child in scratch.iterdir():
                os.replace(child, path / child.name)
    except (OSError, shutil.Error) as error:
        raise cannot(path, error) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
