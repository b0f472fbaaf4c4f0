"""Keeps the tests' corpora and runs away from the user's own, and makes corpora once a session."""

import pytest
from hypothesis import HealthCheck, settings

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
        yield base
