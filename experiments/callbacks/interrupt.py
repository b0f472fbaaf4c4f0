"""Ctrl-C and SIGTERM: all ranks agree, save one checkpoint, and leave."""

import os
import signal

import lightning.pytorch as pl


class Interrupted(SystemExit):
    """The run was asked to stop; its state is saved. The exit status is 128 + signal."""

    def __init__(self, signum: int):
        super().__init__(128 + signum)


class Interrupt(pl.Callback):
    """Saves `path` after the batch in which SIGINT or SIGTERM came, then raises Interrupted.

    The handler only sets a flag: Lightning's own broadcasts inside the signal handler, which hangs
    DDP. Ranks decide together after each batch, since a signal may reach only some of them. A
    second signal ends the process at once.
    """

    def __init__(self, path: str):
        self.path, self.signum, self.before = path, 0, {}

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
        if trainer.strategy.reduce_boolean_decision(self.signum != 0, all=False):
            trainer.save_checkpoint(self.path)
            self._leave(trainer)

    def on_train_end(self, trainer, pl_module) -> None:
        self._restore()

    def on_exception(self, trainer, pl_module, exception) -> None:
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self.before.items():
            signal.signal(signum, handler)
        self.before = {}

    def _leave(self, trainer) -> None:
        signum = self.signum or signal.SIGTERM
        if trainer.is_global_zero:
            name = signal.Signals(signum).name
            print(
                f"\n{name}: saved {self.path}; the same command with hydra.run.dir set to", end=" "
            )
            print("this run's folder goes on from here", flush=True)
        raise Interrupted(signum)
