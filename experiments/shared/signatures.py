"""What fits a constructor: its annotations say what each argument may be; pydantic compares.

Used on configurations before anything is built, and on what checkpoints from elsewhere hold.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from experiments.shared.kinds import ArgumentsOf

CONFIG = ConfigDict(strict=True, arbitrary_types_allowed=True)


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
        except TypeError:  # of a stranger's checkpoint: neither number, text, list nor mapping
            yield f"{key}: expected plain values, got {type(value).__name__}"


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
    "too_short": "at least {min_length} of them",
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
