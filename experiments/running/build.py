"""From a configuration to the objects that it asks for."""

import logging
import warnings
from collections.abc import Iterable

import lightning.pytorch as pl
import psutil
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments.running import schema
from experiments.shared.bounds import Bounded
from experiments.shared.errors import InputError

# Said of every run here, and nothing that a user could mend.
SILENCED = (
    ".*LeafSpec.*",
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*callbacks used to create the checkpoint.*",
    ".*sync_dist=True.*",  # torchmetrics has reduced what is logged
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*could not find the monitored key.*",  # callbacks.contract says it, where it is a fault
    ".*no pre-optimization state was saved.*",  # checkpoints by steps: of after the step, as meant
)


def build(config: DictConfig, parts: Iterable[str] = schema.PARTS) -> tuple:
    """The module and the datamodule that a configuration asks for; both get plain values only.

    Args:
        config: the whole configuration.
        parts: of it, what will be used, and is checked.

    Raises:
        InputError: something in the configuration is not what its constructor takes.
    """
    schema.check(config, parts)
    if config.threads:
        torch.set_num_threads(config.threads)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in SILENCED:
        warnings.filterwarnings("ignore", message)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    return make(config)


def make(config: DictConfig) -> tuple[pl.LightningModule, pl.LightningDataModule]:
    """The two objects alone; touches no global setting."""
    datamodule = instantiate(config.data, _convert_="all")
    free = psutil.virtual_memory().available / 4  # bytes of a number
    try:
        with Bounded(free, "model"):
            return instantiate(config.model, _convert_="all"), datamodule
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError | MemoryError):
            raise InputError(str(error.__cause__)) from error
        raise
