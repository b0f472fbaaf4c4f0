"""Measures what a run costs: step time, samples a second, waiting for data, memory."""

import statistics
import time

import lightning.pytorch as pl

from experiments.callbacks.loggers import log
from experiments.callbacks.steps import Interval
from experiments.shared.memory import memory_now, reset_peak


class Speed(pl.Callback):
    """Times each training step from the end of the one before.

    So the loading of data counts; validation and checkpoints do not. A step is an update of the
    weights, with all the batches whose gradients it gathers.
    """

    def __init__(self):
        self.steps: list[float] = []
        self.waits: list[float] = []
        self.mark = self.begun = None
        self.recent = 0
        self.interval, self.batches = Interval(), 1
        self.step = self.wait = 0.0  # of the step that is under way
        self.peak_rss_mb, self.peak_gpu_mb = 0.0, None

    def on_train_start(self, trainer, pl_module) -> None:
        self.interval = Interval(trainer.global_step)
        self.batches = trainer.accumulate_grad_batches
        reset_peak(pl_module.device)

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        self.mark = time.perf_counter()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.begun = time.perf_counter()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        now = time.perf_counter()
        if self.mark is not None:
            self.step += now - self.mark
            self.wait += self.begun - self.mark
        self.mark = now
        if not self.interval.passed(trainer):
            return
        if self.step:  # unknown of the first step after a resume within an epoch
            self.steps.append(self.step)
            self.waits.append(self.wait)
        self.step = self.wait = 0.0
        if self.interval.due(trainer):
            self._weigh(pl_module)
            self._log(trainer)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        self._weigh(pl_module)

    def _weigh(self, pl_module) -> None:
        device = pl_module.device
        self.peak_rss_mb, self.peak_gpu_mb = memory_now(device, self.peak_rss_mb)

    def on_validation_end(self, trainer, pl_module) -> None:
        self.mark = None if trainer.sanity_checking else time.perf_counter()

    def _log(self, trainer) -> None:
        steps, self.recent = self.steps[self.recent :], len(self.steps)
        if steps:
            seconds = statistics.median(steps)
            batch = trainer.datamodule.batch_size * trainer.world_size
            samples = batch * self.batches / seconds
            log(trainer, {"throughput/step_s": seconds, "throughput/samples_per_s": samples})

    def measured(self, batch: int) -> dict:
        """Medians over all steps but the first ten per cent (warm-up), for summary.json.

        Args:
            batch: samples of one batch, on all devices together.
        """
        steady = self.steps[len(self.steps) // 10 :]
        waits = self.waits[len(self.waits) // 10 :]
        seconds = statistics.median(steady) if steady else None
        return {
            "step_s_median": seconds,
            "samples_per_s": batch * self.batches / seconds if seconds else None,
            "data_share": sum(waits) / sum(steady) if steady else None,
            "peak_rss_mb": self.peak_rss_mb,
            "peak_gpu_mb": self.peak_gpu_mb,
        }
