"""Keeps what a run prints in its run.log, as a terminal would show it in the end."""

import contextlib
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TextIO

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
BAR = tuple("━╸╺█▏▎▍▌▋▊▉")  # what rich and tqdm draw bars with; a log needs no bar


class Tee:
    """A stream that also writes whole lines into a log, without colours and progress bars."""

    def __init__(self, stream: TextIO, log: IO[str]):
        self.stream, self.log, self.line = stream, log, ""

    def write(self, text: str) -> int:
        self.stream.write(text)
        *whole, self.line = (self.line + text).split("\n")
        for line in whole:
            self.keep(line)
        return len(text)

    def keep(self, line: str) -> None:
        shown = CONTROL.sub("", line.removesuffix("\r")).split("\r")[-1].rstrip()
        if not any(mark in shown for mark in BAR):
            self.log.write(shown + "\n")

    def flush(self) -> None:
        self.stream.flush()
        self.log.flush()

    def __getattr__(self, name: str):  # isatty, fileno, encoding and the like
        return getattr(self.stream, name)


@contextlib.contextmanager
def recorded(path: Path) -> Iterator[IO[str]]:
    """Append stdout and stderr to `path`; gives the log, for what is printed later elsewhere."""
    out, err = sys.stdout, sys.stderr
    with path.open("a", encoding="utf-8", buffering=1) as log:
        log.write(f"--- {datetime.now().astimezone().isoformat(timespec='seconds')}\n")
        first, second = Tee(out, log), Tee(err, log)
        sys.stdout, sys.stderr = first, second
        try:
            yield log
        finally:
            sys.stdout, sys.stderr = out, err
            for tee in (first, second):
                if tee.line:
                    tee.keep(tee.line)
