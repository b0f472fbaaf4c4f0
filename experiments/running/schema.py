"""Checks a configuration against the constructors that it names, before any of them is called.

A constructor's annotations say what each argument may be (`experiments.shared.kinds`); pydantic
compares. So there is one place for type, range and meaning, and whatever `_target_` names is
checked alike, also a model outside this repository.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, get_args

from hydra._internal.utils import _locate  # get_object prints what it raises
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from experiments.shared.errors import InputError
from experiments.shared.kinds import ArgumentsOf

PARTS = ("data", "model", "callbacks", "logger", "trainer")
HYDRA = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")
CONFIG = ConfigDict(strict=True, arbitrary_types_allowed=True)


def check(config: DictConfig, parts: Iterable[str] = PARTS) -> None:
    """Stop unless every argument in these parts of `config` is one that its constructor takes.

    Raises:
        InputError: says of each key what was expected and what was got.
    """
    found = []
    for part in parts:
        if config.get(part) is not None:
            plain = OmegaConf.to_container(config[part], resolve=True, throw_on_missing=True)
            found += objects(plain, part)
    refuse(found)


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
        raise InputError(f"{place}._target_={name}: {last_line(error)}") from error
    if not callable(target):
        raise InputError(f"{place}._target_={name}: expected a class or a function")
    return target


def unknown(target: Callable, given: dict, place: str) -> Iterator[str]:
    """Arguments that the target does not take."""
    parameters = parameters_of(target)
    if parameters is not None and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in given.keys() - parameters.keys():
            yield f"{place}.{name}: {target.__name__} takes no such argument"


def parameters_of(target: Callable) -> Mapping[str, inspect.Parameter] | None:
    """What `target` takes; None for what is built in and does not say (`datetime.timedelta`).

    Further arguments that it hands on (`**rest: Annotated[Any, ArgumentsOf(callee)]`) are those of
    whom it hands them to.
    """
    try:
        found = inspect.signature(target, eval_str=True).parameters
    except NameError:  # names that only a type checker knows
        found = inspect.signature(target).parameters
    except ValueError:
        return None
    rest = next((p for p in found.values() if p.kind is p.VAR_KEYWORD), None)
    callee = inner(rest.annotation) if rest is not None else None
    if rest is None or callee is None:
        return found
    return {**(parameters_of(callee) or {}), **{k: p for k, p in found.items() if p is not rest}}


def misfits(target: Callable, given: dict, place: str) -> Iterator[str]:
    """What is of another kind, or out of range, among the arguments of `target`."""
    known = kinds(target)
    for name, value in given.items():
        key = f"{place}.{name}" if place else name
        kind = known.get(name)
        if kind is None or built(value):
            continue
        inner = None if value is None else kind.inner
        if inner is not None and isinstance(value, dict):
            yield from misfits(inner, value, key)
            continue
        try:
            kind.adapter.validate_json(json.dumps(value))
        except ValidationError as error:
            yield from said(error, value, key)


def built(value: Any) -> bool:
    """Whether Hydra will have made an object of it, or of something in it."""
    if isinstance(value, dict):
        return "_target_" in value or any(map(built, value.values()))
    return isinstance(value, list) and any(map(built, value))


class Kind:
    """What one argument may be; `inner` is whose arguments it holds, if it holds such."""

    def __init__(self, annotation: Any):
        self.inner = inner(annotation)
        self.adapter = TypeAdapter(annotation, config=CONFIG)


@cache
def kinds(target: Callable) -> dict[str, Kind]:
    """The kind of every argument whose annotation says one that values can be compared with."""
    found = {}
    for name, parameter in (parameters_of(target) or {}).items():
        if parameter.annotation in (parameter.empty, Any) or isinstance(parameter.annotation, str):
            continue
        try:
            found[name] = Kind(parameter.annotation)
        except PydanticUserError:
            continue
    return found


def inner(annotation: Any) -> Callable | None:
    """Whose keyword arguments an `Annotated[dict, ArgumentsOf(...)] | None` holds."""
    found = [a.callee for a in get_args(annotation) if isinstance(a, ArgumentsOf)]
    return next((c for c in [*found, *map(inner, get_args(annotation))] if c), None)


def rehearsed(target: Callable, node: dict, place: str) -> Iterator[str]:
    """Optimizers know the ranges of their arguments themselves: try each on one parameter."""
    if not node.get("_partial_") or not isinstance(target, type):
        return
    import torch

    if issubclass(target, torch.optim.Optimizer):
        try:
            instantiate(node, _convert_="all")([torch.zeros(1, requires_grad=True)])
        except (ValueError, TypeError, RuntimeError) as error:
            yield f"{place}: {last_line(error)}"


def last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def said(error: ValidationError, value: Any, place: str) -> Iterator[str]:
    """One line for each value that does not fit, in terms of the configuration."""
    told: dict[str, tuple[Any, list[str]]] = {}
    for fault in error.errors():
        got, key = value, place
        for step in fault["loc"]:  # less the names that pydantic gives to the sides of a union
            inside = (
                got if isinstance(got, dict) else range(len(got)) if isinstance(got, list) else ()
            )
            if step in inside:
                got, key = got[step], f"{key}.{step}"
        told.setdefault(key, (got, []))[1].append(expected(fault))
    for key, (got, wanted) in told.items():
        words = " or ".join(dict.fromkeys(word for word in wanted if word))
        yield f"{key}={shown(got)}: expected {words or 'an object (a mapping with _target_)'}"


def shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


WORDS = {
    "float_type": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "string_type": "text (quoted, if it looks like a number: \"'5'\")",
    "string_too_short": "text",
    "string_pattern_mismatch": "text that matches {pattern}",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "none_required": "null",
    "missing": "more values",
    "too_long": "fewer values",
    "needs_python_object": "",
    "is_instance_of": "",
    "callable_type": "",
}


def expected(fault: Mapping[str, Any]) -> str:
    """What pydantic would have taken, in words."""
    words = WORDS.get(fault["type"])
    if words is None:
        return fault["msg"].removeprefix("Input should be ")
    return words.format(**fault.get("ctx", {}))
