"""A short message for what the user can mend; everything else keeps its traceback."""

from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from experiments.callbacks.guard import Diverged
from experiments.running.explain import explain
from experiments.running.job import attend
from experiments.shared.errors import InputError
from tests.suite import CONF, configuration


def fails(how: str):
    """A constructor that fails; for the tests' own use."""
    if how == "bug":
        raise NameError("name 'nn' is not defined")
    if how == "input":
        raise InputError("data.root=x: expected a folder")
    if how == "while handling":
        try:
            raise InputError("mended")
        except InputError:
            raise KeyError("another") from None
    if how == "in handling":
        try:
            raise InputError("mended")
        except InputError:
            return {}["another"]
    if how == "because":
        try:
            raise Diverged("the loss is nan")
        except Diverged as error:
            raise RuntimeError("stopped") from error
    return None


def caught(how: str, target: str = "tests.test_errors.fails") -> Exception:
    with pytest.raises(InstantiationException) as error:
        instantiate({"_target_": target, "how": how})
    return error.value


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("bug", None),
        ("input", "data.root=x: expected a folder"),
        ("while handling", None),
        ("in handling", None),
        ("because", "the loss is nan"),
    ],
)
def test_only_what_can_be_mended_is_short(how: str, told: str | None):
    assert explain(caught(how), CONF) == told


def test_a_call_that_cannot_be_made_is_short():
    assert "no_such" in explain(caught("bug", "tests.test_errors.no_such"), CONF)
    with pytest.raises(InstantiationException) as error:
        instantiate({"_target_": "tests.test_errors.fails", "no_such": 1})
    assert "no_such" in explain(error.value, CONF)


def test_an_error_of_the_system_in_a_step_is_no_matter_of_the_folder(tmp_path: Path):
    fails_in = "+callbacks.fails={_target_: tests.test_folder.FailsIn}"
    config = configuration("+exp=smoke/waves", "test=false", fails_in, folder=tmp_path)
    with pytest.raises(OSError, match="No space") as error:
        attend(config, tmp_path)
    assert explain(error.value, CONF) is None
