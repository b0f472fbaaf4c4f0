"""A progress bar at a terminal; where there is none (a log, a pipe), a line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

from experiments.shared.numbers import clock

Item = TypeVar("Item")
INTERVAL_S = 30.0  # between two lines in a log


class Progress:
    """Counts work done: `with Progress(total, "caching", "song") as bar: bar.update()`.

    At a terminal it is tqdm's bar. Elsewhere it prints a line at the end, and each `INTERVAL_S`
    before, so that a log holds no redraws and short work leaves one line.

    Args:
        total: how many there are.
        what: what is being done.
        unit: what is counted.
        done: how many were done before.
    """

    def __init__(self, total: int, what: str, unit: str = "item", done: int = 0):
        self.total, self.what, self.unit = total, what, unit
        self.done, self.before, self.start = done, done, time.monotonic()
        self.said = self.start
        self.bar = None
        if sys.stderr.isatty():
            self.bar = tqdm(total=total, desc=what, unit=unit, initial=done, dynamic_ncols=True)

    def update(self, count: int = 1) -> None:
        self.done += count
        if self.bar is not None:
            self.bar.update(count)
        elif time.monotonic() - self.said >= INTERVAL_S and self.done < self.total:
            self._say()

    def _say(self) -> None:
        self.said = time.monotonic()
        spent = self.said - self.start
        line = f"{self.what}: {self.done} of {self.total} {self.unit}s, {clock(spent)} spent"
        if self.before < self.done < self.total:
            left = spent / (self.done - self.before) * (self.total - self.done)
            line += f", {clock(left)} left"
        print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.total:
            self._say()


def progress(
    items: Iterable[Item], what: str, unit: str = "item", total: int = 0
) -> Iterator[Item]:
    """`items`, one by one, with their progress shown; `total` where they have no length."""
    size = total or (len(items) if isinstance(items, Sized) else 0)
    with Progress(size, what, unit) as bar:
        for item in items:
            yield item
            bar.update()


def say(line: str) -> None:
    """Print `line` to stdout, above a bar where there is one."""
    tqdm.write(line, file=sys.stdout)
