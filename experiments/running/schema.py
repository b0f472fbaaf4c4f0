"""Checks a configuration against the constructors that it names, before any of them is called.

A constructor's annotations say what each argument may be (`experiments.shared.kinds`); pydantic
compares. So there is one place for type, range and meaning, and whatever `_target_` names is
checked alike, also a model outside this repository.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hydra._internal.utils import _locate  # get_object prints what it raises
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.shared.errors import InputError
from experiments.shared.signatures import misfits, unknown

PARTS = ("data", "model", "callbacks", "logger", "trainer")
HYDRA = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")


def check(config: DictConfig, parts: Iterable[str] = PARTS) -> None:
    """Stop unless every argument in these parts of `config` is one that its constructor takes.

    Raises:
        InputError: says of each key what was expected and what was got.
    """
    found = []
    for part in parts:
        if config.get(part) is not None:
            plain = OmegaConf.to_container(config[part], resolve=True, throw_on_missing=True)
            found += [*kind_of(plain, part)] or objects(plain, part)
    refuse(found)


def kind_of(value: Any, part: str) -> Iterator[str]:
    """What the model or the data are, if that is something else than a model or data."""
    if part not in ("model", "data") or not isinstance(value, dict) or "_target_" not in value:
        return
    import lightning.pytorch as pl

    kind = pl.LightningModule if part == "model" else pl.LightningDataModule
    target = located(value["_target_"], part)
    if isinstance(target, type) and not issubclass(target, kind):
        yield f"{part}._target_={value['_target_']}: expected a {kind.__name__}"
    elif inspect.isbuiltin(target):
        yield f"{part}._target_={value['_target_']}: expected a {kind.__name__}, not a function"


def refuse(found: list[str]) -> None:
    if found:
        raise InputError("\n".join(found))


def objects(value: Any, place: str) -> Iterator[str]:
    """What does not fit, of all objects that are asked for in `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    inner = [(str(key), child) for key, child in items if isinstance(child, (dict, list))]
    if isinstance(value, dict) and "_target_" in value:
        target = located(value["_target_"], place)
        given = {key: child for key, child in value.items() if key not in HYDRA}
        found = [*unknown(target, given, place), *misfits(target, given, place)]
        yield from found or rehearsed(target, value, place)
    for key, child in inner:
        yield from objects(child, f"{place}.{key}")


def located(name: Any, place: str) -> Callable:
    """The class or function of that dotted name; an error in its own file is not caught."""
    try:
        target = _locate(name)
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        cause = error.__cause__
        missing = isinstance(cause, ModuleNotFoundError) and f"{name}.".startswith(f"{cause.name}.")
        if cause is not None and not missing and not isinstance(cause, AttributeError):
            raise  # in the file itself
        raise InputError(
            f"{place}._target_={name}: {last_line(error)}: check the name, and that its package is "
            "installed"
        ) from error
    if not callable(target):
        raise InputError(f"{place}._target_={name}: expected a class or a function")
    return target


def rehearsed(target: Callable, node: dict, place: str) -> Iterator[str]:
    """Optimizers know the ranges of their arguments themselves: try each on one parameter."""
    if not node.get("_partial_") or not isinstance(target, type):
        return
    import torch

    if issubclass(target, torch.optim.Optimizer):
        try:
            instantiate(node, _convert_="all")([torch.zeros(1, requires_grad=True)])
        except (ValueError, TypeError, RuntimeError) as error:
            yield f"{place}: {last_line(error)}: expected what {target.__name__} takes"


def last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
