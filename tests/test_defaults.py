"""A constructor's defaults and the configuration say the same: each number stands in both, once."""

from collections.abc import Callable, Iterator
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from experiments.shared import signatures
from tests.suite import CONF, SHIPPED, configuration


def pairs(target: Callable, given: dict, place: str) -> Iterator[tuple[str, Any, Any]]:
    """(key, the configuration's value, the constructor's default) of all that have both."""
    for name, parameter in signature(target).parameters.items():
        if name not in given or parameter.default is Parameter.empty:
            continue
        value, default, part = (
            given[name],
            parameter.default,
            signatures.inner(parameter.annotation),
        )
        if part is not None:
            yield from pairs(part, value, f"{place}.{name}")
        elif not (isinstance(value, dict) and "_target_" in value):  # an object, built by Hydra
            yield f"{place}.{name}", value, default


@pytest.mark.parametrize("experiment", SHIPPED)
@pytest.mark.parametrize("group", ["model", "data"])
def test_defaults_are_those_of_the_configuration(group: str, experiment: str, tmp_path: Path):
    # Of the published scale's own files, without what conf/exp puts over them.
    own = OmegaConf.load(CONF / group / f"{experiment}.yaml")
    composed = configuration(f"+exp={experiment}", "paths.data=data", folder=tmp_path)
    composed[group] = own
    resolved = OmegaConf.to_container(composed[group], resolve=True)
    found = list(pairs(get_object(own._target_), resolved, group))
    assert len(found) > 3
    as_lists = {
        key: (value, list(default) if isinstance(default, tuple) else default)
        for key, value, default in found
    }
    assert not {key: both for key, both in as_lists.items() if both[0] != both[1]}
