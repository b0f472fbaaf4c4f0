"""Which split a file is in without a manifest: its own name alone decides."""

import itertools
import shutil
from collections import Counter

import pytest

from multitrack.data import MultitrackData, split_by_name

MANY = [f"edit {n}.xml" for n in range(2000)]


@pytest.fixture(scope="module")
def growing() -> list[tuple[list[str], str]]:
    """Small folders of every make-up, a split often empty, larger ones, and a file that comes."""
    own = {"train": [], "val": [], "test": []}
    for name, split in split_by_name(MANY)[0].items():
        own[split].append(name)
    pool = [name for names in own.values() for name in names[:4]]
    new = [name for names in own.values() for name in names[4:7]]
    subsets = itertools.chain.from_iterable(itertools.combinations(pool, n) for n in range(3, 7))
    larger = [(MANY[:n], MANY[n]) for n in range(3, 100)]
    return [*itertools.product(map(list, subsets), new), *larger]


def test_a_file_more_moves_no_other_that_is_not_borrowed(growing):
    for names, new in growing:
        before, borrowed = split_by_name(names)
        after, still = split_by_name([*names, new])
        for name in set(names) - set(borrowed) - set(still):
            assert before[name] == after[name]


def test_a_file_that_was_trained_on_is_never_scored_later_unless_borrowed(growing):
    for names, new in growing:
        before, borrowed = split_by_name(names)
        after, _ = split_by_name([*names, new])
        for name in set(names) - set(borrowed):
            assert before[name] != "train" or after[name] == "train"


def test_three_files_are_enough_and_their_order_does_not_matter(growing):
    for names, _ in growing:
        splits, borrowed = split_by_name(names)
        assert set(splits.values()) == {"train", "val", "test"}
        assert len(borrowed) <= 2
        assert split_by_name(names[::-1])[0] == splits


def test_a_tenth_each_is_scored_and_nothing_is_borrowed():
    splits, borrowed = split_by_name(MANY)
    held = Counter(splits.values())
    assert borrowed == []
    assert held["val"] == pytest.approx(200, abs=45)
    assert held["test"] == pytest.approx(200, abs=45)


def test_a_small_folder_says_what_it_borrowed(small_corpus, tmp_path):
    root = tmp_path / "own"
    root.mkdir()
    for file in sorted(small_corpus.rglob("*.xml"))[:4]:
        shutil.copy(file, root / f"{file.parent.name}-{file.name}")
    data = MultitrackData(str(root), str(tmp_path / "cache"))
    data.setup()
    expected, borrowed = split_by_name([file.name for file in root.iterdir()])
    held = Counter(expected.values())
    assert {split: len(data.edits[split]) for split in held} == held
    assert borrowed
    assert len([n for n in data.describe()["notes"] if "few files" in n]) == len(borrowed)
