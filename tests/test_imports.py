"""The arrow rule: who may import whom, read off the syntax trees."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
MODELS = {
    name
    for name in ("jingle", "radiodiff", "molecular_flow", "multitrack")
    if (REPOSITORY / name).is_dir()
}
FILES = [p for top in (*MODELS, "experiments") for p in (REPOSITORY / top).rglob("*.py")]


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports, at the top or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def within(path: Path) -> tuple[str, ...]:
    return path.relative_to(REPOSITORY).parts


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_arrow_rule(path: Path):
    names, place = imported(path), within(path)
    if place[0] == "experiments":
        assert not tops(names) & MODELS, "experiments never imports a model package"
    else:
        assert not tops(names) & (MODELS - {place[0]}), "model packages never import each other"
        own = {n for n in names if n.startswith("experiments")}
        assert all(n.startswith("experiments.shared") for n in own), own
    if place[:2] == ("experiments", "shared"):
        assert not tops(names) & {"hydra", "omegaconf", "lightning", "pytorch_lightning"}
    if tops(names) & {"hydra", "omegaconf"}:
        assert place[0] == "experiments", "a model never sees a DictConfig"
        assert place[1] not in ("shared", "callbacks"), "these get plain values"
    if "encodec" in tops(names):
        assert place == ("jingle", "codec.py")
    if "openmm" in tops(names):
        assert place[0] == "molecular_flow"
