"""What the folder of a run may have called: it may come from elsewhere, as a checkpoint may.

`experiments.evaluate`, `load` and `resume=` build what a run's own configuration names. That is the
classes of its model's own package, torch's optimizers and layers and Lightning's parts; anything
else (`os.system`, say) is called only if it is typed on the command line.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.shared.errors import InputError, first_line

ALLOWED = (
    "torch.optim", "torch.nn", "lightning.pytorch.callbacks", "lightning.pytorch.loggers",
    "lightning.pytorch.strategies", "lightning.pytorch.profilers", "lightning.pytorch.trainer",
    "lightning.pytorch.plugins", "lightning.fabric.plugins", "experiments.callbacks",
    "experiments.shared.schedules", "datetime",
)  # fmt: skip
PARTS = ("model", "data")
TARGET = re.compile(r"""_target_['"]?\s*[:=]\s*['"]?([^\s,}'"]+)""")
# What an interpolation may be: a place in the configuration, a time, a variable of the machine. The
# others (oc.create, oc.decode) make objects of text, in which no `_target_` would be seen.
PLAIN = re.compile(
    r"\$\{(?:[\w.@\[\]-]+|fast_precision:(?:\$\{trainer\.accelerator\})?"
    r"|(?:now|pid|hydra|oc\.env|oc\.dict\.keys):[^${}]*)\}"
)


def check(config: DictConfig, source: Path) -> None:
    """Stop unless what a run's configuration has built is a model, its data, and parts of theirs.

    Raises:
        InputError: it names something else; nothing has been called then.
    """
    import lightning.pytorch as pl

    for text in texts(OmegaConf.to_container(config, resolve=False)):
        check_plain(text, source)
    kinds = {"model": pl.LightningModule, "data": pl.LightningDataModule}
    for part in PARTS:
        if not OmegaConf.is_dict(config.get(part)) or "_target_" not in config[part]:
            raise InputError(f"{source}: {part}: expected an object with _target_; restore it")
        found = resolved(config, part, source)
        own = str(found["_target_"]).split(".")[0]
        for place, node in targets(found, part):
            name = str(node["_target_"])
            target = located(name, place, source)
            home = getattr(target, "__module__", "")
            if place == part:
                fits = isinstance(target, type) and issubclass(target, kinds[part])
            else:
                near = any(f"{home}.".startswith(f"{known}.") for known in (*ALLOWED, own))
                fits = near and (isinstance(target, type) or node.get("_partial_") is True)
            if not fits:
                raise refusal(f"{source}: {place}._target_={name}")
    if config.get("serve") is not None:
        check_service(resolved(config, "serve", source), config, source)


def resolved(config: DictConfig, part: str, source: Path) -> dict:
    """What a part of a run's configuration comes to, with all that it points to.

    Raises:
        InputError: it is no mapping, points to nothing, or makes something of text.
    """
    if not OmegaConf.is_dict(config[part]):
        raise InputError(f"{source}: {part}: expected a mapping; restore it")
    try:
        found: Any = OmegaConf.to_container(config[part], resolve=True)
    except (OmegaConfBaseException, ValueError, RecursionError) as error:
        raise InputError(f"{source}: {part}: {first_line(error)}; restore it") from error
    return found


def check_plain(text: str, source: object) -> None:
    """Stop on text with an interpolation in which a `_target_` could hide.

    Raises:
        InputError: there is one.
    """
    if "${" in PLAIN.sub("", text):
        raise InputError(
            f"{source}: {text[:80]}: expected plain interpolations, ${{a.b}} or ${{oc.env:NAME}}, "
            "in what comes from a run's folder; write the value out"
        )


def texts(value: Any) -> Iterator[str]:
    """Every text in `value`, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from texts(key)
            yield from texts(child)
    elif isinstance(value, list):
        for child in value:
            yield from texts(child)


def check_service(asked: dict, config: DictConfig, source: Path) -> None:
    """Stop unless what a run is put to use by is a class of its model's own package.

    Raises:
        InputError: it is something else; nothing has been called then.
    """
    own = str(config.model._target_).split(".")[0]
    for place, node in targets(asked, "serve"):
        target = located(str(node["_target_"]), place, source)
        home = getattr(target, "__module__", "")
        if not isinstance(target, type) or home.split(".")[0] not in (own, "experiments"):
            raise refusal(f"{source}: {place}._target_={node['_target_']}")


def targets(value: Any, place: str) -> Iterator[tuple[str, dict]]:
    """Every mapping with a `_target_` in `value`, and where it stands."""
    if isinstance(value, dict) and "_target_" in value:
        yield place, value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in items:
        if isinstance(child, dict | list):
            yield from targets(child, f"{place}.{key}")


def located(name: str, place: str, source: object) -> Any:
    """The class or function of that name, if to look for it starts nothing.

    Raises:
        InputError: it is not there, or in Python's own library, some of whose modules act as they
            are imported (`antigravity` opens a browser), or in a program (`pip.__main__`).
    """
    from experiments.running.schema import located as find

    home, *rest = name.split(".")
    own = any(f"{name}.".startswith(f"{known}.") for known in ALLOWED)
    if "__main__" in rest or (home in sys.stdlib_module_names and not own):
        raise refusal(f"{source}: {place}._target_={name}")
    return find(name, place)


def refusal(what: str) -> InputError:
    return InputError(
        f"{what}: not called because a run's folder says so; if you know what it does, give it on "
        "the command line of a run of your own"
    )


def check_words(words: list[str], place: Path) -> None:
    """Stop on words of a run's folder that would have something foreign called by `resume=`.

    Raises:
        InputError: one does.
    """
    for word in words:
        check_plain(word, f"resume={place}")
        for name in TARGET.findall(word):
            home = getattr(located(name, "resume", place), "__module__", "")
            if not any(f"{home}.".startswith(f"{known}.") for known in ALLOWED):
                raise refusal(f"resume={place}: its command has _target_={name}")
        if "hydra.searchpath" in word and str(place.absolute()) in word:
            raise refusal(f"resume={place}: its command has {word}")
