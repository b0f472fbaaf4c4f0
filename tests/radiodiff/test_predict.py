"""Prediction and completion at the command line: what is written, and what is said to bad input."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.shared import checkpoints
from experiments.shared.errors import InputError
from radiodiff import infer
from radiodiff.cities.city import draw_city, place_transmitters
from radiodiff.cities.propagation import FLOOR_DB, SPAN_DB, radio_map
from radiodiff.estimate import losses, predict
from radiodiff.estimate.module import RadioMapEstimator
from radiodiff.estimate.plans import read_plan, read_transmitters

SIZE = 96


@pytest.fixture(scope="module")
def place() -> tuple[np.ndarray, tuple[int, int]]:
    plan, _ = draw_city(np.random.default_rng(1), SIZE)
    y, x = place_transmitters(np.random.default_rng(0), plan, 1)[0]
    return plan, (int(y), int(x))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, place) -> Path:
    """A checkpoint of an untrained estimator, and a plan."""
    root = tmp_path_factory.mktemp("run")
    sizes = {"widths": (8, 16), "groups": 4}
    module = RadioMapEstimator({name: 1.0 for name in losses.TERMS["regressor"]}, network=sizes)
    saved = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    torch.save(saved | {"class": checkpoints.class_name(RadioMapEstimator)}, root / "last.ckpt")
    Image.fromarray(place[0]).save(root / "plan.png")
    return root


@pytest.fixture
def run(folder, monkeypatch):
    def run(command: str, *words) -> None:
        words = [command, "--checkpoint", folder / "last.ckpt", *words]
        monkeypatch.setattr("sys.argv", ["infer", *map(str, words)])
        infer.main()

    return run


def samples(file: Path, plan: np.ndarray, place: tuple[int, int], count: int) -> np.ndarray:
    free = np.argwhere(~plan)
    places = free[np.random.default_rng(2).choice(len(free), count, replace=False)]
    levels = FLOOR_DB + SPAN_DB * radio_map(plan, *place)[tuple(places.T)]
    rows = [f"{y},{x},{level:.2f}" for (y, x), level in zip(places, levels, strict=True)]
    file.write_text("\n".join(["row,column,db", *rows]))
    return places


def test_predict_writes_map_decibels_and_picture(folder, place, tmp_path, run, capsys):
    plan, (y, x) = place
    run("predict", folder / "plan.png", "--tx", y, x, tmp_path)
    assert {f.name for f in tmp_path.iterdir()} == {"plan.png", "plan.npz", "plan_db.png"}
    found = np.load(tmp_path / "plan.npz")
    gain = found["path_gain_db"]
    assert (found["buildings"] == plan).all()
    assert found["transmitters"].tolist() == [[y, x]]
    assert gain.shape == plan.shape
    assert np.unravel_index(gain.argmax(), gain.shape) == (y, x)
    gray = np.asarray(Image.open(tmp_path / "plan.png")).astype(float)
    np.testing.assert_allclose(gain, FLOOR_DB + SPAN_DB * gray / 255, atol=0.2)
    assert "1 map in" in capsys.readouterr().out


def test_several_transmitters_give_a_network(folder, place, tmp_path, run):
    plan, _ = place
    places = place_transmitters(np.random.default_rng(3), plan, 3)
    (tmp_path / "antennas.json").write_text(json.dumps([[int(x), int(y)] for y, x in places]))
    run("predict", folder / "plan.png", "--antennas", tmp_path / "antennas.json", tmp_path / "out")
    found = np.load(tmp_path / "out/plan_network.npz")
    maps = [np.load(tmp_path / f"out/plan_{k}.npz")["path_gain_db"] for k in range(3)]
    assert (found["best_server"] == np.argmax(maps, 0)).all()
    power = 10 ** ((23 + np.stack(maps)) / 10)
    rest = power.sum(0) - power.max(0) + 10 ** (-10.4)  # -104 dBm of noise in 10 MHz
    np.testing.assert_allclose(found["sinr_db"], 10 * np.log10(power.max(0) / rest), atol=0.01)
    assert (tmp_path / "out/plan_best_server.png").is_file()
    assert (tmp_path / "out/plan_sinr.png").is_file()


def test_a_folder_of_plans_goes_on_after_a_bad_one(folder, place, tmp_path, run):
    plans = tmp_path / "plans"
    plans.mkdir()
    for name in ("a.png", "b.PNG"):
        Image.fromarray(place[0]).save(plans / name, "PNG")
    (plans / "bad.png").write_text("no image")
    with pytest.raises(InputError, match="1 of 3 plans failed"):
        run("predict", plans, "--tx", *place[1], tmp_path / "out")
    assert {f.stem for f in (tmp_path / "out").glob("*.npz")} == {"a", "b"}


def test_complete_locates_the_transmitter(folder, place, tmp_path, run, capsys):
    plan, tx = place
    places = samples(tmp_path / "samples.csv", plan, tx, 30)
    run("complete", folder / "plan.png", "--samples", tmp_path / "samples.csv", tmp_path / "out")
    found = np.load(tmp_path / "out/plan.npz")["transmitters"][0]
    assert math.dist(found, tx) < 6
    assert f"{len(places)} samples, transmitter located at row" in capsys.readouterr().out
    run("complete", folder / "plan.png", "--samples", tmp_path / "samples.csv",
        "--tx", *tx, tmp_path / "given")  # fmt: skip
    assert np.load(tmp_path / "given/plan.npz")["transmitters"].tolist() == [list(tx)]


def test_a_transmitter_is_heard_where_it_stands():
    for seed in range(3):
        plan, _ = draw_city(np.random.default_rng(seed), SIZE)
        y, x = (int(n) for n in place_transmitters(np.random.default_rng(seed), plan, 1)[0])
        free = np.argwhere(~plan)
        places = free[np.random.default_rng(seed).choice(len(free), 25, replace=False)]
        levels = FLOOR_DB + SPAN_DB * radio_map(plan, y, x)[tuple(places.T)]
        assert math.dist(predict.locate(plan, places, levels), (y, x)) < 8


def test_geojson_has_a_scale(tmp_path):
    square = [[10, 50], [30, 50], [30, 90], [10, 90], [10, 50]]
    far = [[90, 10], [110, 10], [110, 30], [90, 30], [90, 10]]
    shapes = {"type": "GeometryCollection", "geometries": [
        {"type": "Polygon", "coordinates": [square]},
        {"type": "MultiPolygon", "coordinates": [[far]]},
        {"type": "Point", "coordinates": [0, 0]},
    ]}  # fmt: skip
    file = tmp_path / "plan.geojson"
    file.write_text(json.dumps(shapes))
    with pytest.raises(InputError, match="--scale 1 for metres"):
        read_plan(file)
    plan = read_plan(file, "1")
    assert plan.shape == (80, 100)
    assert plan[:40, :20].all()  # north is up
    assert plan[60:, 80:].all()
    assert plan.sum() == 20 * 40 + 20 * 20
    assert read_plan(file, "2").sum() == 4 * plan.sum()
    degrees = json.loads(json.dumps(shapes))
    for geometry in degrees["geometries"][:2]:
        rings = (
            geometry["coordinates"] if geometry["type"] == "Polygon" else geometry["coordinates"][0]
        )
        for ring in rings:
            ring[:] = [[13.4 + x / 66_000, 52.5 + y / 111_195] for x, y in ring]
    file.write_text(json.dumps(degrees))
    again = read_plan(file, "degrees")
    assert again.shape == pytest.approx((80, 103), abs=1.5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tx", "200", "3"], "transmitter at row 200, column 3: the plan has 96 rows"),
        ([], "say where the transmitter is"),
        (["--antennas", "nothing.json"], r"nothing\.json: cannot be read \(no such file"),
        (["--tx", "40", "40", "--invert"], "buildings; expected buildings white"),
    ],
)
def test_predict_says_what_is_wrong(folder, tmp_path, run, words, message):
    with pytest.raises(InputError, match=message):
        run("predict", folder / "plan.png", *words, tmp_path)


def test_a_transmitter_in_a_building_gets_the_nearest_free_pixel(folder, place, tmp_path, run):
    y, x = np.argwhere(place[0])[0]
    with pytest.raises(
        InputError, match=r"stands in a building; the nearest free pixel is \d+ \d+"
    ):
        run("predict", folder / "plan.png", "--tx", y, x, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y,x,v\n1,2,-80", "expected the columns row,column,db"),
        ("row,column,db\n", "no sample in it"),
        ("row,column,db\n1,2,loud", "cannot be read as CSV of numbers"),
        ("row,column,db\n500,2,-80", "line 2: sample at row 500"),
        ("row,column,db\n1,2,80", "line 2: 80.0 dB, expected a path gain from -200 to 0"),
    ],
)
def test_complete_says_what_is_wrong_with_samples(folder, tmp_path, run, text, message):
    file = tmp_path / "samples.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        run("complete", folder / "plan.png", "--samples", file, tmp_path)


def test_antenna_files_hold_column_and_row(tmp_path):
    file = tmp_path / "1.json"
    file.write_text("[[3, 7], [10.0, 20.0]]")
    assert read_transmitters(file) == [(7, 3), (20, 10)]
