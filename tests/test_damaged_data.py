"""Data that were damaged after they were made: seen at the next start, mended where they are ours.

Every experiment's embedded corpus and caches, as `+exp=smoke/NAME` makes them.
"""

import random
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate

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


@pytest.mark.parametrize("name", SHIPPED)
def test_a_corpus_or_cache_that_was_damaged_is_mended(name, tmp_path, capsys):
    whole = served(ready(name, tmp_path / "data"))
    files = sorted(f for f in (tmp_path / "data").rglob("*") if f.is_file())
    draws, kinds = random.Random(name), sorted({(f.parts[-2][:6], f.suffix) for f in files})
    for number, kind in enumerate(kinds):
        file = draws.choice([f for f in files if (f.parts[-2][:6], f.suffix) == kind])
        spoil(file, DAMAGE[number % len(DAMAGE)])
    capsys.readouterr()
    assert same(served(ready(name, tmp_path / "data")), whole)
    assert "damaged" in capsys.readouterr().out
    again = ready(name, tmp_path / "data")
    assert "damaged" not in capsys.readouterr().out
    assert same(served(again), whole)
