"""A finished run's module and datamodule, from its folder alone."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.running import foreign
from experiments.running.build import make
from experiments.shared import checkpoints
from experiments.shared.errors import InputError, first_line
from experiments.shared.folder import Folder
from experiments.shared.reading import check_yaml, read_text
from experiments.shared.service import Service


def own_config(run: str | Path) -> DictConfig:
    """The configuration that the run in the folder `run` was asked.

    Raises:
        InputError: no run is there.
    """
    place = Folder(Path(run).expanduser())
    if not place.config.is_file():
        raise InputError(
            f"{run} holds no run: expected the folder that experiments.run printed, with "
            f"{place.config.relative_to(place.path)} in it"
        )
    try:
        check_yaml(read_text(place.config, "a run's configuration"), place.config)
        config: Any = OmegaConf.load(place.config)
    except InputError:
        raise
    except Exception as error:  # yaml and OmegaConf each have their own family of errors
        raise InputError(
            f"{place.config} cannot be read ({first_line(error)}): restore it, or take another run"
        ) from error
    if not OmegaConf.is_dict(config):
        raise InputError(f"{place.config}: expected a run's configuration; restore it")
    for part in ("trainer", "objective", "loss"):
        if not OmegaConf.is_dict(config.get(part)):
            raise InputError(f"{place.config}: {part}: expected a mapping; restore it")
    config.folder = str(place.path)  # which only Hydra could tell
    foreign.check(config, place.config)
    OmegaConf.set_struct(config, True)
    return config


def change(config: DictConfig, values: dict[str, Any]) -> None:
    """Set dotted keys that there are.

    Raises:
        InputError: there is no such key.
    """
    for key, value in values.items():
        try:
            OmegaConf.update(config, key, value, merge=True)
        except OmegaConfBaseException as error:
            parent = OmegaConf.select(config, key.rpartition(".")[0])
            names = ", ".join(sorted(map(str, parent))) if isinstance(parent, DictConfig) else ""
            raise InputError(f"there is no {key}; there are: {names}") from error


def restore(
    run: str | Path, values: dict[str, Any]
) -> tuple[pl.LightningModule, pl.LightningDataModule]:
    """The module with the run's best weights, in eval mode, and the datamodule.

    Raises:
        InputError: no run, no checkpoint, a key that is not there, or weights that do not fit.
    """
    config = own_config(run)
    change(config, values)
    path = checkpoints.resolve(Path(run).expanduser())
    check_files(config, values, path)
    module, datamodule = make(config)
    fill(module, path)
    return module, datamodule


def service_of(run: Path) -> Service:
    """The service that the run's experiment names, not opened yet.

    Raises:
        InputError: it names none, or one that is not there.
    """
    asked = own_config(run).get("serve")
    if not asked:
        raise InputError(
            f"{run} says nothing of how it is put to use: expected `serve: {{_target_: "
            "PACKAGE.serve.CLASS}` in its experiment (conf/exp), or in its .hydra/config.yaml if "
            "it is older than that"
        )
    try:
        return instantiate(asked)
    except InstantiationException as error:
        raise InputError(f"{run}: serve={dict(asked)} cannot be built ({error})") from error


def check_files(config: DictConfig, values: dict[str, Any], path: Path) -> None:
    """Stop unless the files that the model is built from are those of its training.

    Raises:
        InputError: the run's folder names another, which the command line does not.
    """
    model: Any = OmegaConf.to_container(config.model, resolve=True)
    data = {key: config.data.get(key) for key in model if f"data.{key}" not in values}
    said = {key: value for key, value in model.items() if f"data.{key}" not in values}
    plain = [said, OmegaConf.to_container(OmegaConf.create(data), resolve=True)]
    checkpoints.check_files(checkpoints.read(path), plain, path)


def fill(module: pl.LightningModule, path: Path) -> dict:
    """Put a checkpoint's weights into `module`, strictly, and into eval mode; the checkpoint.

    Raises:
        InputError: it is of another class, or does not fit.
    """
    checkpoint = checkpoints.read(path)
    checkpoints.check_class(checkpoint, type(module), path)
    checkpoints.fill(module, checkpoint, path)
    return checkpoint
