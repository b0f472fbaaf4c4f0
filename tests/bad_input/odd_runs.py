"""Runs and checkpoints that are damaged in one place each: a table of places and wrong values."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from tests.bad_input.contract import Case
from tests.bad_input.shelf import MAKERS, Shelf
from tests.report_runs import make_run

WRONG = ("x", 3, None, [1], {"a": {"b": "c"}}, [], True, float("nan"), "\x00\n|<script>")
FIELDS = (
    "name status error traceback objective metrics baselines loss_weights parameters data problems "
    "throughput duration_s steps epochs seed versions command accepted_changes version started "
    "host init_from git"
).split()
INNER = {
    "objective": {"name": 3, "mode": [], "best": "x", "best_step": "x", "last": {}},
    "data": {"notes": 3, "skipped": {}, "codec": [], "source": {}, "hash": []},
    "throughput": {"samples_per_s": "x", "step_s_median": [], "peak_rss_mb": "x"},
    "parameters": {"total": "x", "part": [], "gate": {"deep": {}}},
    "metrics": {"val/error": "x", "test/error": None, "test/x": [], 3: 4},
    "baselines": {"mean": 3, "other": {"error": "x"}, "third": []},
    "accepted_changes": [3, {"key": 1}, []],
}
CONFIGS = {
    "list": "[1, 2]", "text": "hello", "cut": "a: {b: [", "number": "3",
    "objective": "objective: 3",
    "targets": "targets: [1]", "target": "targets: {val/error: {a: 1}}", "loss": "loss: hello",
    "watch": "watch: [a]", "name": "name: {a: b}", "cycle": "a: ${b}\nb: ${a}",
    "binary": "\x01\x02", "missing": "name: ???", "tag": "a: !!python/object/apply:os.system [ls]",
    "interpolation": "name: ${oc.env:HOME}", "weights": "loss: {a: x, b: [1]}",
}  # fmt: skip
# What a run of the report's own tests may have in its place.
EVENTS = {"empty": b"", "noise": b"\x93" * 999, "text": b"hello\n" * 99}


def of_summary(key: str, value: object):
    def make(shelf: Shelf, place: Path) -> Path:
        run = make_run(place / "run")
        file = run / "summary.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
        return run

    return make


def of_file(name: str, content: bytes):
    def make(shelf: Shelf, place: Path) -> Path:
        run = make_run(place / "run")
        file = next(run.glob(name))
        file.write_bytes(content)
        return run

    return make


def of_sweep(*changes: dict):
    def make(shelf: Shelf, place: Path) -> Path:
        for number, change in enumerate(changes):
            run = make_run(place / "sweep" / f"{number}_run", weight=number)
            file = run / "summary.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | change))
        return place / "sweep"

    return make


def damaged() -> Iterator[tuple[str, Any]]:
    """{name of a thing: its maker} of run folders that a report has to cope with."""
    for key in FIELDS:
        for number, value in enumerate(WRONG):
            yield f"summary {key} {number}", of_summary(key, value)
    for key, inner in INNER.items():
        yield f"summary {key} inner", of_summary(key, inner)
    for name, text in CONFIGS.items():
        yield f"config {name}", of_file(".hydra/config.yaml", text.encode())
        yield f"overrides {name}", of_file(".hydra/overrides.yaml", text.encode())
    for name, content in EVENTS.items():
        yield f"events {name}", of_file("tb/events*", content)
        yield f"summary is {name}", of_file("summary.json", content)
    yield "summary deep", of_file("summary.json", b"[" * 100_000)
    yield "summary bare", of_file("summary.json", b"{}")
    yield "config deep", of_file(".hydra/config.yaml", b"[" * 100_000)
    yield "config aliases", of_file(".hydra/config.yaml", aliases())
    for key in ("objective", "metrics", "error", "status", "duration_s"):
        changes = [{}, *({key: value} for value in WRONG)]
        yield f"sweep {key}", of_sweep(*changes)


def aliases() -> bytes:
    from tests.bad_input.shelf import _aliases

    folder = Path(__import__("tempfile").mkdtemp())
    content = _aliases(folder, ".yaml").read_bytes()
    shutil.rmtree(folder)
    return content


# Of these, and of nothing else, the pictures are drawn in earnest.
DRAWN = ("summary deep", "config deep", "summary metrics inner", "events noise", "sweep objective")


def report_cases() -> Iterator[Case]:
    for name, make in damaged():
        thing = name.replace(" ", "_")
        MAKERS[thing] = make
        words = (f"{{{thing}}}",)
        yield Case(name, "experiments.report", words, may_pass=True, drawn=name in DRAWN)


# ---- checkpoints: what stands in their hyperparameters is data from outside

SIZES = (10**9, -1, 0, "x", None, float("nan"), [], {})
COMMANDS = {
    "creative_agent": ("jingle.infer", ("--input", "{song_wav}", "--target", "{target_wav}",
                       "--output", "{out}/new.wav", "--seconds=0.5", "--checkpoint")),
    "codec": ("jingle.codec.__main__", ("export", "{out}/new.safetensors")),
    "radiodiff_vae": ("radiodiff.infer", ("sample", "{out}/new", "--count=1", "--size=32",
                      "--checkpoint")),
    "radio_map": ("radiodiff.infer", ("predict", "{plan_png}", "{out}/new", "--tx", "3", "3",
                  "--checkpoint")),
    "multitrack": ("multitrack.infer", ("{edit_xml}", "{out}/new.xml", "--checkpoint")),
    "molecular_flow": ("molecular_flow.infer", ("transport", "{frames_npz}", "{out}/new.npz",
                       "--checkpoint")),
}  # fmt: skip
# The hyperparameters that are worth a wrong value, by dotted key.
KEYS = {
    "creative_agent": ("loss_weights", "agent", "compositional.width", "compositional.depth",
                       "recomposition.widths", "stages.widths", "stages.depth", "heard", "prior"),
    "codec": ("architecture.n_filters", "architecture.lstm", "architecture.n_residual_layers",
              "architecture.noise_bands"),
    "radiodiff_vae": ("network.width", "network.blocks", "discriminator.width", "loss_weights",
                      "disc_start"),
    "radio_map": ("network.widths", "network.groups", "loss_weights", "counts"),
    "multitrack": ("sizes.width", "sizes.layers", "sizes.heads", "sizes.feedforward",
                   "loss_weights", "terms"),
    "molecular_flow": ("flow.width", "flow.bins", "flow.network", "source", "target", "sequence",
                       "pdb", "force_field", "loss_weights"),
}  # fmt: skip


def of_checkpoint(experiment: str, key: str, value: object):
    """The checkpoint of an untrained run, with one hyperparameter set otherwise."""

    def make(shelf: Shelf, place: Path) -> Path:
        saved = torch.load(shelf[f"{experiment}_run"] / "checkpoints" / "best.ckpt")
        if not key:
            saved["hyper_parameters"] = value
        else:
            at = saved["hyper_parameters"]
            *inner, last = key.split(".")
            for name in inner:
                at = at.setdefault(name, {}) if isinstance(at.get(name), dict | None) else {}
            at[last] = value
        torch.save(saved, place / "best.ckpt")
        return place / "best.ckpt"

    return make


def checkpoint_cases() -> Iterator[Case]:
    for experiment, (command, words) in COMMANDS.items():
        values = [("foo", 1), ("", [1]), ("", None), ("", {}), ("", "text"), ("", {3: 4})]
        values += [(key, value) for key in KEYS[experiment] for value in SIZES]
        for number, (key, value) in enumerate(values):
            thing = f"{experiment}_checkpoint_{number}"
            MAKERS[thing] = of_checkpoint(experiment, key, value)
            typed = (*words, f"{{{thing}}}")
            if command == "jingle.codec.__main__":
                typed = (words[0], f"{{{thing}}}", words[1])
            name = f"{experiment} {key or 'hyper_parameters'}={value!r}"
            yield Case(name, command, typed, may_pass=True)


def of_architecture(text: str):
    def make(shelf: Shelf, place: Path) -> Path:
        from safetensors.torch import safe_open, save_file

        with safe_open(shelf["codec_safetensors"], "pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            metadata = stream.metadata()
        save_file(tensors, place / "c.safetensors", metadata | {"architecture": text})
        return place / "c.safetensors"

    return make


ARCHITECTURES = (
    "", "no json", "[]", "3", "null", "{}", '{"foo": 1}', '{"n_filters": 1000000000}',
    '{"n_filters": -1}', '{"n_filters": "x"}', '{"lstm": 1000000000}', '{"n_filters": null}',
    '{"n_residual_layers": 1000000000}', '{"noise_bands": -3}', '{"activation": "os.system"}',
    '{"activation": "__class__"}', '{"norm": 3}', "[" * 100_000,
)  # fmt: skip


def architecture_cases() -> Iterator[Case]:
    for number, text in enumerate(ARCHITECTURES):
        MAKERS[f"architecture_{number}"] = of_architecture(text)
        words = ("--codec", f"{{architecture_{number}}}", "--songs=1", "--seconds=1")
        yield Case(f"architecture {text[:30]}", "jingle.codec.quality", words,
                   (f"{{architecture_{number}}}",))  # fmt: skip


def config_of(experiment: str, changes: dict):
    """An untrained run whose own configuration is changed: a stranger's."""

    def make(shelf: Shelf, place: Path) -> Path:
        shutil.copytree(shelf[f"{experiment}_run"], place / "run")
        config: Any = OmegaConf.load(place / "run" / ".hydra" / "config.yaml")
        for key, value in changes.items():
            OmegaConf.update(config, key, value, force_add=True)
        OmegaConf.save(config, place / "run" / ".hydra" / "config.yaml")
        return place / "run"

    return make
