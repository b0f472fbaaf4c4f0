"""What the suite's own keys may be: checked first, and without torch, which takes seconds to load.

What a model, its data or any other object takes stands in that object's constructor: see `schema`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from omegaconf import DictConfig, OmegaConf
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from experiments.reporting.targets import parse_target
from experiments.running.schema import refuse
from experiments.shared.errors import InputError
from experiments.shared.kinds import (
    ArgumentsOf,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Weights,
)
from experiments.shared.signatures import misfits

Unbounded = Annotated[int, Field(ge=-1)]  # -1: no bound
Part = NonNegativeInt | Fraction | None  # so many batches, or so much of all
Some = Annotated[float, Field(gt=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Devices = Annotated[str, Field(pattern=r"^(auto|-?\d+(,\d+)*)$")]


def stated(text: str) -> str:
    try:
        parse_target(text)
    except InputError as error:
        wanted = str(error).split("expected ")[-1]
        raise PydanticCustomError("target", "{wanted}", {"wanted": wanted}) from error
    return text


Bound = Annotated[str, AfterValidator(stated)]


@dataclass
class Objective:
    name: Annotated[str, Field(pattern="^val/.")]
    mode: Literal["min", "max"]


@dataclass
class Trainer:
    """The ranges in which Lightning's trainer makes sense of its arguments."""

    max_epochs: Unbounded | None
    min_epochs: NonNegativeInt | None
    max_steps: Unbounded
    min_steps: NonNegativeInt | None
    gradient_clip_val: NonNegativeFloat | None
    accumulate_grad_batches: PositiveInt
    check_val_every_n_epoch: PositiveInt | None
    val_check_interval: PositiveInt | Some | None
    limit_train_batches: Part
    limit_val_batches: Part
    limit_test_batches: Part
    overfit_batches: NonNegativeInt | Fraction
    log_every_n_steps: NonNegativeInt
    num_sanity_val_steps: Unbounded | None
    devices: Unbounded | Devices | list[NonNegativeInt]
    num_nodes: PositiveInt


@dataclass
class Paths:
    outputs: Text
    data: Text


@dataclass
class Sweep:
    jobs: PositiveInt
    fail_fast: bool


@dataclass
class Hpo:
    trials: PositiveInt
    objectives: dict[Annotated[str, Field(pattern="^val/.")], Literal["min", "max"]] | None
    prune: bool
    digits: PositiveInt
    fixed: list[str]
    space: dict[str, dict]


@dataclass
class Settings:
    name: Text
    published_as: str | None
    serve: dict | None
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    threads: Annotated[int, Field(ge=1, le=4096)] | None
    objective: Annotated[dict, ArgumentsOf(Objective)]
    watch: dict[str, str]
    charts: dict[str, list[str]]
    targets: dict[str, Bound | None] | None
    test: bool
    resume: str | None
    init_from: str | None
    init_parts: list[str] | None
    accept_changes: bool
    sweep: Annotated[dict, ArgumentsOf(Sweep)]
    hpo: Annotated[dict, ArgumentsOf(Hpo)]
    loss: Weights
    paths: Annotated[dict, ArgumentsOf(Paths)]
    trainer: Annotated[dict, ArgumentsOf(Trainer)]


def check(config: DictConfig, choices: Mapping[str, str] | None = None) -> None:
    """Stop unless the suite's own keys are of the right kind and within their ranges.

    Args:
        config: the whole configuration.
        choices: Hydra's, of each group: a model's data and loss are those of its own name.

    Raises:
        InputError: says of each key what was expected and what was got.
    """
    values = {name: plain(config, name) for name in Settings.__annotations__ if name in config}
    of_trainer = Trainer.__annotations__
    values["trainer"] = {k: plain(config.trainer, k) for k in of_trainer if k in config.trainer}
    refuse([*misfits(Settings, values, ""), *crowds(config), *strangers(choices or {})])


def crowds(config: DictConfig) -> list[str]:
    """More processes than this machine could do with; each takes the memory of a whole run."""
    devices, cpus = config.trainer.get("devices"), os.cpu_count() or 1
    found, most = [], max(16, cpus)
    if config.trainer.get("accelerator") == "cpu" and isinstance(devices, int) and devices > most:
        found.append(f"trainer.devices={devices}: expected at most {most} on {cpus} processors")
    workers = config.data.get("num_workers") if OmegaConf.is_dict(config.get("data")) else None
    if isinstance(workers, int) and workers > 16 * most:
        found.append(f"data.num_workers={workers}: expected at most {16 * most}")
    return found


def plain(config: DictConfig, key: str):
    value = config[key] if key != "trainer" else None
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def strangers(choices: Mapping[str, str]) -> list[str]:
    """Data or loss terms of another model than the one that is asked for."""
    from experiments.running.words import CONF

    model = choices.get("model")
    return [
        f"{group}={choices[group]} belongs to model={choices[group]}, and this run's is "
        f"model={model}: leave it out, or choose +exp={choices[group]}"
        for group in ("data", "loss")
        if choices.get(group, model) != model
        and (CONF / "model" / f"{choices[group]}.yaml").is_file()
    ]
