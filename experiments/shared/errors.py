"""Errors that a user can mend, shown as one message instead of a stack trace."""

import sys
from collections.abc import Callable


class InputError(ValueError):
    """Something a user can mend: the message says what was expected, what was got, what to do."""


class Diverged(RuntimeError):
    """The loss or the gradients left all bounds."""


def cli(main: Callable[[], None]) -> None:
    """Run a command-line program: an InputError becomes its message and exit status 2."""
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
