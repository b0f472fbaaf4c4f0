"""What the folder of a run may have called: it may come from elsewhere, as a checkpoint may.

`experiments.evaluate`, `load` and `resume=` build what a run's own configuration names. That is the
classes of its model's own package, torch's optimizers and layers and Lightning's parts; anything
else (`os.system`, say) is called only if it is typed on the command line.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from experiments.shared.errors import InputError

ALLOWED = (
    "torch.optim", "torch.nn", "lightning.pytorch.callbacks", "lightning.pytorch.loggers",
    "lightning.pytorch.strategies", "lightning.pytorch.profilers", "lightning.pytorch.trainer",
    "lightning.pytorch.plugins", "lightning.fabric.plugins", "experiments.callbacks",
    "experiments.shared.schedules", "datetime",
)  # fmt: skip
PARTS = ("model", "data")
TARGET = re.compile(r"""_target_['"]?\s*[:=]\s*['"]?([^\s,}'"]+)""")


def check(config: DictConfig, source: Path) -> None:
    """Stop unless what a run's configuration has built is a model, its data, and parts of theirs.

    Raises:
        InputError: it names something else; nothing has been called then.
    """
    import lightning.pytorch as pl

    kinds = {"model": pl.LightningModule, "data": pl.LightningDataModule}
    for part in PARTS:
        if not OmegaConf.is_dict(config.get(part)) or "_target_" not in config[part]:
            raise InputError(f"{source}: {part}: expected an object with _target_; restore it")
        found: Any = OmegaConf.to_container(config[part], resolve=False)
        for place, node in targets(found, part):
            name = str(node["_target_"])
            target = located(name, place)
            home, own = getattr(target, "__module__", ""), str(found["_target_"]).split(".")[0]
            if place == part:
                fits = isinstance(target, type) and issubclass(target, kinds[part])
            else:
                near = any(f"{home}.".startswith(f"{known}.") for known in (*ALLOWED, own))
                fits = near and (isinstance(target, type) or node.get("_partial_") is True)
            if not fits:
                raise refusal(f"{source}: {place}._target_={name}")
    if OmegaConf.is_dict(config.get("serve")):
        check_service(config.serve, str(config.model._target_).split(".")[0], source)


def check_service(asked: Any, own: str, source: Path) -> None:
    """Stop unless what a run is put to use by is a class of its model's own package.

    Raises:
        InputError: it is something else; nothing has been called then.
    """
    for place, node in targets(OmegaConf.to_container(asked, resolve=False), "serve"):
        target = located(str(node["_target_"]), place)
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


def located(name: str, place: str) -> Any:
    from experiments.running.schema import located as find

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
        for name in TARGET.findall(word):
            home = getattr(located(name, "resume"), "__module__", "")
            if not any(f"{home}.".startswith(f"{known}.") for known in ALLOWED):
                raise refusal(f"resume={place}: its command has _target_={name}")
        if "hydra.searchpath" in word and str(place.absolute()) in word:
            raise refusal(f"resume={place}: its command has {word}")
