"""Which split a file is in without a manifest: its programme's name alone decides."""

import itertools
import shutil
from collections import Counter

import pytest

from experiments.shared.errors import InputError
from multitrack.data import MultitrackData
from multitrack.examples.splits import (
    Print,
    leave_one_out,
    programmes,
    split_by_name,
    split_by_programme,
)

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


def edit(footage: dict[str, float], *runs: str) -> Print:
    return Print(footage, list(runs))


def test_versions_of_a_programme_stay_together_whatever_their_names():
    prints = {f"other {n}": edit({f"x{n}.mov 900": 50.0}) for n in range(30)}
    same = {
        f"take {n}": edit({"a.mov 900": 40.0, "b.mov 900": 20.0, f"new{n}.mov 9": 30.0})
        for n in range(20)
    }
    splits, remarks = split_by_programme({**prints, **same})
    assert len({splits[name] for name in same}) == 1
    assert remarks[0].startswith("50 files are 31 programmes")


def test_an_opening_that_all_share_makes_no_programme():
    prints = {f"{n}": edit({"opening.mov 250": 10.0, f"{n}.mov 900": 40.0}) for n in range(9)}
    assert len(set(programmes(prints).values())) == 9


def test_the_same_cuts_make_a_programme_even_over_renamed_footage():
    runs = [f"{n} {n + 7} {n + 3}" for n in range(12)]
    one, two = edit({"a 1": 9.0}, *runs), edit({"b 1": 9.0}, *runs[4:], "1 2 3")
    assert len(set(programmes({"one": one, "two": two}).values())) == 1
    assert len(set(programmes({"one": one, "few": edit({"b 1": 9.0}, *runs[:4])}).values())) == 2


def test_too_few_programmes_are_split_by_file_and_that_is_said():
    prints = {f"version {n}": edit({"a.mov 900": 40.0}) for n in range(6)}
    splits, remarks = split_by_programme(prints)
    assert set(splits.values()) == {"train", "val", "test"}
    assert remarks[0].startswith("WARNING 6 files are versions of 1 programmes")


def test_leaving_one_programme_out_scores_each_once_with_all_its_versions():
    prints = {f"{n}": edit({f"{n % 4}.mov 900": 40.0}) for n in range(8)}
    scored = []
    for fold in range(4):
        splits, remarks = leave_one_out(prints, fold)
        assert set(splits.values()) == {"train", "val", "test"}
        scored += [name for name, split in splits.items() if split == "test"]
        assert f"fold {fold} of 4" in remarks[0]
    assert sorted(scored) == sorted(prints)
    with pytest.raises(InputError, match=r"data\.fold=4"):
        leave_one_out(prints, 4)
