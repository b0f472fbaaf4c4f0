"""A small corpus, a copy of it to spoil, and its loader."""

import shutil
from pathlib import Path

import pytest

from radiodiff import corpus
from radiodiff.data import RadioMaps

SIZE = 64


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    corpus.make_corpus(root, maps=5, transmitters=2, size=SIZE, cars=5)
    return root


@pytest.fixture(scope="session")
def untouched(tmp_path_factory) -> Path:
    """Six cities without cars, which no test spoils."""
    root = tmp_path_factory.mktemp("maps")
    corpus.make_corpus(root, maps=6, transmitters=2, size=SIZE)
    return root


@pytest.fixture
def root(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "maps"))


def loader(root: Path | None, cache: Path, **options) -> RadioMaps:
    options = {"num_workers": 0} | options
    return RadioMaps(str(root) if root else None, str(cache), size=SIZE, batch_size=2, **options)
