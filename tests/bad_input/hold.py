"""Holds a case to the contract: its words with the shelf's things in them, run and looked at."""

import contextlib
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import tests.bad_input.good  # noqa: F401  (fills the shelf)
from experiments.serving.scratch import MEMORY
from tests.bad_input.contract import Case, call, faults, fingerprint
from tests.bad_input.shelf import Shelf

THING = re.compile(r"\{([\w.]+)\}")


def warmed(shelf: Shelf, folder: Path) -> Shelf:
    """Have librosa's functions compiled, which numba does once an installation, in half a minute.

    It would stand in the time of the first case that hears sound; nor does LLVM survive an alarm.
    """
    folder.mkdir()
    words = ("--input", "{song_wav}", "--target", "{target_wav}", "--output", "{out}/new.wav",
             "--seconds=0.5", "--checkpoint", "{creative_agent_run}")  # fmt: skip
    found = held(Case("good", "jingle.infer", words, may_pass=True), shelf, folder, slowness=20)
    assert not found, found
    return shelf


def held(case: Case, shelf: Shelf, folder: Path, slowness: int = 1) -> str:
    """What of the contract the case breaks; empty: nothing. `slowness` stretches its time."""
    out, here = folder / "out", folder / "here"
    for made in (out, here):
        made.mkdir()
    things: dict[str, Path] = {"out": out}

    def filled(text: str) -> str:
        def path(match: re.Match) -> str:
            if match[1] not in things:
                things[match[1]] = shelf[match[1]]
            return str(things[match[1]])

        return THING.sub(path, text)

    words, told = [filled(w) for w in case.words], [filled(w) for w in case.told]
    inputs = [path for name, path in things.items() if name != "out"]
    places = [path.parent for path in inputs if path.parent != shelf.root]
    before, beside = fingerprint(inputs), {str(p) for at in places for p in at.iterdir()}
    with contextlib.chdir(here), pytest.MonkeyPatch.context() as patch:
        if case.command == "experiments.report" and not case.drawn:
            patch.setattr(Figure, "savefig", lambda self, path, **_: Path(path).touch())
        for name, value in case.environment.items():
            patch.setenv(name, value)
        outcome = call(case, words, slowness)
    allowed = [folder, Path(tempfile.gettempdir()), Path(MEMORY)]
    found = faults(case, outcome, told, out, allowed)
    writes_there = case.command == "experiments.report" and case.may_pass
    if not here.is_dir():
        found = "the folder that it stood in is gone"
    elif not found and not writes_there:
        if fingerprint(inputs) != before:
            found = "its inputs are not what they were"
        more = {str(p) for at in places for p in at.iterdir()} - beside
        found = found or (f"left beside its inputs: {sorted(more)[:3]}" if more else "")
        found = found or (f"left here: {left[:3]}" if (left := sorted(here.iterdir())) else "")
    shutil.rmtree(folder, ignore_errors=True)
    return found
