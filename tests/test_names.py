"""One name for one thing in all packages, read off the syntax trees."""

import ast
from pathlib import Path

import pytest

from tests.test_imports import FILES, MODELS, REPOSITORY

MODULES = [p for p in FILES if p.name == "module.py"]
DATA = [p for p in FILES if p.name == "data.py"]


def functions(path: Path, *names: str) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name in names]


def arguments(function: ast.FunctionDef) -> list[str]:
    return [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]


def label(path: Path) -> str:
    return str(path.parent.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_modules_name_their_arguments_alike(path: Path):
    steps = functions(path, "training_step", "validation_step", "test_step")
    assert len(steps) == 3
    assert all(arguments(step) == ["self", "batch", "batch_idx"] for step in steps)
    (constructor,) = functions(path, "__init__")
    assert {"loss_weights", "optimizer", "schedule"} <= set(arguments(constructor))
    assert functions(path, "figures")


@pytest.mark.parametrize("path", DATA, ids=label)
def test_datamodules_name_their_arguments_alike(path: Path):
    for constructor in functions(path, "__init__"):
        names = set(arguments(constructor))
        assert not {"workers", "n_workers", "data_workers"} & names
        assert "root" not in names or {"cache", "batch_size", "seed"} <= names


@pytest.mark.parametrize("package", MODELS)
def test_corpora_are_made_by_functions_of_one_name(package: str):
    corpus = REPOSITORY / package / "corpus.py"
    if corpus.exists():  # molecular_flow simulates
        assert functions(corpus, "make_corpus")


@pytest.mark.parametrize("package", [*MODELS, "experiments"])
def test_no_two_files_differ_by_a_plural(package: str):
    stems = [p.stem for p in FILES if p.relative_to(REPOSITORY).parts[0] == package]
    assert not {f"{stem}s" for stem in stems} & set(stems)
