"""Corpus, loader and manifest: what they promise, and what they say to bad splits and options."""

import itertools
import json
import re
import shutil

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from experiments.shared.errors import InputError
from radiodiff import corpus, manifest
from radiodiff.png import read_gray
from tests.radiodiff.conftest import SIZE, loader


def test_corpus_has_the_layout_and_is_deterministic(made, tmp_path):
    corpus.make_corpus(tmp_path, maps=5, transmitters=2, size=SIZE, cars=5)
    files = sorted(f.relative_to(made) for f in made.rglob("*.png"))
    assert len(files) == 5 * (1 + 1 + 3 * 2)
    assert all((made / f).read_bytes() == (tmp_path / f).read_bytes() for f in files)
    for file in (made / "gain/DPM").glob("*.png"):
        gain, lit = read_gray(file), read_gray(made / "png/antennas" / file.name)
        plan = read_gray(made / "png/buildings_complete" / f"{file.stem.split('_')[0]}.png")
        assert set(np.unique(plan)) == {0, 255}
        assert not gain[binary_erosion(plan > 0, iterations=2)].any()  # signal is on rims alone
        assert (lit > 0).sum() == 1
        assert plan[lit > 0].item() == 0
        assert gain[lit > 0].item() == gain.max()


def test_corpus_says_where_it_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/gain/DPM: cannot be made a folder"):
        corpus.make_corpus(tmp_path / "file", maps=1, transmitters=1, size=SIZE)


@pytest.mark.parametrize("simulation", ["DPM", "carsDPM"])
def test_loader_reads_what_was_written(made, tmp_path, simulation):
    data = loader(made, tmp_path, simulation=simulation)
    data.setup()
    whole = next(iter(data.test_dataloader()))
    assert whole["map"].shape == whole["sight"].shape == (2, 1, SIZE, SIZE)
    assert whole["map"].amin() >= -1
    assert whole["map"].amax() <= 1
    if simulation == "DPM":
        assert (whole["map"][whole["buildings"]] == -1).float().mean() > 0.9
    assert not (whole["sight"] & whole["buildings"]).any()
    assert data.describe()["sizes"] == {"train": 6, "val": 2, "test": 2}


def test_no_city_is_in_two_splits(made, tmp_path):
    data = loader(made, tmp_path)
    data.setup()
    cities = [{s.city for s in members} for members in vars(data.splits).values()]
    assert sum(map(len, cities)) == 5
    assert all(not a & b for a, b in itertools.combinations(cities, 2))
    assert json.loads(data.manifest_file.read_text()).keys() == {"train", "val", "test"}
    again = loader(made, tmp_path)
    again.setup()
    assert again.manifest_file == data.manifest_file
    assert again.describe()["hash"] == data.describe()["hash"]


def test_draws_depend_on_epoch_and_index_alone(made, tmp_path):
    data = loader(made, tmp_path, crop=32)
    data.setup()
    items = data.train_dataloader().dataset
    assert items[0, 1]["map"].shape == (1, 32, 32)
    assert (items[0, 1]["map"] == items[0, 1]["map"]).all()
    assert (items[0, 1]["map"] != items[1, 1]["map"]).any()


def test_map_zero_is_in_no_split(root, tmp_path):
    for part in ("gain/DPM", "png/antennas"):
        shutil.copy(root / part / "1_0.png", root / part / "0_0.png")
    data = loader(root, tmp_path)
    data.setup()
    assert all(s.city > 0 for members in vars(data.splits).values() for s in members)


def test_names_in_capitals_are_as_good(root, tmp_path):
    before = loader(root, tmp_path)
    before.setup()
    sizes = before.describe()["sizes"]
    for part in ("gain/DPM", "png/antennas", "png/buildings_complete"):
        for file in sorted((root / part).iterdir())[::2]:
            file.rename(file.with_suffix(".PNG"))
    data = loader(root, tmp_path)
    data.setup()
    assert data.describe()["sizes"] == sizes
    assert next(iter(data.test_dataloader()))["map"].shape == (2, 1, SIZE, SIZE)


def test_too_few_cities(root, tmp_path):
    for file in (root / "gain/DPM").glob("[345]_*.png"):
        file.unlink()
    with pytest.raises(InputError, match=r"2 cities.*no city is left for training"):
        loader(root, tmp_path).setup()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": [1, 2, 3], "val": [3], "test": [4]}, "city 3 is in train and in val"),
        ({"train": [1, 2], "val": [3], "test": [9]}, "cities .9. are not in the data; restore"),
        ({"train": [1]}, "expected an object with train, val and test"),
        ({"train": [1, 2, 3], "val": [4], "test": []}, "no map in split test"),
    ],
)
def test_bad_manifests(made, tmp_path, content, message):
    file = tmp_path / "splits.json"
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        loader(made, tmp_path, manifest=str(file)).setup()


def test_a_run_goes_on_with_its_own_splits_or_not_at_all(root, tmp_path):
    data = loader(root, tmp_path)
    data.setup()
    state = json.loads(json.dumps(data.state_dict()))
    corpus.make_corpus(root, maps=12, transmitters=2, size=SIZE)
    more = loader(root, tmp_path / "elsewhere")
    more.setup()
    with pytest.raises(InputError, match=r"cities are in another split.*data\.manifest=") as caught:
        more.load_state_dict(state)
    file = re.search(r"data\.manifest=(\S+)", str(caught.value))[1]
    same = loader(root, tmp_path / "elsewhere", manifest=file)
    same.setup()
    same.load_state_dict(state)
    assert vars(same.splits) == vars(data.splits)


def test_cities_may_come_and_go_as_long_as_none_moves(tmp_path):
    before = {"train": [1, 2], "val": [3], "test": [4]}
    now = {"train": [2, 5], "val": [3, 6], "test": [4]}
    manifest.refuse_moved(before, now, tmp_path, tmp_path)
    with pytest.raises(InputError, match="city 1: train, now test"):
        manifest.refuse_moved(before, now | {"test": [4, 1]}, tmp_path, tmp_path)


def test_splits_change_with_the_seed_alone():
    cities = list(range(1, 101))
    one, same, other = (manifest.draw(cities, (0.1, 0.2), seed) for seed in (1, 1, 2))
    assert one == same != other
    assert {name: len(members) for name, members in one.items()} == {
        "train": 70,
        "val": 10,
        "test": 20,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"simulation": "WinProp"}, "expected one of DPM"),
        ({"simulation": "IRT2"}, "give data.root"),
        ({"simulation": "carsDPM"}, "data.cars"),
        ({"crop": 30}, "multiple of 4"),
        ({"crop": 128}, "to the size"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        loader(None, tmp_path, **options)
