"""Logs gradient norms, and stops a run that diverges before it spoils its checkpoints."""

import lightning.pytorch as pl
import torch
from torch import Tensor

from experiments.callbacks.loggers import log
from experiments.callbacks.steps import Interval
from experiments.shared.errors import Diverged


class Guard(pl.Callback):
    """Keeps the gradient norm of every step; logs its median and maximum over each interval.

    Stops the run when the loss named `watch` is not finite, or when the gradient norm is not finite
    or above `max_norm` for `patience` steps in a row. On a GPU the numbers are looked at once per
    logging interval (and before each validation), so that no step waits for them; on a CPU at once.
    """

    def __init__(self, watch: str, max_norm: float, patience: int):
        self.watch, self.max_norm, self.patience = watch, max_norm, patience
        self.norms: list[Tensor] = []
        self.losses: list[Tensor] = []
        self.checked = self.bad_steps = 0  # norms looked at; wild ones in a row
        self.interval = Interval()

    def on_train_start(self, trainer, pl_module) -> None:
        self.interval = Interval(trainer.global_step)

    def state_dict(self) -> dict:
        """The norms of the interval that is open: a resumed run logs them with its own."""
        return {"norms": [float(norm) for norm in self.norms], "bad_steps": self.bad_steps}

    def load_state_dict(self, state: dict) -> None:
        self.norms = [torch.tensor(norm) for norm in state.get("norms", [])]
        self.checked, self.bad_steps = len(self.norms), state.get("bad_steps", 0)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        if pl_module.automatic_optimization:  # else the module sets it, before it clips
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            pl_module.grad_norm = torch.nn.utils.get_total_norm(gradients)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        stepped = self.interval.passed(trainer)
        norm = getattr(pl_module, "grad_norm", None)
        loss = trainer.callback_metrics.get(self.watch)
        if stepped and norm is not None:
            self.norms.append(norm.detach())
        if loss is not None:
            self.losses.append(loss.detach())
        due = stepped and self.interval.due(trainer)
        if due or pl_module.device.type == "cpu":
            self._check(trainer)
        if due and self.norms:
            self._log(trainer)

    def on_validation_start(self, trainer, pl_module) -> None:
        self._check(trainer)

    def _check(self, trainer) -> None:
        problem = ""
        if self.losses and not torch.isfinite(torch.stack(self.losses)).all():
            problem = f"{self.watch} is {self.losses[-1].item()}"
        self.losses = []
        for norm in self.norms[self.checked :]:
            wild = not torch.isfinite(norm) or norm > self.max_norm
            self.bad_steps = self.bad_steps + 1 if wild else 0
            if self.bad_steps >= self.patience:
                problem = f"the gradient norm is {norm.item():.3g} ({self.bad_steps} steps running)"
        self.checked = len(self.norms)
        if trainer.strategy.reduce_boolean_decision(bool(problem), all=False):
            raise Diverged(
                f"diverged at step {trainer.global_step}, epoch {trainer.current_epoch}: "
                f"{problem or 'on another rank'} (bound {self.max_norm:g}). The last good "
                "checkpoint is kept. Try a lower learning rate, a longer warm-up, clipping or "
                "precision=32-true; look at the terms and their shares in TensorBoard."
            )

    def _log(self, trainer) -> None:
        norms = torch.stack([norm.to(self.norms[-1].device) for norm in self.norms])
        self.norms, self.checked = [], 0
        median, largest = norms.median().item(), norms.max().item()
        log(trainer, {"grad/norm_median": median, "grad/norm_max": largest})
