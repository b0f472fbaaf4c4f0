"""The embedded corpus beside real cities: as varied, and as imperfect."""

import numpy as np
import pytest

from radiodiff import corpus
from radiodiff.cities.city import draw_city
from radiodiff.cities.likeness import REAL, REAL_RESIDUAL_DB, statistics
from radiodiff.png import read_gray

CITIES = 80


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, np.ndarray]:
    """Statistic -> its value for one map of each city."""
    root = tmp_path_factory.mktemp("corpus")
    corpus.make_corpus(root, maps=CITIES, transmitters=1)
    rows = [statistics(read_gray(file)) for file in sorted((root / "gain/DPM").iterdir())]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("name", REAL)
def test_means_and_spreads_are_those_of_real_cities(found, name):
    mean, std = REAL[name]
    assert abs(found[name].mean() - mean) < 0.5 * std
    assert 0.75 < found[name].std() / std < 1.25


def test_maps_hold_as_much_that_nothing_explains(found):
    assert found["residual_db"].mean() == pytest.approx(REAL_RESIDUAL_DB, rel=0.1)


def test_plans_differ_from_walls_as_the_one_known_real_plan_does():
    """In it 913 pixels of buildings carry signal, and 659 free ones are zero."""
    cities = [draw_city(np.random.default_rng((3, n))) for n in range(40)]
    counts = np.array([((plan & ~walls).sum(), (walls & ~plan).sum()) for walls, plan in cities])
    off = (np.array([913, 659]) - counts.mean(0)) / counts.std(0)
    assert (np.abs(off) < 0.6).all()
    assert counts[:, 0].mean() / counts[:, 1].mean() == pytest.approx(913 / 659, rel=0.15)


def test_statistics_of_a_known_map():
    rows, columns = np.mgrid[:256, :256]
    metres = np.maximum(np.hypot(rows - 100, columns - 120), 1.0)
    gain = np.round(255 * (147 - 48 - 22 * np.log10(metres)) / 99.16).astype(np.uint8)
    gain[200:220, 40:70] = 0
    row = statistics(gain)
    assert row["zero_share"] == pytest.approx(600 / 65536)
    assert row["footprint"] == 600
    assert row["exponent"] == pytest.approx(2.2, abs=0.01)
    assert row["residual_db"] < 0.15
