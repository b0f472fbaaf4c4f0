"""Keeps the tests' corpora and runs away from the user's own; finds the example experiment."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.suite import EXAMPLE

settings.register_profile(
    "quick", max_examples=20, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("quick")


@pytest.fixture(scope="session", autouse=True)
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("suite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUITE_DATA", str(base / "data"))
        patch.setenv("SUITE_OUTPUTS", str(base / "outputs"))
        # The example is found as a user's own experiments are: by the path and the environment.
        patch.setenv("SUITE_CONF", str(EXAMPLE / "conf"))
        places = [str(EXAMPLE), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(places))
        yield base
