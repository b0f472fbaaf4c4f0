"""TensorBoard's Text page: what was asked, what is to be known of the data, and the test."""

from collections.abc import Mapping
from pathlib import Path

import lightning.pytorch as pl

from experiments.callbacks.loggers import tensorboard
from experiments.shared.folder import Folder


class Text(pl.Callback):
    """Writes `configuration`, `overrides` and `notes` when a run begins or goes on, then `test`.

    The test's numbers are single points, of which some models have hundreds: no curves.
    """

    def __init__(self, folder: str):
        self.place = Folder(Path(folder))

    def on_train_start(self, trainer, pl_module) -> None:
        board = tensorboard(trainer)
        if board and trainer.is_global_zero:
            said = trainer.datamodule.describe()
            about = [f"{key}: {said[key]}" for key in ("source", "hash", "sizes") if key in said]
            pages = {
                "configuration": block(self.place.config.read_text(encoding="utf-8")),
                "overrides": block(self.place.overrides.read_text(encoding="utf-8")),
                "notes": "\n".join(f"- {line}" for line in [*said.get("notes", []), *about]),
            }
            for tag, text in pages.items():
                board.add_text(tag, text, trainer.global_step)
            board.flush()

    def on_test_end(self, trainer, pl_module) -> None:
        board = tensorboard(trainer)
        if board and trainer.is_global_zero:
            found = {t: float(v) for t, v in trainer.callback_metrics.items() if "test/" in t}
            board.add_text("test", table(found, pl_module.baselines), trainer.global_step)
            board.flush()


def block(text: str) -> str:
    """Markdown that shows `text` as it stands."""
    return f"```\n{text}\n```"


def table(found: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table: a row for each test metric, this run beside its baselines."""
    lines = ["| " + " | ".join(["metric", "this run", *baselines]) + " |"]
    lines.append("|---" * (2 + len(baselines)) + "|")
    for tag in sorted(found):
        name = tag.removeprefix("test/")
        beside = [f"{v[name]:.4g}" if name in v else "" for v in baselines.values()]
        lines.append("| " + " | ".join([name, f"{found[tag]:.4g}", *beside]) + " |")
    return "\n".join(lines)
