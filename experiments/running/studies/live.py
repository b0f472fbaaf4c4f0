"""Shows jobs that run side by side: a table at a terminal, else a line now and then."""

import math
import sys
import time

from rich.console import Console
from rich.live import Live as RichLive
from rich.table import Table

from experiments.running.launch import Job, objective, was_stopped
from experiments.shared.folder import Pulse
from experiments.shared.numbers import clock, number

INTERVAL_S = 30.0  # between two lines in a log
ENDED_SHOWN = 8


class Live:
    """Job, status, epoch, objective and time left of each; how long the whole still takes.

    Args:
        total: how many jobs there are.
        shown: False where the one running job prints for itself.
    """

    def __init__(self, total: int, shown: bool = True):
        self.total, self.shown = total, shown
        self.running: list[Job] = []
        self.done: list[tuple[Job, str, float]] = []  # with how it ended, and seconds
        self.widest = 1
        self.said = time.monotonic()
        terminal = shown and sys.stdout.isatty()
        self.screen = RichLive(console=Console(), auto_refresh=False) if terminal else None

    def __enter__(self) -> "Live":
        if self.screen is not None:
            self.screen.start()
        return self

    def __exit__(self, *_) -> None:
        if self.screen is not None:
            self.screen.stop()

    def begun(self, job: Job) -> None:
        self.running.append(job)
        self.widest = max(self.widest, len(self.running))

    def ended(self, job: Job, status: int, how: str) -> None:
        self.running.remove(job)
        seconds = time.monotonic() - job.begun
        self.done.append((job, how, seconds))
        if status and not was_stopped(status):
            self._say(f"{job.folder}: the job failed with exit status {status}", always=True)
        elif self.screen is None:
            best = number(finite(objective(job.place.read())))
            ends = f"{job.folder.name}: {how}, objective {best}, {clock(seconds)}"
            self._say(f"{ends}; {len(self.done)} of {self.total} done{self._left()}")

    def show(self) -> None:
        if self.screen is not None:
            self.screen.update(self.table(), refresh=True)
        elif time.monotonic() - self.said >= INTERVAL_S and self.running:
            rows = [f"{j.folder.name} {line(j.place.read_pulse())}" for j in self.running]
            self._say(f"{len(self.done)} of {self.total} done{self._left()}; " + "; ".join(rows))

    def _say(self, text: str, always: bool = False) -> None:
        self.said = time.monotonic()
        if self.screen is not None:
            self.screen.console.print(text, highlight=False)
        elif self.shown or always:
            print(text, flush=True)

    def _left(self) -> str:
        """As long as jobs took so far; from the pulses alone where none has ended."""
        spent = [seconds for _, how, seconds in self.done if how == "completed"]
        rest = self.total - len(self.done)
        if not spent or not rest:
            return ""
        rounds = math.ceil(rest / self.widest)
        return f", about {clock(sum(spent) / len(spent) * rounds)} left"

    def table(self) -> Table:
        title = f"{len(self.done)} of {self.total} done{self._left()}"
        waiting = self.total - len(self.done) - len(self.running)
        caption = f"{waiting} waiting; what they print is in job.log of each folder"
        table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
        for name in ("job", "status", "epoch", "objective", "best", "time left"):
            table.add_column(name, justify="left" if name in ("job", "status") else "right")
        for job, how, seconds in self.done[-ENDED_SHOWN:]:
            summary = job.place.read()
            last = (summary.get("objective") or {}).get("last")
            best, epochs = number(finite(objective(summary))), str(summary.get("epochs", ""))
            table.add_row(
                job.folder.name, how, epochs, number(last), best, f"took {clock(seconds)}"
            )
        for job in self.running:
            pulse = job.place.read_pulse()
            if not pulse:
                table.add_row(job.folder.name, "starting")
                continue
            seen = values(pulse)
            found = [seen[-1] if seen else None, best_so_far(job, seen)]
            left = clock(pulse.get("left_s") or 0) if pulse.get("left_s") else ""
            table.add_row(job.folder.name, "running", epoch(pulse), *map(number, found), left)
        return table


def values(pulse: Pulse) -> list[float]:
    return [value for _, value in pulse.get("history") or [] if value is not None]


def best_so_far(job: Job, seen: list[float]) -> float | None:
    if not seen:
        return None
    return max(seen) if job.mode == "max" else min(seen)


def epoch(pulse: Pulse) -> str:
    epochs = pulse.get("epochs")
    return f"{pulse.get('epoch', 0)}/{epochs}" if epochs else str(pulse.get("epoch", ""))


def line(pulse: Pulse) -> str:
    """Epoch, objective and time left, in a log."""
    if not pulse:
        return "starts"
    seen = values(pulse)
    found = f", objective {number(seen[-1])}" if seen else ""
    left = f", {clock(pulse.get('left_s') or 0)} left" if pulse.get("left_s") else ""
    return f"epoch {epoch(pulse)}{found}{left}"


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
