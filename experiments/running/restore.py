"""A finished run's module and datamodule, from its folder alone."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.running.build import make
from experiments.shared import checkpoints
from experiments.shared.errors import InputError
from experiments.shared.folder import Folder
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
        config: Any = OmegaConf.load(place.config)
    except Exception as error:  # yaml and OmegaConf each have their own family of errors
        raise InputError(f"{place.config} cannot be read ({error})") from error
    config.folder = str(place.path)  # which only Hydra could tell
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
    module, datamodule = make(config)
    fill(module, checkpoints.resolve(Path(run).expanduser()))
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


def fill(module: pl.LightningModule, path: Path) -> dict:
    """Put a checkpoint's weights into `module`, strictly, and into eval mode; the checkpoint.

    Raises:
        InputError: it is of another class, or does not fit.
    """
    checkpoint = checkpoints.read(path)
    checkpoints.check_class(checkpoint, type(module), path)
    try:
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(checkpoint["state_dict"], strict=True)
    except (RuntimeError, KeyError) as error:
        raise InputError(f"{path} does not fit its model: {error}") from error
    module.eval()
    return checkpoint
