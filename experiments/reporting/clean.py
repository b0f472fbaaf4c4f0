"""Takes of a summary and a configuration what has the form that a report reads; names the rest.

Both may be damaged, by hand or by another program: a report says what can be read, and what cannot.
"""

import math
from collections.abc import Callable
from typing import Any

LONGEST = 20_000  # characters of a text


def is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def is_whole(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def is_plain(value: Any, depth: int = 8) -> bool:
    """Text, numbers, and not too deep lists and mappings of them."""
    if isinstance(value, dict | list) and depth:
        items = value.values() if isinstance(value, dict) else value
        return all(is_plain(item, depth - 1) for item in items)
    return value is None or isinstance(value, bool | int | float) or is_text(value)


def is_change(value: Any) -> bool:
    return isinstance(value, dict) and {"key", "was", "now"} <= value.keys() and is_plain(value)


def is_count(value: Any) -> bool:
    """Of parameters: a number, or numbers by part."""
    return is_whole(value) or (isinstance(value, dict) and all(map(is_whole, value.values())))


def or_none(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or kind(value)


def is_command(value: Any) -> bool:
    return is_text(value) or (isinstance(value, list) and all(map(is_text, value)))


def is_objective(key: str, value: Any) -> bool:
    if key in ("name", "mode"):
        return is_text(value) and (key == "name" or value in ("min", "max"))
    return value is None or (is_number(value) and not math.isnan(value))


def is_data(key: str, value: Any) -> bool:
    if key == "notes":
        return value is None or (isinstance(value, list) and all(map(is_plain, value)))
    return is_plain(value)


Item = Callable[[str, Any], bool]
WORDS = "name status error traceback started ended host device devices precision git checkpoint"
NUMBERS = "duration_s steps epochs seed version"
VALUES: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(WORDS.split(), or_none(is_text)),
    **dict.fromkeys(NUMBERS.split(), or_none(is_whole)),
    "command": or_none(is_command),
    "init_from": or_none(is_plain),
}
MAPPINGS: dict[str, Item] = {
    "objective": is_objective,
    "data": is_data,
    "metrics": lambda _, value: value is None or is_number(value),
    "loss_weights": lambda _, value: value is None or is_number(value),
    "throughput": lambda _, value: value is None or is_whole(value),
    "parameters": lambda _, value: is_count(value),
    "versions": lambda _, value: is_plain(value),
}
LISTS = {"problems": is_plain, "accepted_changes": is_change}
# Of a configuration, what a report reads; the rest is shown as it is written.
ASKED: dict[str, Item] = {
    "objective": is_objective,
    "targets": lambda _, value: is_plain(value),
    "loss": lambda _, value: is_number(value) or value is None,
    "watch": lambda _, value: is_text(value),
}


def summary(found: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """The summary's fields that have the form of one; `problems` is told which have not."""
    made: dict[str, Any] = {}
    for key, value in found.items():
        where = f"summary.json: {key}"
        if key in VALUES:
            kept = value if VALUES[key](value) else None
            if kept is None and value is not None:
                problems.append(f"{where} cannot be read, and is left out")
        elif key in MAPPINGS:
            kept = mapping(value, MAPPINGS[key], where, problems)
        elif key in LISTS:
            kept = listing(value, LISTS[key], where, problems)
        elif key == "baselines":
            rows = mapping(value, lambda _, row: isinstance(row, dict), where, problems)
            number: Item = MAPPINGS["metrics"]
            kept = {k: mapping(v, number, f"{where}.{k}", problems) for k, v in rows.items()}
        else:
            kept = value if is_plain(value) else None
        made[key] = kept
    return made


def config(found: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """The configuration, with what the report reads of it in the form that it reads."""
    made = dict(found)
    for key, item in ASKED.items():
        if key in made:
            made[key] = mapping(made[key], item, f"config.yaml: {key}", problems)
    for key in ("name", "published_as"):
        if key in made and not (made[key] is None or is_text(made[key])):
            problems.append(f"config.yaml: {key} cannot be read, and is left out")
            del made[key]
    return made


def mapping(value: Any, item: Item, where: str, problems: list[str]) -> dict[str, Any]:
    """The entries of a mapping that are as they should be."""
    if not isinstance(value, dict):
        if value is not None:
            problems.append(f"{where} is no mapping, and is left out")
        return {}
    good = {str(key): child for key, child in value.items() if item(str(key), child)}
    bad = [str(key)[:80] for key, child in value.items() if not item(str(key), child)]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        problems.append(f"{where}.{bad[0]}{more} cannot be read, and is left out")
    return good


def listing(value: Any, item: Callable, where: str, problems: list[str]) -> list:
    if not isinstance(value, list):
        if value is not None:
            problems.append(f"{where} is no list, and is left out")
        return []
    if not all(map(item, value)):
        problems.append(f"{where}: some of it cannot be read, and is left out")
    return [child for child in value if item(child)]
