"""Every command answers bad input in a few lines with status 2, and touches nothing.

CI takes every case of the quick kinds and a fixed sample of the others; `python -m tests.bad_input`
takes all of them and prints the table by command.
"""

import collections
import hashlib

import pytest

from tests.bad_input import rights
from tests.bad_input.contract import Case
from tests.bad_input.corpus import CASES
from tests.bad_input.hold import held, warmed
from tests.bad_input.shelf import Shelf

# Of the commands that cost most a case (a report, a composed configuration), one case in so many.
SHARE = {"experiments.report": 8, "experiments.run": 6, "experiments.evaluate": 2}
RIGHTS = ("secret", "sealed", "locked")
SLOW = ("heard", "prior", "widths", "sizes.", "network.", "flow.", "loss_weights", "huge")


def share_of(case: Case) -> int:
    if case.drawn:
        return 1
    if case.command in SHARE:
        return SHARE[case.command]
    return 4 if any(word in case.id for word in SLOW) else 1


def needs_rights(case: Case) -> bool:
    """Whether the case is one of files that may not be read or written."""
    return any(f"{{{thing}" in word for word in case.words for thing in RIGHTS)


def chosen() -> list[Case]:
    """The cases of CI: the same in every run, whatever their order."""
    return [
        case
        for case in CASES
        if int(hashlib.sha256(case.id.encode()).hexdigest(), 16) % share_of(case) == 0
    ]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Shelf:
    root = tmp_path_factory.mktemp("shelf")
    return warmed(Shelf(root / "things"), root / "warm")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("case", chosen(), ids=lambda case: case.id)
def test_bad_input_is_one_clear_message(case: Case, shelf: Shelf, tmp_path):
    if needs_rights(case) and not rights.held():
        pytest.skip("modes of files do not hold for this user, on this system")
    found = held(case, shelf, tmp_path)
    assert not found, found


def test_the_corpus_is_large_and_no_case_stands_in_it_twice():
    names = collections.Counter(case.id for case in CASES)
    assert len(CASES) >= 1500
    assert len(chosen()) >= 300
    assert not [name for name, count in names.items() if count > 1]
