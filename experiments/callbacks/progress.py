"""Progress: a bar at a terminal, and a line now and then, dense at first and sparse later."""

import math
import sys
import time
from collections.abc import Callable

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar

from experiments.shared.numbers import clock


def progress(watch: dict[str, str], unit: str) -> pl.Callback:
    """The bar where there is a terminal, else lines alone."""
    return Bar(watch, unit) if sys.stderr.isatty() else Lines(watch, unit)


def due(count: int) -> bool:
    """True for 1 to 10, every 10th to 100, every 100th after."""
    return count <= 10 or (count <= 100 and count % 10 == 0) or count % 100 == 0


def short(value: float) -> str:
    """Three significant digits, so that 1e-6 does not show as 0.000."""
    return f"{value:.3g}"


class Moment:
    """Composes the line of a moment: watched values, change since the start, rate, time left.

    Args:
        watch: short name -> tag.
        unit: "epoch" or "step"; what the sparse rule counts.
    """

    def __init__(self, watch: dict[str, str], unit: str):
        self.watch, self.unit = watch, unit
        self.first: dict[str, float] = {}
        self.begun = time.monotonic()
        self.start = 0.0

    def values(self, trainer) -> dict[str, float]:
        seen = trainer.callback_metrics
        return {name: float(seen[tag]) for name, tag in self.watch.items() if tag in seen}

    def line(self, trainer) -> str:
        epoch, step = trainer.current_epoch + 1, trainer.global_step
        parts = [f"epoch {of(epoch, trainer.max_epochs)}", f"step {of(step, trainer.max_steps)}"]
        for name, value in self.values(trainer).items():
            first = self.first.setdefault(name, value)
            change = (
                f" ({100 * (value - first) / abs(first):+.1f} %)" if first not in (0, value) else ""
            )
            parts.append(f"{name} {short(value)}{change}")
        if trainer.optimizers:
            parts.append(f"lr {short(trainer.optimizers[0].param_groups[0]['lr'])}")
        spent = time.monotonic() - self.begun
        parts.append(f"{clock(spent)} spent")
        done = share_done(trainer)
        if self.start < done < 1:
            parts.append(f"{clock(spent * (1 - done) / (done - self.start))} left")
        return "  ".join(parts)


def of(count: int, total: int | None) -> str:
    """As 3/20, or 3 where no total is set (None or -1)."""
    return f"{count}/{total}" if total and total > 0 else str(count)


def share_done(trainer) -> float:
    """Between 0 and 1, by whichever of max_steps and max_epochs ends the run first."""
    shares = []
    if trainer.max_steps and trainer.max_steps > 0:
        shares.append(trainer.global_step / trainer.max_steps)
    if (
        trainer.max_epochs
        and trainer.max_epochs > 0
        and math.isfinite(trainer.num_training_batches)
    ):
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        shares.append(
            min(trainer.max_epochs, trainer.current_epoch + batches / trainer.num_training_batches)
            / trainer.max_epochs
        )
    return max(shares, default=0.0)


class Lines(pl.Callback):
    """One plain line at each due epoch or step, given to `write`."""

    def __init__(self, watch: dict[str, str], unit: str, write: Callable[[str], None] = print):
        self.moment, self.write = Moment(watch, unit), write

    def on_train_start(self, trainer, pl_module) -> None:
        self.moment.begun, self.moment.start = time.monotonic(), share_done(trainer)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if self.moment.unit == "step" and due(trainer.global_step):
            self._line(trainer)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        if self.moment.unit == "epoch" and due(trainer.current_epoch + 1):
            self._line(trainer)

    def _line(self, trainer) -> None:
        if trainer.is_global_zero:
            self.write(self.moment.line(trainer))

    def state_dict(self) -> dict:
        return {"first": self.moment.first}

    def load_state_dict(self, state: dict) -> None:
        self.moment.first = dict(state["first"])


class Bar(RichProgressBar):
    """Lightning's rich bar with the watched values, the rate, and the lines above it."""

    def __init__(self, watch: dict[str, str], unit: str):
        super().__init__(leave=False)
        self.lines = Lines(watch, unit, self._write)

    def get_metrics(self, trainer, pl_module) -> dict[str, int | str | float | dict[str, float]]:
        shown: dict[str, int | str | float | dict[str, float]] = {
            name: short(v) for name, v in self.lines.moment.values(trainer).items()
        }
        if trainer.optimizers:
            shown["lr"] = short(trainer.optimizers[0].param_groups[0]["lr"])
        return shown

    def _write(self, line: str) -> None:
        if self.progress is not None:
            self.progress.console.print(line, highlight=False)

    def on_train_start(self, trainer, pl_module) -> None:
        super().on_train_start(trainer, pl_module)
        self.lines.on_train_start(trainer, pl_module)

    def on_train_batch_end(self, trainer, pl_module, *arguments) -> None:
        super().on_train_batch_end(trainer, pl_module, *arguments)
        self.lines.on_train_batch_end(trainer, pl_module, *arguments)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        self.lines.on_train_epoch_end(trainer, pl_module)

    def state_dict(self) -> dict:
        return self.lines.state_dict()

    def load_state_dict(self, state: dict) -> None:
        self.lines.load_state_dict(state)
