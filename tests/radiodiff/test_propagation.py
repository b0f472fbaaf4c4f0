"""Physics of the embedded corpus' maps."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from radiodiff.cities import propagation
from radiodiff.cities.city import BUILT, draw_city, main_ground, place_cars, place_transmitters

SIZE = 96


@pytest.fixture(scope="module")
def plan() -> np.ndarray:
    return draw_city(np.random.default_rng(3), SIZE)[0]


def test_buildings_are_dark_and_the_transmitter_brightest(plan):
    for y, x in place_transmitters(np.random.default_rng(0), plan, 5):
        values = propagation.radio_map(plan, y, x)
        assert not plan[y, x]
        assert (values[plan] == 0).all()
        assert np.unravel_index(values.argmax(), values.shape) == (y, x)
        assert (values[main_ground(plan)] > 0).all()
        assert values.max() <= 1


def test_free_space_law_along_a_line_of_sight(plan):
    y, x = place_transmitters(np.random.default_rng(1), plan, 1)[0]
    values = propagation.radio_map(plan, y, x)
    sight = propagation.in_sight(plan, y, x)
    rows, columns = np.nonzero(sight)
    metres = np.maximum(np.hypot(rows - y, columns - x), 0.5)
    loss = 47.86 + 25.1 * np.log10(metres)
    assert np.allclose(values[sight], np.minimum(1, (147 - loss) / 99.16), atol=1e-6)


def test_open_ground_has_no_shadow():
    ground = np.zeros((64, 64), bool)
    values = propagation.radio_map(ground, 23, 20)
    assert np.allclose(np.rot90(values), propagation.radio_map(ground, 63 - 20, 23))
    assert propagation.spread(ground, 23, 20)[2].max() == 0


def test_a_wall_casts_a_shadow():
    wall = np.zeros((64, 64), bool)
    wall[10:54, 30:34] = True
    free, behind = (propagation.radio_map(p, 32, 10) for p in (np.zeros_like(wall), wall))
    assert behind[32, 60] < free[32, 60] - 0.1
    assert behind[32, 20] == free[32, 20]
    length, turning, bends = propagation.spread(wall, 32, 10)
    assert length[32, 60] >= 2 * np.hypot(25, 22)  # round the end of the wall, and no shorter
    assert length[32, 60] == pytest.approx(2 * np.hypot(25, 22), rel=0.08)
    assert turning[32, 60] == pytest.approx(2 * np.arctan2(22, 23), rel=0.1)
    assert bends[32, 60] >= 1


def test_sight_is_mutual(plan):
    draws = np.random.default_rng(0)
    free = np.argwhere(~plan)
    for (ya, xa), (yb, xb) in free[draws.integers(len(free), size=(300, 2))]:
        assert propagation.sees(plan, ya, xa, yb, xb) == propagation.sees(plan, yb, xb, ya, xa)


def test_walls_between_are_those_of_the_line_of_sight(plan):
    y, x = place_transmitters(np.random.default_rng(4), plan, 1)[0]
    count = propagation.walls_between(plan, y, x)
    draws = np.random.default_rng(0).integers(SIZE, size=(300, 2))
    assert all((count[v, u] == 0) == propagation.sees(plan, y, x, v, u) for v, u in draws)
    assert count[plan].max() > 5


def test_way_round_is_straight_in_sight_and_bends_round_a_wall():
    wall = np.zeros((64, 64), bool)
    wall[10:54, 30:34] = True
    rows, columns = np.mgrid[:64, :64]
    straight = np.hypot(rows - 32, columns - 10)
    open_ground = propagation.way_round(np.zeros_like(wall), 32, 10)
    far = straight > 8
    assert (open_ground / np.maximum(straight, 1))[far].max() < 1.1
    assert (open_ground / np.maximum(straight, 1))[far].min() > 0.99
    round_it = propagation.way_round(wall, 32, 10)
    assert round_it[32, 60] == pytest.approx(2 * np.hypot(25, 22), rel=0.08)
    closed = wall.copy()
    closed[9:11, 30:] = closed[53:55, 30:] = closed[9:55, 62:] = True
    assert propagation.way_round(closed, 32, 10)[32, 50] == -1


def test_reciprocity(plan):
    """Swapping transmitter and receiver changes the loss by less than 1 dB for half the pairs.

    Not by nothing: bends are found greedily, from one end.
    """
    places = place_transmitters(np.random.default_rng(2), plan, 12)
    maps = np.stack([propagation.radio_map(plan, y, x) for y, x in places]) * propagation.SPAN_DB
    levels = maps[:, places[:, 0], places[:, 1]]
    apart = np.abs(levels - levels.T)[np.triu_indices(len(places), 1)]
    assert np.median(apart) < 1.0
    assert np.quantile(apart, 0.95) < 6.0


def test_closed_courtyards_stay_dark():
    plan = np.zeros((64, 64), bool)
    plan[30:50, 30:50] = True
    plan[36:44, 36:44] = False
    assert (propagation.radio_map(plan, 10, 10)[36:44, 36:44] == 0).all()


def test_transmitter_in_a_building_is_refused(plan):
    y, x = np.argwhere(plan)[0]
    with pytest.raises(ValueError, match="building"):
        propagation.radio_map(plan, y, x)


def test_plans_vary_and_repeat():
    cities = [draw_city(np.random.default_rng(k), SIZE) for k in (0, 1, 0)]
    for one, other, again in zip(*cities, strict=True):
        assert (one == again).all()
        assert (one != other).any()
    assert all(BUILT[0] < walls.mean() < BUILT[1] for walls, _ in cities)


def test_plan_and_walls_differ_on_rims_alone():
    """But for what a shift brings in at the frame, and slivers thinner than a pixel."""
    inside, near = (slice(2, -2), slice(2, -2)), np.ones((5, 5), bool)
    for seed in range(8):
        walls, plan = draw_city(np.random.default_rng(seed), SIZE)
        differ = (walls != plan)[inside]
        rims = binary_dilation(walls, near) & ~binary_erosion(walls, near)
        assert differ.any()
        assert (differ & ~rims[inside]).sum() <= 0.03 * differ.sum()


def test_cars_stand_on_free_ground(plan):
    cars = place_cars(np.random.default_rng(0), plan, 10)
    assert cars.any()
    assert not (cars & plan).any()
