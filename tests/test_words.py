"""What is plainly meant on the command line is understood, and said; the rest is answered fast."""

import os
import subprocess
import sys

import pytest

from experiments.running.words import mend, quoting
from tests.suite import REPOSITORY, command


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("exp=multitrack", "+exp=multitrack"),
        ("--exp multitrack seed=1", "+exp=multitrack seed=1"),
        ("--exp=multitrack", "+exp=multitrack"),
        ("+exp=multitrack debug=overfit", "+exp=multitrack +debug=overfit"),
        ("+exp=multitrack sweep=multitrack_position", "+exp=multitrack +sweep=multitrack_position"),
        ("+exp=multitrack +debug=smoke", "+exp=smoke/multitrack"),
        ("+debug=smoke +exp=demo/multitrack seed=1", "+exp=smoke/multitrack seed=1"),
        ("-m +exp=demo/codec,multitrack +debug=smoke", "-m +exp=smoke/codec,smoke/multitrack"),
        ("debug=smoke --exp multitrack", "+exp=smoke/multitrack"),
    ],
)
def test_what_is_meant_is_understood_and_said(typed: str, meant: str):
    words, notes = mend(typed.split())
    assert words == meant.split()
    assert notes
    assert all("is understood as" in note for note in notes)


def test_what_is_right_is_left_alone():
    words = "-m +exp=demo/multitrack loss.crop=1,2 ~callbacks.speed +debug=overfit".split()
    assert mend(words) == (words, [])


def test_debug_holds_over_the_experiment_in_whichever_order():
    words, _ = mend(["+debug=few_batches", "seed=1", "+exp=multitrack", "loss.crop=1"])
    assert words.index("+exp=multitrack") < words.index("+debug=few_batches")
    assert sorted(words) == ["+debug=few_batches", "+exp=multitrack", "loss.crop=1", "seed=1"]


def test_home_is_the_users_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    words, notes = mend(["data.root=~/xml", "paths.outputs='~/my runs'", "~callbacks.speed"])
    assert words == [
        "data.root=/home/me/xml",
        "paths.outputs='/home/me/my runs'",
        "~callbacks.speed",
    ]
    assert not notes


@pytest.mark.parametrize("value", ["Bücher", "a=b", "it's", "take(2)"])
def test_a_value_that_cannot_be_read_is_told_how_to_be_quoted(value: str):
    done = command("+exp=multitrack", f"data.root={value}", "--cfg", "job")
    assert done.returncode == 2
    told = done.stderr.strip().rsplit(": ", 1)[1]
    assert told == quoting(f"data.root={value}").rsplit(": ", 1)[1]
    # What it says to type is what works.
    again = command("+exp=multitrack", told.strip('"'), "--cfg", "job")
    assert f"root: {value}" in again.stdout


def test_a_comma_is_explained():
    done = command("+exp=multitrack", "data.root=a,b")
    assert done.returncode == 2
    assert "quote the value" in done.stderr


def test_the_shell_completes_groups_and_keys():
    def completed(line: str) -> str:
        environment = {**os.environ, "COMP_LINE": f"ensemble {line}", "COMP_POINT": "99"}
        done = subprocess.run(
            [sys.executable, "-m", "experiments.run", "-sc", "query=bash"],
            env=environment, cwd=REPOSITORY, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    assert "+exp=multitrack" in completed("+exp=multi")
    assert "model.dropout=" in completed("+exp=multitrack model.dro")
    assert "complete" in command("-sc", "install=bash").stdout


def test_hydras_hint_of_a_plus_is_kept():
    done = command("+exp=multitrack", "trainer.profiler=simple")
    assert done.returncode == 2
    assert "+trainer.profiler=simple" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["+exp=multitrack", "loss.crp=1"],
        ["+exp=multitrack", "seed=-1"],
        ["+exp=multitrak"],
    ],
)
def test_typing_errors_are_answered_without_loading_torch(words: list[str]):
    """Which takes seconds, and a second of processor time."""
    code = (
        "import sys; from experiments import bench, run\n"
        "try: run.entry()\n"
        "except SystemExit: pass\n"
        "print({'torch', 'lightning'} & set(sys.modules) or 'light')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "light", done.stderr
