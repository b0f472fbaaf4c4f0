"""What is asked of a resumed run wins over what its checkpoint remembers."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim import Optimizer

from experiments.shared.errors import InputError


class Asked(pl.Callback):
    """Keeps the patience of early stopping, and the optimizers' settings, as they are configured.

    Lightning would put back both from the checkpoint. A learning rate that a schedule has moved
    keeps its place in the schedule: only its scale is the new one. Another number of loading
    processes is taken at the end of an epoch, and refused within one.
    """

    def on_load_checkpoint(self, trainer, pl_module, checkpoint: dict) -> None:
        for callback in trainer.callbacks:
            state = checkpoint.get("callbacks", {}).get(callback.state_key)
            if isinstance(callback, EarlyStopping) and state is not None:
                state["patience"] = callback.patience
        take_workers(checkpoint, getattr(trainer.datamodule, "num_workers", 0))

    def on_fit_start(self, trainer, pl_module) -> None:
        """Before the optimizers are restored."""
        self.fresh = [[settings(group) for group in o.param_groups] for o in trainer.optimizers]

    def on_train_start(self, trainer, pl_module) -> None:
        for optimizer, asked in zip(trainer.optimizers, self.fresh, strict=True):
            if [start(group) for group in optimizer.param_groups] != [start(g) for g in asked]:
                apply(optimizer, asked)
        for config in trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            if hasattr(scheduler, "base_lrs"):
                groups = scheduler.optimizer.param_groups
                scheduler.base_lrs = [group["initial_lr"] for group in groups]


def take_workers(checkpoint: dict, asked: int) -> None:
    """Forget how the loaders had been read, where it is of no use to `asked` processes.

    torchdata keeps what each of its processes has read, which no other number can take up. At the
    end of an epoch nothing of it is needed.

    Raises:
        InputError: the run stopped within an epoch, with another number.
    """
    loop = checkpoint.get("loops", {}).get("fit_loop", {})
    states = loop.get("state_dict", {}).get("combined_loader") or []
    had = {workers_of(state) for state in states if isinstance(state, dict)}
    if had <= {asked}:
        return
    if not loop["epoch_loop.batch_progress"]["is_last_batch"]:
        raise InputError(
            f"the run stopped within an epoch, with {max(had)} loading processes: go on with "
            f"data.num_workers={max(had)} (another number, here {asked}, can be taken from the end "
            "of an epoch on)"
        )
    del loop["state_dict"]["combined_loader"]


def workers_of(state: dict) -> int:
    """How many processes a stateful loader had, by its state."""
    return ((state.get("_snapshot") or {}).get("_main_snapshot") or {}).get("_num_workers", 0)


def settings(group: dict) -> dict:
    """A parameter group's plain values."""
    plain = int | float | str | tuple | None
    return {key: value for key, value in group.items() if isinstance(value, plain)}


def start(group: dict) -> dict:
    """A group's settings as they were before any schedule moved them."""
    return settings(group) | {"lr": group.get("initial_lr", group["lr"]), "initial_lr": None}


def apply(optimizer: Optimizer, asked: list[dict]) -> None:
    for group, wanted in zip(optimizer.param_groups, asked, strict=True):
        before, now = start(group)["lr"], start(wanted)["lr"]
        rate = group["lr"] * (now / before) if before else now
        group.update(wanted)
        group["lr"] = rate
