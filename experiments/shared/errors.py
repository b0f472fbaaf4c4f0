"""Errors that a user can mend, shown as one message instead of a stack trace."""

import re
import sys
from collections.abc import Callable

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed
MEMORY = ("can't allocate memory", "out of memory", "Unable to allocate", "bad allocation")


class InputError(ValueError):
    """Something a user can mend: the message says what was expected, what was got, what to do."""


class Diverged(RuntimeError):
    """The loss or the gradients left all bounds."""


def cli(main: Callable[[], None]) -> None:
    """Run a command-line program: what a user can mend becomes its message and exit status 2."""
    speak_plainly()
    try:
        main()
    except Exception as error:
        message = mendable(error)
        if message is None:
            raise
        print(f"error: {printable(message)}", file=sys.stderr)
        raise SystemExit(2) from None


def speak_plainly() -> None:
    """Let both streams take any text: a file's name need not be valid in any encoding."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def printable(message: str) -> str:
    """The message without what would steer a terminal, which a file's name may hold."""
    escaped = CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", message)
    return escaped.encode("utf-8", "backslashreplace").decode("utf-8")


def mendable(error: BaseException) -> str | None:
    """What to tell of an error that a user can mend, wherever it was raised; None of any other."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in MEMORY):
        return (
            f"not enough memory for what was asked ({first_line(error)}): give smaller numbers, or "
            "check that the input is what it seems"
        )
    if isinstance(error, RecursionError):
        return "the input is nested too deep: expected a file as the program that makes it writes"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{_name(error.filename)}: {error.strerror}: check the path, its rights and the disk"
    return None


def _name(file: object) -> str:
    return file.decode(errors="backslashreplace") if isinstance(file, bytes) else str(file)


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
