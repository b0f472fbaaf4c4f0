"""Pairs with and without true stems, prepared once per test session."""

import pytest

from tests.jingle.fakes import make_pairs, module_for


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="session")
def stemmed(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), train=3, stems=True)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def data(root, cache):
    return module_for(root, cache)
