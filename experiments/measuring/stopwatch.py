"""A Lightning callback that times real training steps, then stops the run."""

import time
from dataclasses import dataclass, field

import lightning.pytorch as pl
import torch

from experiments.measuring.flops import Flops
from experiments.shared.memory import memory_now, reset_peak


@dataclass
class Timings:
    """Seconds, one entry a step; `parts` from further steps that were taken apart.

    `cpu` is processor time of this process: on a machine shared with others it says what the step
    needs, where `steps` says what it got.
    """

    steps: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    flops: int | None = None
    peak_rss_mb: float = 0.0
    peak_gpu_mb: float | None = None


class Stopwatch(pl.Callback):
    """Runs `warmup` steps, times `steps`, takes some more apart, counts the FLOPs of the last.

    A step lasts from the end of the one before to its own end, so that waiting for the next batch
    (and its transfer to the device) counts; epoch ends do not. On a GPU the device is waited for at
    both ends of a step, and between the parts only in the steps that are taken apart.
    """

    def __init__(self, steps: int, warmup: int):
        self.steps, self.warmup = steps, warmup
        self.apart = max(2, steps // 4)
        self.result = Timings()
        self.done = 0
        self.end = self.begin = self.end_cpu = 0.0
        self.counter: Flops | None = None
        self.spent: dict[str, float] = {}
        self.marks: dict[str, float] = {}
        self.hooks = []

    @property
    def phase(self) -> str:
        """What happens to the step that comes next."""
        ends = {"warmup": self.warmup, "timed": self.steps, "apart": self.apart, "flops": 1}
        left = self.done
        for name, count in ends.items():
            if left < count:
                return name
            left -= count
        return "finished"

    def now(self, module: pl.LightningModule) -> float:
        if module.device.type == "cuda":
            torch.cuda.synchronize(module.device)
        return time.perf_counter()

    # The order of a step: batch start, (backward, optimizer step: once or more), batch end.

    def on_train_start(self, trainer, pl_module) -> None:
        for optimizer in trainer.optimizers:
            optimizer = getattr(optimizer, "optimizer", optimizer)
            self.hooks += [
                optimizer.register_step_pre_hook(lambda *_: self._mark("optimizer", pl_module)),
                optimizer.register_step_post_hook(lambda *_: self._add("optimizer", pl_module)),
            ]

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        self.end, self.end_cpu = self.now(pl_module), time.process_time()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if self.done == self.warmup:
            reset_peak(pl_module.device)
        self.spent = {}
        self.begin = self.now(pl_module)
        if self.phase == "flops":
            self.counter = Flops()
            self.counter.__enter__()

    def on_before_backward(self, trainer, pl_module, loss) -> None:
        self._mark("backward", pl_module)

    def on_after_backward(self, trainer, pl_module) -> None:
        self._add("backward", pl_module)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        # With automatic optimization the closure runs inside step(): its part ends here.
        self._mark("optimizer", pl_module)

    def _mark(self, part: str, module: pl.LightningModule) -> None:
        if self.phase == "apart":
            self.marks[part] = self.now(module)

    def _add(self, part: str, module: pl.LightningModule) -> None:
        if self.phase == "apart":
            self.spent[part] = self.spent.get(part, 0.0) + self.now(module) - self.marks[part]

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        end, phase, result = self.now(pl_module), self.phase, self.result
        if phase == "flops" and self.counter is not None:
            self.counter.__exit__(None, None, None)
            result.flops = self.counter.total
        if phase == "timed":
            result.steps.append(end - self.end)
            result.cpu.append(time.process_time() - self.end_cpu)
            result.waits.append(self.begin - self.end)
            result.peak_rss_mb, result.peak_gpu_mb = memory_now(
                pl_module.device, result.peak_rss_mb
            )
        if phase == "apart":
            whole = {"waiting for data": self.begin - self.end, **self.spent}
            whole["forward and the rest"] = end - self.begin - sum(self.spent.values())
            for name, seconds in whole.items():
                result.parts.setdefault(name, []).append(seconds)
        self.done += 1
        if self.phase == "finished":
            trainer.should_stop = True
            for hook in self.hooks:
                hook.remove()
        self.end, self.end_cpu = self.now(pl_module), time.process_time()
