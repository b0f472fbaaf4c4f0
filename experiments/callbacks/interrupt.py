"""Ctrl-C and SIGTERM: all ranks agree, save one checkpoint, and leave."""

import os
import signal
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Checkpoint

from experiments.callbacks.last import awaits_more


class Interrupted(SystemExit):
    """The run was asked to stop. The exit status is 128 + signal."""

    def __init__(self, signum: int):
        super().__init__(128 + signum)
        self.signum = signum

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.signum).name}"


def leave_on_signals() -> None:
    """SIGINT and SIGTERM raise Interrupted: while there is nothing to save, before and after a fit.

    Lightning would turn the first into exit status 1, as of a failure; the second would kill the
    process before it could say how it ended.
    """

    def leave(signum, frame):
        raise Interrupted(signum)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, leave)


class Interrupt(Checkpoint):
    """Saves `path` after the batch in which SIGINT or SIGTERM came, then raises Interrupted.

    After the last batch of an epoch, or one with a validation due, it waits for that: a checkpoint
    between the two would resume behind the validation, or skip an epoch.

    The handler only sets a flag: Lightning's own broadcasts inside the signal handler, which hangs
    DDP. Ranks decide together after each batch, since a signal may reach only some of them. A
    second signal ends the process at once.

    A `Checkpoint`, because Lightning calls these after the module's own hooks, in which it may step
    a schedule.
    """

    def __init__(self, path: str):
        self.path, self.signum = path, 0
        self.before: dict[int, Any] = {}  # the handlers that ours have replaced

    def _install(self) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            handler = signal.signal(signum, self._handle)
            self.before.setdefault(signum, handler)

    def _handle(self, signum, frame) -> None:
        if self.signum:
            os._exit(128 + signum)
        self.signum = signum

    # Lightning installs its handlers between on_fit_start and these two.
    def on_sanity_check_start(self, trainer, pl_module) -> None:
        self._install()

    def on_train_start(self, trainer, pl_module) -> None:
        self._install()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if not awaits_more(trainer, batch_idx):
            self._leave_if_asked(trainer)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        self._leave_if_asked(trainer)

    def on_train_end(self, trainer, pl_module) -> None:
        self._restore()

    def on_exception(self, trainer, pl_module, exception) -> None:
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self.before.items():
            signal.signal(signum, handler)
        self.before = {}

    def _leave_if_asked(self, trainer) -> None:
        if not trainer.strategy.reduce_boolean_decision(self.signum != 0, all=False):
            return
        trainer.save_checkpoint(self.path)
        signum = self.signum or signal.SIGTERM
        if trainer.is_global_zero:
            name = signal.Signals(signum).name
            run = Path(self.path).parent.parent
            print(f"\n{name}: saved {self.path}; to go on from here:")
            print(f"python -m experiments.run resume={run}", flush=True)
        raise Interrupted(signum)
