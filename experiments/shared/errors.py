"""Errors that a user can mend, shown as one message instead of a stack trace."""

import sys
from collections.abc import Callable


class InputError(ValueError):
    """Something a user can mend: the message says what was expected, what was got, what to do."""


class Diverged(RuntimeError):
    """The loss or the gradients left all bounds."""


def cli(main: Callable[[], None]) -> None:
    """Run a command-line program: an InputError becomes its message and exit status 2."""
    for stream in (sys.stdout, sys.stderr):  # a file's name need not be valid in any encoding
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
