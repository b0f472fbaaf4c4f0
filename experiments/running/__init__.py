"""A run from its configuration to its summary, and the jobs of a sweep."""

from omegaconf import OmegaConf

from experiments.shared.machine import fast_precision

# trainer.precision: ${fast_precision:${trainer.accelerator}}; resolved by the machine that trains.
OmegaConf.register_new_resolver("fast_precision", fast_precision, replace=True)
