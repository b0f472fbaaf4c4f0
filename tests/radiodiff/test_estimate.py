"""Estimation: what is known of a place, what stands beside the estimate, and what is measured."""

import json

import numpy as np
import pytest
import torch
from pykrige.ok import OrdinaryKriging

from experiments.shared.errors import InputError
from radiodiff import corpus
from radiodiff.cities.city import OFFSET, draw_city, place_transmitters
from radiodiff.cities.propagation import in_sight, radio_map
from radiodiff.data import turn
from radiodiff.estimate import baselines, fields, losses, metrics, views
from radiodiff.estimate.data import SPLIT, Estimation
from radiodiff.estimate.module import RadioMapEstimator
from radiodiff.estimate.network import Regressor
from radiodiff.estimate.registration import registration, turned
from radiodiff.estimate.residual import corrected

SIZE = 64
SIZES = {"widths": (8, 16), "groups": 4}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    corpus.make_corpus(folder, maps=5, transmitters=2, size=SIZE, cars=6)
    return folder


@pytest.fixture(scope="module")
def place() -> tuple[np.ndarray, int, int]:
    plan, _ = draw_city(np.random.default_rng(5), SIZE)
    y, x = place_transmitters(np.random.default_rng(0), plan, 1)[0]
    return plan, int(y), int(x)


def data(root, cache, **options) -> Estimation:
    found = Estimation(
        root=str(root), cache=str(cache), size=SIZE, batch_size=2, manifest=None, most_samples=20,
        **options,
    )  # fmt: skip
    found.setup()
    return found


def channel(inputs, name: str):
    return inputs[fields.CHANNELS.index(name)]


def test_channels_say_what_is_known(place):
    plan, y, x = place
    inputs = fields.known(plan, fields.look(plan, y, x), y, x)
    sight = in_sight(plan, y, x)
    assert (channel(inputs, "plan") == plan).all()
    assert (channel(inputs, "sight") == sight).all()
    free = radio_map(np.zeros_like(plan), y, x)
    np.testing.assert_allclose(channel(inputs, "free_space"), free, atol=1e-6)
    assert (channel(inputs, "way_round")[sight] == 0).all()
    assert (channel(inputs, "way_round")[~sight & ~plan] >= 0).all()
    down, right = channel(inputs, "down"), channel(inputs, "right")
    far = np.hypot(*np.ogrid[-y : SIZE - y, -x : SIZE - x]) >= 1
    np.testing.assert_allclose(np.hypot(down, right)[far], 1, rtol=1e-5)
    assert not channel(inputs, "sampled").any()


def test_what_is_computed_is_kept_and_a_broken_file_made_again(place, tmp_path):
    plan, y, x = place
    file = tmp_path / "deep/1_0.png"
    found = fields.cached_look(plan, y, x, file)
    assert (found == fields.look(plan, y, x)).all()
    assert (fields.cached_look(plan, y, x, file) == found).all()
    file.write_bytes(file.read_bytes()[:50])
    assert (fields.cached_look(plan, y, x, file) == found).all()
    assert [f.name for f in file.parent.iterdir()] == ["1_0.png"]


def test_samples_are_those_of_the_map_and_no_others():
    maps, places = torch.rand(2, 1, 8, 8), torch.tensor([[[1, 2], [3, 4]], [[5, 6], [7, 0]]])
    inputs = torch.zeros(2, len(fields.CHANNELS), 8, 8)
    found = fields.with_samples(inputs, maps, places, torch.tensor([2, 1]))
    sampled = found[:, fields.SAMPLED]
    assert sampled.sum((1, 2)).tolist() == [2, 1]
    assert found[1, fields.SAMPLE, 5, 6] == maps[1, 0, 5, 6]
    assert (found[:, fields.SAMPLE] == maps[:, 0] * sampled).all()
    assert not inputs.any()


def test_examples_are_turned_whole(root, tmp_path):
    """What is known fits the map after each symmetry: sight follows from plan and transmitter."""
    dataset = data(root, tmp_path).dataset("train")
    for epoch in range(6):
        item = dataset[epoch, 0]
        y, x = item["transmitter"].tolist()
        plan = item["buildings"][0].numpy()
        # Rounding is not symmetric, so single pixels may differ.
        assert (item["sight"][0].numpy() == in_sight(plan, y, x)).mean() > 0.99
        assert item["map"][0, y, x] == item["map"].max()
        assert not plan[tuple(item["places"].numpy().T)].any()
        assert 0 <= int(item["count"]) <= 20


