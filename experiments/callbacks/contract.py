"""Checks what only a running experiment can show of its contract, as soon as it can be seen."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

import lightning.pytorch as pl

from experiments.shared import contract
from experiments.shared.errors import InputError

WHERE = "See Experiment in experiments/shared/contract.py"


class Contract(pl.Callback):
    """Stops a run that would train to its end and then lack its objective, its curves or its data.

    What the datamodule says of itself is looked at before the first step; the objective's tag, the
    total, terms and shares, and the gradient norm after the first validation.

    Args:
        objective: the tag by which checkpoints are chosen.
        terms: the names of the loss terms.
        watch: short name: tag, for the progress.
    """

    def __init__(self, objective: str, terms: list[str], watch: Mapping[str, str]):
        self.objective, self.terms, self.watch = objective, set(terms), watch
        self.seen, self.start = False, 0

    def on_fit_start(self, trainer, pl_module) -> None:
        contract.check_description(trainer.datamodule)

    def on_train_start(self, trainer, pl_module) -> None:
        self.start = trainer.global_step  # a resumed run has logged nothing yet

    def on_validation_end(self, trainer, pl_module) -> None:
        if self.seen or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        tags = trainer.callback_metrics
        if self.objective not in tags:
            raise InputError(
                f"the validation logged no {self.objective} (objective.name), by which the best "
                f"checkpoint is chosen; it logged {listed(tags, 'val/')}. {WHERE}"
            )
        # What is logged at intervals has been logged by then.
        self.seen = trainer.global_step - self.start >= trainer.log_every_n_steps
        self._check_training(pl_module, tags)
        if self.seen:
            self._check_watched(tags)

    def _check_watched(self, tags) -> None:
        """What the training has not logged yet may belong to a later phase, unless it is a slip."""
        for name, tag in self.watch.items():
            slip = tag.startswith("val/") or get_close_matches(tag, tags, n=1, cutoff=0.8)
            if tag not in tags and tag.removeprefix("train/") not in self.terms and slip:
                prefix = tag.split("/")[0] + "/"
                raise InputError(
                    f"watch.{name}={tag}: nothing is logged by that name; there are "
                    f"{listed(tags, prefix)}"
                )

    def _check_training(self, pl_module, tags) -> None:
        manual = not pl_module.automatic_optimization
        if manual and getattr(pl_module, "grad_norm", None) is None:
            raise contract.lacking(
                pl_module, contract.Experiment, "grad_norm", "grad_norm after a training step"
            )
        if "train/total" not in tags:
            raise InputError(
                "the training steps logged no train/total, the weighted sum that is trained on "
                "and by which a diverging run is stopped; they logged "
                f"{listed(tags, 'train/')}. {WHERE}"
            )
        shares = {tag.removeprefix("share/") for tag in tags if tag.startswith("share/")}
        if self.seen and not shares:
            raise InputError(
                "the training steps logged no share/TERM, each term's share of the total "
                f"(experiments.shared.losses.weighted_sum gives them). {WHERE}"
            )
        for name in sorted(shares):
            if name not in self.terms:
                raise InputError(
                    f"share/{name} is logged, but conf/loss has no weight {name}: expected one of "
                    f"{', '.join(sorted(self.terms))}. {WHERE}"
                )
            if f"train/{name}" not in tags:
                raise InputError(
                    f"share/{name} is logged without train/{name}, the term itself. {WHERE}"
                )

    def on_test_end(self, trainer, pl_module) -> None:
        tested = {
            t.removeprefix("test/") for t in trainer.callback_metrics if t.startswith("test/")
        }
        compared = {name for values in pl_module.baselines.values() for name in values}
        if compared - tested and trainer.is_global_zero:
            print(
                f"WARNING: baselines of what the test did not log, hence shown beside nothing: "
                f"{', '.join(sorted(compared - tested))}. {WHERE}",
                flush=True,
            )


def listed(tags: Iterable[str], prefix: str) -> str:
    return ", ".join(sorted(tag for tag in tags if tag.startswith(prefix))) or "nothing"
