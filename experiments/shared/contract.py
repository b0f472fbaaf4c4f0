"""What the suite reads of an experiment beyond what Lightning does: two protocols and their check.

No class has to name these protocols: a module or a datamodule fits them by what it has. A member
whose docstring begins with "Optional" may be missing.
"""

from typing import Any, Protocol

from matplotlib.figure import Figure
from torch import Tensor

from experiments.shared.errors import InputError


class Experiment(Protocol):
    """A LightningModule that the suite can run, watch, resume, report on and load again.

    Its constructor takes `loss_weights`, a weight for each term, and saves what it was given:
    `save_hyperparameters(ignore=["optimizer", "schedule"], logger=False)`. Tags that it logs:

    - `train/total`: the weighted sum that is trained on, each step; the guard watches it.
    - `train/TERM`, `share/TERM`: each term, raw, and its share of the total
      (`experiments.shared.losses.weighted_sum`), at the logger's interval at least. A term may be
      left out while it is not computed.
    - `val/METRIC`, `test/METRIC`: scalars; the one that `objective.name` names is logged in every
      validation, and no loss weight scales it.
    """

    @property
    def hparams(self) -> Any:
        """What its constructor was given, plain values only, `loss_weights` among them.

        Written into each checkpoint, from which the module is built again.
        """

    @property
    def baselines(self) -> dict[str, dict[str, float]]:
        """{baseline: {metric: value}}, metrics named as in `test/METRIC`; empty until measured.

        Laid beside the module's own metrics in summary.json and in the report.
        """

    def figures(self) -> dict[str, Figure]:
        """Optional. {name: figure} of a fixed validation example; called after a validation.

        Saved as figures/NAME.png and shown in TensorBoard and the report.
        """

    def audio(self) -> dict[str, tuple[Tensor, int]]:
        """Optional. {name: (sound (channels, samples) in [-1, 1], samples a second)}.

        Saved as audio/NAME.wav and played by TensorBoard and the report.
        """

    @property
    def grad_norm(self) -> Tensor:
        """Optional with automatic optimization, which the suite measures itself.

        With manual optimization: the norm of the generator's gradient before clipping, a scalar,
        set in each training step. Logged, and watched by the guard.
        """


class Data(Protocol):
    """A LightningDataModule that the suite can measure and name.

    Data that it makes itself lie under `paths.data` (`experiments.shared.corpora.build_once`). Its
    training loader is best `experiments.shared.loaders.training_loader`, with which a run that is
    resumed within an epoch goes on with the next batch.
    """

    @property
    def batch_size(self) -> int:
        """Training samples a device and step, from which samples a second follow."""

    def describe(self) -> dict[str, Any]:
        """What was trained on, for summary.json; called after `setup`.

        {"source": "embedded" or the user's path, "hash": of the content}, and as you like "sizes":
        {split: samples}, "skipped": broken files, "notes": lines for the report, of which
        those that begin with WARNING stand at its top; anything else is shown as it is.
        """

    @property
    def unit_per_sample(self) -> tuple[str, float]:
        """Optional. (unit, units in a sample), ("pixels", 65536) say: the bench's rates."""


DESCRIBED = ("source", "hash")


def check(module: Any, datamodule: Any) -> None:
    """Stop before the fit unless both fit their protocol.

    Raises:
        InputError: says what is missing, what it is for, and where that is written.
    """
    check_members(module, Experiment)
    check_members(datamodule, Data)
    if "loss_weights" not in module.hparams:
        raise lacking(module, Experiment, "hparams", "loss_weights in its hparams")
    if not isinstance(datamodule.batch_size, int) or datamodule.batch_size < 1:
        raise lacking(datamodule, Data, "batch_size", "batch_size as a whole number above 0")


def check_members(thing: Any, protocol: type) -> None:
    for name in members(protocol):
        method = not isinstance(vars(protocol)[name], property)
        if not hasattr(thing, name):
            if not optional(protocol, name):
                raise lacking(thing, protocol, name, f"{name}{'()' if method else ''}")
        elif method and not callable(getattr(thing, name)):
            raise lacking(thing, protocol, name, f"{name}() as a method")


def check_description(datamodule: Any) -> None:
    """Stop unless `describe()` says what it must; after `setup`."""
    said = datamodule.describe()
    for key in DESCRIBED:
        if key not in said:
            raise lacking(datamodule, Data, "describe", f"{key!r} in what describe() returns")


def members(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


def optional(protocol: type, name: str) -> bool:
    return (vars(protocol)[name].__doc__ or "").startswith("Optional")


def lacking(thing: Any, protocol: type, member: str, what: str) -> InputError:
    """The message for `thing`, which has not `what`; the purpose is `member`'s docstring."""
    purpose = " ".join((vars(protocol)[member].__doc__ or "").split())
    return InputError(
        f"{type(thing).__module__}.{type(thing).__qualname__} has no {what}. {purpose} See "
        f"{protocol.__name__} in {__name__.replace('.', '/')}.py"
    )
