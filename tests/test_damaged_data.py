"""Data that were damaged after they were made: seen at the next start, mended where they are ours.

Every experiment's embedded corpus and caches, as `+exp=smoke/NAME` makes them.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate

from experiments.shared.errors import InputError
from tests.suite import SHIPPED, configuration

DAMAGE = ("lost", "emptied", "cut short", "changed")


def ready(name: str, folder: Path, *words: str):
    """The data of a smoke run whose `paths.data` is `folder`."""
    config = configuration(f"+exp=smoke/{name}", f"paths.data={folder}", *words, folder=folder)
    data = instantiate(config.data, _convert_="all")
    data.prepare_data()
    data.setup()
    return data


def spoil(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "lost":
        file.unlink()
    elif how == "emptied":
        file.write_bytes(b"")
    elif how == "cut short":
        file.write_bytes(content[: len(content) // 2])
    else:
        at = len(content) * 2 // 3
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def served(data) -> list:
    """What validation is given, and what the run would record of it."""
    batches = [batch for batch in data.val_dataloader() if isinstance(batch, dict)]
    return [data.describe()["hash"], data.describe()["sizes"], *batches]


def same(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return one == other


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """{experiment: the folder with its smoke run's data}, made when it is first asked for."""

    class Folders(dict):
        def __missing__(self, name: str) -> Path:
            self[name] = tmp_path_factory.mktemp(name)
            ready(name, self[name])
            return self[name]

    return Folders()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_corpus_or_cache_that_was_damaged_is_mended(name, made, capsys):
    place = made[name]
    whole = served(ready(name, place))
    files = sorted(f for f in place.rglob("*") if f.is_file())
    draws, kinds = random.Random(name), sorted({(f.parts[-2][:6], f.suffix) for f in files})
    for number, kind in enumerate(kinds):
        file = draws.choice([f for f in files if (f.parts[-2][:6], f.suffix) == kind])
        spoil(file, DAMAGE[number % len(DAMAGE)])
    capsys.readouterr()
    assert same(served(ready(name, place)), whole)
    assert "damaged" in capsys.readouterr().out
    again = ready(name, place)
    assert "damaged" not in capsys.readouterr().out
    assert same(served(again), whole)


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


# What lies in a folder of one's own stays as it is: (experiment, corpus, damage, what is said).
OWN: dict[str, tuple[str, str, Callable[[Path], object], str]] = {
    "a lost WAV": (
        "creative_agent", "jingle-*",
        lambda root: spoil(root / "train" / "pair_0001_input.wav", "lost"),
        "pair_0001_input is missing, expected an input and an output file",
    ),
    "an emptied WAV": (
        "codec", "codec-songs-*", lambda root: spoil(first(root, "train", ".wav"), "emptied"),
        "skipped: ",
    ),
    "an emptied PNG": (
        "radiodiff_vae", "radio-maps-*",
        lambda root: spoil(first(root, "gain", ".png"), "emptied"), "skipped ",
    ),
    "a lost plan": (
        "radio_map", "radio-maps-*",
        lambda root: spoil(first(root, "png/buildings_complete", ".png"), "lost"),
        "is missing; restore it",
    ),
    "a truncated npz": (
        "molecular_flow", "molecular_flow-*",
        lambda root: spoil(root / "ladder.npz", "cut short"), "ladder.npz: cannot be read",
    ),
    "a manifest without keys": (
        "multitrack", "edits-*", lambda root: rewrite(root / "manifest.json", '{"drivers": []}'),
        "manifest.json: expected {'files': ",
    ),
    "an edit that is gone": (
        "multitrack", "edits-*", lambda root: spoil(first(root, "train", ".xml"), "lost"),
        "manifest.json lists are not there",
    ),
    "signals cut short": (
        "multitrack", "edits-*",
        lambda root: spoil(first(root, "val", ".drivers.npz"), "cut short"), ".drivers.npz: ",
    ),
    "truth without rules": (
        "multitrack", "edits-*",
        lambda root: rewrite(first(root, "val", ".truth.json"), '{"rules": [{"rule": 3}]}'),
        ".truth.json: expected rules with rule, track, from, to",
    ),
}  # fmt: skip


def first(root: Path, folder: str, ending: str) -> Path:
    return min(f for f in (root / folder).rglob("*") if f.name.endswith(ending))


@pytest.mark.parametrize("case", OWN)
def test_a_damaged_folder_of_one_s_own_is_told(case, made, tmp_path, capsys):
    name, corpus, damage, told = OWN[case]
    (whole,) = (place for place in made[name].glob(corpus) if place.is_dir())
    root = tmp_path / "mine"
    shutil.copytree(whole, root)
    (root / "stamp.json").unlink()
    damage(root)
    refused, data = "", None
    try:
        data = ready(name, tmp_path / "data", f"data.root={root}")
    except InputError as error:
        refused = str(error)
    if data is None:
        assert told in refused
        assert str(root) in refused
        return
    assert told in capsys.readouterr().out
    said = data.describe()
    assert said["skipped"] or any(told in note for note in said["notes"])
