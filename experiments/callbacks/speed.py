"""Measures what a run costs: step time, samples a second, waiting for data, memory."""

import statistics
import time

import lightning.pytorch as pl
import psutil
import torch


class Speed(pl.Callback):
    """Times each training step from the end of the one before.

    So the loading of data counts; validation and checkpoints do not.
    """

    def __init__(self):
        self.steps: list[float] = []
        self.waits: list[float] = []
        self.mark = self.begun = None
        self.recent = 0
        self.peak_rss = 0

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        self.mark = time.perf_counter()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.begun = time.perf_counter()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        now = time.perf_counter()
        if self.mark is not None:
            self.steps.append(now - self.mark)
            self.waits.append(self.begun - self.mark)
        self.mark = now
        if trainer.global_step % trainer.log_every_n_steps == 0:
            self.peak_rss = max(self.peak_rss, psutil.Process().memory_info().rss)
            self._log(trainer)

    def on_validation_end(self, trainer, pl_module) -> None:
        self.mark = None if trainer.sanity_checking else time.perf_counter()

    def _log(self, trainer) -> None:
        steps, self.recent = self.steps[self.recent :], len(self.steps)
        if trainer.logger and steps:
            seconds = statistics.median(steps)
            samples = trainer.datamodule.batch_size * trainer.world_size / seconds
            trainer.logger.log_metrics(
                {"throughput/step_s": seconds, "throughput/samples_per_s": samples},
                trainer.global_step,
            )

    def measured(self, samples_per_step: int) -> dict:
        """Medians over all steps but the first ten per cent (warm-up), for summary.json.

        A step is one batch, also where gradients accumulate over several.
        """
        steady = self.steps[len(self.steps) // 10 :]
        waits = self.waits[len(self.waits) // 10 :]
        seconds = statistics.median(steady) if steady else None
        gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
        return {
            "step_s_median": seconds,
            "samples_per_s": samples_per_step / seconds if seconds else None,
            "data_share": sum(waits) / sum(steady) if steady else None,
            "peak_rss_mb": max(self.peak_rss, psutil.Process().memory_info().rss) / 2**20,
            "peak_gpu_mb": gpu,
        }
