"""One server of all experiments, and one of a service that does what a test says."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serve.server import Server, serving, untrained

EXPERIMENTS = (
    *("codec", "creative_agent", "molecular_flow", "multitrack", "radio_map", "radiodiff_vae"),
)


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("runs")
    return {name: untrained(place / name, name) for name in EXPERIMENTS}


@pytest.fixture(scope="session")
def server(runs, tmp_path_factory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("tmp"), *runs.values(), "--threads", "1") as found:
        yield found


@pytest.fixture(scope="session")
def client(server) -> Iterator[httpx.Client]:
    with server.client() as found:
        yield found


@pytest.fixture(scope="session")
def odd_run(tmp_path_factory) -> Path:
    """A run whose service waits, dies or fails, as it is told."""
    parts = {
        "model._target_": "tests.serve.odd.Odd",
        "serve._target_": "tests.serve.odd.OddService",
    }
    return untrained(tmp_path_factory.mktemp("odd"), "waves", **parts)