@pytest.mark.parametrize("which", range(8))
def test_a_view_is_what_is_known_of_the_turned_place(which):
    plan = draw_city(np.random.default_rng(4))[0]
    y, x = np.argwhere(~plan)[1000]
    lit = np.zeros(plan.shape, bool)
    lit[y, x] = True
    looks = fields.look(plan, y, x)
    there = [int(n[0]) for n in np.nonzero(turn(lit, which))]
    away = turned(np.array((0.5, -0.25)), which)
    wanted = fields.known(turn(plan, which), turn(looks, which), *there, None, away)
    found = torch.from_numpy(fields.known(plan, looks, y, x, None, (0.5, -0.25)))[None]
    torch.testing.assert_close(views.seen(found, which)[0], torch.from_numpy(wanted))
    torch.testing.assert_close(views.turn_back(views.turn(found, which), which), found)


def test_what_treats_all_views_alike_is_its_own_average():
    torch.manual_seed(0)
    place = torch.rand(2, len(fields.CHANNELS), 12, 16)
    torch.testing.assert_close(views.averaged(lambda known: known[:, 2:3], place, 8), place[:, 2:3])


def test_number_of_samples_is_drawn_or_as_asked(root, tmp_path):
    drawn = data(root, tmp_path).dataset("train")
    counts = [int(drawn[epoch, 0]["count"]) for epoch in range(60)]
    assert 15 < counts.count(0) < 45
    assert max(counts) > 9
    fixed = data(root, tmp_path, samples=7)
    assert {int(fixed.dataset(split)[0]["count"]) for split in ("train", "val")} == {7}
    assert int(data(root, tmp_path).dataset("test")[0]["count"]) == 0
    with pytest.raises(InputError, match=r"data\.samples=30"):
        data(root, tmp_path, samples=30)


def test_cars_are_known_only_where_asked(root, tmp_path):
    for know in (False, True):
        found = data(root, tmp_path, simulation="carsDPM", know_cars=know)
        assert bool(channel(found.dataset("test")[0]["known"], "cars").any()) == know


def test_registration_is_how_plans_lie_and_turns_with_them(root, tmp_path):
    walls, _ = draw_city(np.random.default_rng(2))
    plan = np.roll(walls, (1, -1), (0, 1))
    gain = np.where(walls, 0, 90).astype(np.uint8)
    found = registration(plan, gain)
    np.testing.assert_allclose(found, (1, -1), atol=0.2)
    for which in range(8):
        np.testing.assert_allclose(
            registration(turn(plan, which), turn(gain, which)), turned(found, which), atol=1e-6
        )
    assert not registration(plan, np.full_like(gain, 90)).any()
    measured = data(root, tmp_path)
    np.testing.assert_allclose(measured.shift, OFFSET, atol=0.25)
    told = [
        tuple(measured.dataset("train")[epoch, 0]["known"][[8, 9], 0, 0]) for epoch in range(30)
    ]
    hidden = told.count((0, 0))
    assert 2 < hidden < 20
    assert len(set(told)) > 4
    assert not data(root, tmp_path, registered=False).shift.any()


def test_published_split_is_radio_unet_s():
    found = json.loads(SPLIT.read_text())
    assert {name: len(cities) for name, cities in found.items()} == {
        "train": 501, "val": 100, "test": 99,
    }  # fmt: skip
    order = np.arange(0, 700, 1, dtype=np.int16)
    np.random.RandomState(42).shuffle(order)
    assert found["test"] == sorted((order[601:] + 1).tolist())


def test_untrained_network_is_free_space_round_the_buildings(place):
    plan, y, x = place
    inputs = torch.from_numpy(fields.known(plan, fields.look(plan, y, x), y, x))[None]
    made = Regressor(**SIZES)(inputs).detach()
    expected = baselines.way_round(inputs)
    assert float((made - expected).abs().max()) < 0.06
    module = RadioMapEstimator({name: 1.0 for name in losses.TERMS["regressor"]}, network=SIZES)
    odd = module(inputs[..., :61, :50])
    assert odd.shape == (1, 1, 61, 50)


def test_edges_see_steps_alone():
    maps = torch.rand(1, 1, 8, 8)
    assert float(losses.edges(maps + 0.2, maps)) == pytest.approx(0, abs=1e-6)
    step = torch.zeros(1, 1, 4, 4)
    step[..., 2:] = 1
    assert float(losses.edges(step, torch.zeros_like(step))) == pytest.approx(4 / 12)


