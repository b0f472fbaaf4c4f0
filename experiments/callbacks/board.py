"""Arranges TensorBoard: the custom-scalars page, learning rates, the objective's baselines."""

import re
from collections.abc import Mapping
from itertools import takewhile

import lightning.pytorch as pl
from torch.optim import Optimizer

from experiments.callbacks.loggers import Updates, log, tensorboard
from experiments.callbacks.steps import Interval


class Board(pl.Callback):
    """Writes the layout once, learning rates at each interval, baselines with each validation.

    Lightning's own monitor of learning rates ends a run without a logger, and numbers the groups.

    Args:
        name: the experiment's; its charts stand under it.
        terms: names of the loss terms; their curves and shares get charts of their own.
        objective: tag of the objective, shown with its baselines and target.
        targets: {tag: "< 0.2"}, or None.
        charts: {title: [tag, ...]}: metrics of one unit in one chart.
    """

    def __init__(
        self,
        name: str,
        terms: list[str],
        objective: str,
        targets: dict[str, str | None] | None,
        charts: dict[str, list[str]],
    ):
        self.layout = layout(name, list(terms), objective, charts)
        self.metric = objective.removeprefix("val/")
        self.target = (targets or {}).get(f"test/{self.metric}")
        self.interval, self.names = Interval(), [[]]

    def setup(self, trainer, pl_module, stage: str) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, Updates):
                logger.trainer = trainer

    def on_train_start(self, trainer, pl_module) -> None:
        self.interval = Interval(trainer.global_step)
        self.names = group_names(pl_module, trainer.optimizers)
        board = tensorboard(trainer)
        if board and trainer.is_global_zero and trainer.global_step == 0:
            board.add_custom_scalars(self.layout)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if self.interval.passed(trainer) and self.interval.due(trainer):
            rates = {
                f"lr/{name}": group["lr"]
                for optimizer, names in zip(trainer.optimizers, self.names, strict=True)
                for name, group in zip(names, optimizer.param_groups, strict=True)
            }
            log(trainer, rates)

    def on_validation_end(self, trainer, pl_module) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        lines = {
            f"val_baseline/{self.metric}/{name}": values[self.metric]
            for name, values in pl_module.baselines.items()
            if self.metric in values
        }
        if self.target:
            lines[f"val_target/{self.metric}"] = float(self.target.lstrip("<>= "))
        log(trainer, lines)


def group_names(module: pl.LightningModule, optimizers: list[Optimizer]) -> list[list[str]]:
    """A name for each parameter group: its own "name", else the part of `module` that it trains.

    Where two have the same, and where there is none, a number is added.
    """
    known = {id(p): name.split(".") for name, p in module.named_parameters()}
    taken: list[str] = []

    def name_of(group: dict) -> str:
        paths = [known[id(p)][:-1] for p in group["params"] if id(p) in known]
        name = group.get("name") or common(paths) or "group"
        taken.append(name)
        return name if taken.count(name) == 1 else f"{name}.{taken.count(name)}"

    return [[name_of(group) for group in optimizer.param_groups] for optimizer in optimizers]


def common(paths: list[list[str]]) -> str:
    """What all dotted paths begin with."""
    alike = takewhile(lambda steps: len(set(steps)) == 1, zip(*paths, strict=False))
    return ".".join(steps[0] for steps in alike)


def layout(
    name: str, terms: list[str], objective: str, charts: Mapping[str, list[str]] | None = None
) -> dict:
    """The custom-scalars page. Its tags are regular expressions, hence escaped and anchored.

    TensorBoard joins the layouts of all runs: what all have in common stands under "Health", the
    rest under the experiment's name.
    """

    def exactly(*tags: str) -> list:
        return ["Multiline", [f"^{re.escape(tag)}$" for tag in tags]]

    metric = re.escape(objective.removeprefix("val/"))
    beside = [f"^{re.escape(objective)}$", f"^val_baseline/{metric}/", f"^val_target/{metric}$"]
    own = {title: exactly(*tags) for title, tags in (charts or {}).items()}
    return {
        "Health": {
            "total loss": exactly("train/total"),
            f"{objective}, its baselines and target": ["Multiline", beside],
            "learning rates": ["Multiline", ["^lr/"]],
            "gradient norm": exactly("grad/norm_median", "grad/norm_max"),
            "samples a second": exactly("throughput/samples_per_s"),
        },
        name: {
            "terms, raw": exactly(*(f"train/{term}" for term in terms)),
            "terms, share of the total": exactly(*(f"share/{term}" for term in terms)),
            **(own or {"all metrics": ["Multiline", ["^val/"]]}),
        },
    }
