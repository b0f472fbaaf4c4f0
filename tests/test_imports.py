"""The arrow rule: who may import whom, read off the syntax trees."""

import ast
from collections.abc import Iterable
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
MODELS = ("jingle", "radiodiff", "molecular_flow", "multitrack")
FILES = sorted(p for top in (*MODELS, "experiments") for p in (REPOSITORY / top).rglob("*.py"))

# Every package's files at the top, where who knows one knows all.
CONTRACT = ("module", "data", "losses", "metrics", "figures", "infer")

# Room -> what it may import of its own package: rooms, or single files at the top. A room that is
# not named here imports nothing of its package; files at the top may import every room.
MAY_IMPORT = {
    "jingle.codec": {"jingle.sound", "jingle.songs", "jingle.pairs", "jingle.figures"},
    "jingle.networks": {"jingle.sound"},
    "jingle.pairs": {"jingle.sound"},
    "jingle.pieces": {"jingle.sound", "jingle.pairs", "jingle.metrics"},
    "multitrack.xmeml": {"multitrack.edit"},
    "multitrack.editors": {"multitrack.edit"},
    "multitrack.answer": {"multitrack.edit", "multitrack.xmeml"},
    "multitrack.cutting": {
        "multitrack.edit",
        "multitrack.xmeml",
        "multitrack.answer",
        "multitrack.examples",
        "multitrack.networks",
    },
    "multitrack.examples": {
        "multitrack.edit",
        "multitrack.xmeml",
        "multitrack.answer",
        "multitrack.metrics",
        "multitrack.baselines",
    },
    "multitrack.networks": {"multitrack.edit", "multitrack.examples"},
    "radiodiff.autoencoder": {
        "radiodiff.baselines",
        "radiodiff.corpus",
        "radiodiff.losses",
        "radiodiff.metrics",
        "radiodiff.png",
    },
    "radiodiff.estimate": {
        "radiodiff.autoencoder",
        "radiodiff.cities",
        "radiodiff.corpus",
        "radiodiff.data",
        "radiodiff.examples",
        "radiodiff.layout",
        "radiodiff.metrics",
        "radiodiff.png",
        "radiodiff.scan",
    },
    "experiments.callbacks": {"experiments.shared"},
    "experiments.reporting": {"experiments.shared"},
    "experiments.running": {
        "experiments.shared",
        "experiments.callbacks",
        "experiments.reporting",
        "experiments.report",
    },
    "experiments.serving": {"experiments.shared", "experiments.running"},
    "experiments.exporting": {"experiments.shared"},
    "experiments.measuring": {"experiments.shared", "experiments.running"},
    "molecular_flow.coordinates": {"molecular_flow.physics"},
    "molecular_flow.flow": {"molecular_flow.coordinates", "molecular_flow.physics"},
    "molecular_flow.transfer": {
        "molecular_flow.baselines",
        "molecular_flow.bill",
        "molecular_flow.coordinates",
        "molecular_flow.flow",
        "molecular_flow.frames",
        "molecular_flow.fresh",
        "molecular_flow.losses",
        "molecular_flow.metrics",
        "molecular_flow.objective",
        "molecular_flow.physics",
        "molecular_flow.scoring",
        "molecular_flow.simulate",
        "molecular_flow.works",
    },
}


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)


NAMES = {dotted(path) for path in FILES}


@cache
def imported(path: Path) -> frozenset[str]:
    """Dotted names that a file imports, at the top or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def tops(names: Iterable[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def room(name: str) -> str:
    """`jingle.codec` of `jingle.codec.model`; `jingle.losses`, at the top, is a room by itself."""
    return ".".join(name.split(".")[:2])


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_packages(path: Path):
    names, place = imported(path), path.relative_to(REPOSITORY).parts
    if place[0] == "experiments":
        assert not tops(names) & set(MODELS), "experiments never imports a model package"
    else:
        assert not tops(names) & (set(MODELS) - {place[0]}), "models never import each other"
        own = {n for n in names if n.startswith("experiments")}
        assert all(n.startswith("experiments.shared") for n in own), own
    if place[:2] == ("experiments", "shared"):
        assert not tops(names) & {"hydra", "omegaconf", "lightning", "pytorch_lightning"}
    if tops(names) & {"hydra", "omegaconf"}:
        assert place[0] == "experiments", "a model never sees a DictConfig"
        assert place[1] not in ("shared", "callbacks"), "these get plain values"
    if "encodec" in tops(names):
        assert place[:2] == ("jingle", "codec")
        assert place[2] in ("model.py", "seanet.py")
    if "openmm" in tops(names):
        assert place[0] == "molecular_flow"


@pytest.mark.parametrize("path", [p for p in FILES if len(p.parts) - len(REPOSITORY.parts) > 2])
def test_rooms(path: Path):
    here = room(dotted(path))
    package = here.split(".")[0]
    found = {room(name) for name in NAMES & imported(path) if tops({name}) == {package}}
    found -= {here, package}
    assert found <= MAY_IMPORT.get(here, set()), f"{here} may not import {sorted(found)}"


@pytest.mark.parametrize("package", MODELS)
def test_every_package_has_its_contract_files(package: str):
    assert {f"{package}.{name}" for name in CONTRACT} <= NAMES


def test_there_is_no_circle():
    TopologicalSorter({dotted(p): (NAMES & imported(p)) - {dotted(p)} for p in FILES}).prepare()