def test_pooled_errors_are_sums_over_all_maps():
    torch.manual_seed(0)
    maps, made = torch.rand(6, 1, 32, 32), torch.rand(6, 1, 32, 32)
    buildings, sight = (torch.rand(2, 6, 1, 32, 32) > 0.7).unbind(0)
    table = metrics.Pooled()
    for part in (slice(0, 2), slice(2, 6)):
        found = metrics.sums(made[part], maps[part], buildings[part], sight[part], 0.4)
        table.update(found, torch.arange(6)[part] // 2)
    values, draws = table.compute()
    square = (made - maps).square()
    assert float(values["nmse"]) == pytest.approx(float(square.sum() / maps.square().sum()))
    assert float(values["rmse"]) == pytest.approx(float(square.mean().sqrt()))
    inside = 99.16 * square[buildings].mean().sqrt()
    assert float(values["rmse_db_building"]) == pytest.approx(float(inside), rel=1e-5)
    own, there = made >= 0.4, maps >= 0.4
    f1 = 2 * (own & there).sum() / (own.sum() + there.sum())
    assert float(values["coverage_f1"]) == pytest.approx(float(f1), rel=1e-5)
    low, high = metrics.interval(draws["nmse"])
    assert low < values["nmse"] < high


def test_a_dark_map_neither_divides_by_zero_nor_decides():
    maps = torch.rand(3, 1, 32, 32)
    maps[1] = 0
    made = maps + 0.01
    nothing = torch.zeros(3, 1, 32, 32, dtype=torch.bool)
    table = metrics.Pooled()
    table.update(metrics.sums(made, maps, nothing, ~nothing, 0.4), torch.arange(3))
    values, draws = table.compute()
    assert all(bool(values[name].isfinite()) for name in ("nmse", "map_nmse", "coverage_f1"))
    assert float(values["map_nmse"]) < 0.01
    assert bool(draws["nmse"].isfinite().any())


def test_leads_are_positive_where_we_are_better():
    assert float(metrics.lead("nmse", torch.tensor(0.1), torch.tensor(0.3))) > 0
    assert float(metrics.lead("ssim", torch.tensor(0.9), torch.tensor(0.3))) > 0


@pytest.mark.parametrize("name", baselines.COMPLETIONS)
def test_completions_pass_through_their_samples(place, name):
    plan, y, x = place
    maps = radio_map(plan, y, x)
    free = np.argwhere(~plan)
    for count in (1, 3, 40):
        places = free[np.random.default_rng(0).choice(len(free), count, replace=False)]
        values = maps[tuple(places.T)]
        made = baselines.fill(baselines.COMPLETIONS[name], places, values, plan)
        assert (made[plan] == 0).all()
        assert np.isfinite(made).all()
        if name != "kriging" or count > 3:
            np.testing.assert_allclose(made[tuple(places.T)], values, atol=1e-4)


def test_kriging_is_pykrige_s(place):
    plan, y, x = place
    free = np.argwhere(~plan).astype(float)
    places = free[np.random.default_rng(1).choice(len(free), 30, replace=False)]
    values = radio_map(plan, y, x)[tuple(places.astype(int).T)].astype(float)
    ours = baselines.kriging(places, values, free[:200])
    order = np.lexsort(places.T[::-1])
    model = OrdinaryKriging(
        places[order, 1], places[order, 0], values[order], variogram_model="exponential"
    )
    theirs, _ = model.execute("points", free[:200, 1], free[:200, 0])
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_nearest_map_finds_itself(place):
    found = baselines.NearestMap()
    known, maps = [], torch.rand(4, 1, SIZE, SIZE)
    for index, seed in enumerate(range(4)):
        plan, _ = draw_city(np.random.default_rng(seed), SIZE)
        y, x = (int(n) for n in place_transmitters(np.random.default_rng(0), plan, 1)[0])
        known.append(torch.from_numpy(fields.known(plan, fields.look(plan, y, x), y, x)))
        found.add(known[-1][None], maps[index : index + 1])
    assert float((found(torch.stack(known)) - maps).abs().max()) < 1 / 255


def test_samples_correct_their_surroundings_and_no_building(place):
    plan, y, x = place
    inputs = torch.from_numpy(fields.known(plan, fields.look(plan, y, x), y, x))[None]
    made = torch.full((1, 1, SIZE, SIZE), 0.4)
    assert torch.equal(corrected(made, inputs), made)
    free = np.argwhere(~plan)
    places = torch.from_numpy(free[np.random.default_rng(0).choice(len(free), 30)])[None]
    true = made + 0.1
    given = fields.with_samples(inputs, true, places, torch.tensor([30]))
    found = corrected(made, given)
    outside = torch.from_numpy(~plan)
    assert torch.equal(found[0, 0][~outside], made[0, 0][~outside])
    assert float((found - true)[0, 0][outside].abs().mean()) < 0.03
