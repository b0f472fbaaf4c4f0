"""What comes from elsewhere is data: it names nothing that is then called, opened or shown."""

import html
import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import experiments
from experiments.report import write_report
from experiments.running import again
from experiments.shared import checkpoints
from experiments.shared.errors import InputError
from tests.bad_input.good import make_untrained
from tests.bad_input.odd_runs import config_of
from tests.bad_input.shelf import Shelf
from tests.report_runs import make_run


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


def with_hyperparameter(shelf: Shelf, folder: Path, **changes) -> Path:
    run = shelf["molecular_flow_run"]
    saved = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    saved["hyper_parameters"] |= changes
    torch.save(saved, folder / "best.ckpt")
    return folder / "best.ckpt"


def executed(shelf: Shelf) -> bool:
    return (shelf["script_xml"].parent / "executed").exists()


def test_a_checkpoint_runs_no_force_field_script(shelf, tmp_path):
    from molecular_flow.infer import load

    path = with_hyperparameter(shelf, tmp_path, force_field=[str(shelf["script_xml"])])
    with pytest.raises(InputError, match="not opened because a checkpoint says so"):
        load(str(path))
    assert not executed(shelf)


def test_a_checkpoint_opens_no_file_but_the_one_of_its_training(shelf, tmp_path):
    from molecular_flow.module import MolecularFlow

    pdb = shelf["molecule_pdb"]
    path = with_hyperparameter(shelf, tmp_path, pdb=str(pdb))
    with pytest.raises(InputError, match=f"names the file {pdb}"):
        checkpoints.load(MolecularFlow, path)
    saved = torch.load(path, weights_only=True)
    saved["files"] = checkpoints.files_of(saved["hyper_parameters"])
    torch.save(saved, path)
    assert checkpoints.load(MolecularFlow, path).molecule.label == pdb.stem
    pdb.write_text(pdb.read_text() + "REMARK changed\n")
    with pytest.raises(InputError, match="not the one of training"):
        checkpoints.load(MolecularFlow, path)


@pytest.mark.parametrize("key", ["force_field", "pdb"])
def test_a_stranger_s_run_opens_no_file_in_load_and_evaluate(shelf, tmp_path, key: str):
    from experiments.evaluate import evaluate

    value = [str(shelf["script_xml"])] if key == "force_field" else str(shelf["script_xml"])
    run = config_of("molecular_flow", {f"data.{key}": value, f"model.{key}": value})(
        shelf, tmp_path
    )
    with pytest.raises(InputError, match="names the file"):
        experiments.load(run)
    with pytest.raises(InputError, match="names the file"):
        evaluate(run, "test", {}, "x")
    assert not executed(shelf)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"_target_": "os.mkdir", "path": "executed"}},
        {"model.optimizer": {"_target_": "os.mkdir", "path": "executed"}},
        {"data.more": {"_target_": "subprocess.run", "args": ["mkdir", "executed"]}},
        {"model.optimizer._target_": "torch.hub.load"},
        {"model.optimizer._target_": "torch.nn.modules.module.torch.hub.load"},
        {"model.optimizer": "${more}", "more": {"_target_": "os.mkdir", "path": "executed"}},
        {"model.optimizer": "${oc.create:{_target_: os.mkdir, path: executed}}"},
        {"model.optimizer": "${oc.decode:'{_target_: os.mkdir, path: executed}'}"},
        {"model.optimizer": "${${more}:{_target_: os.mkdir, path: executed}}", "more": "oc.create"},
        {
            "model.optimizer": "${m.${seed}}",
            "m": {"42": {"_target_": "os.mkdir", "path": "executed"}},
        },
        {"model._target_": "antigravity.Browser"},
        {"data.more": {"_target_": "pip.__main__.main"}},
    ],
)
def test_a_stranger_s_run_calls_nothing(shelf, tmp_path, monkeypatch, changes):
    run = config_of("multitrack", changes)(shelf, tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"not called because a run's folder says so|expected"):
        experiments.load(run)
    assert not (tmp_path / "executed").exists()
    assert "antigravity" not in sys.modules


def test_a_stranger_s_run_is_resumed_with_no_words_that_call_something(tmp_path):
    run = make_untrained("multitrack", tmp_path)
    words = ["+exp=smoke/multitrack", "+callbacks.x={_target_: os.system, command: ls}"]
    OmegaConf.save(words, run / ".hydra" / "overrides.yaml")
    with pytest.raises(InputError, match=r"os\.system: not called"):
        again.resumed([f"resume={run}"])
    hidden = '+callbacks.x=${oc.create:"{${name}_: os.system, command: ls}"}'
    OmegaConf.save(["+exp=smoke/multitrack", "name=_target", hidden], run / ".hydra/overrides.yaml")
    with pytest.raises(InputError, match="expected plain interpolations"):
        again.resumed([f"resume={run}"])
    stopping = (
        "+callbacks.x={_target_: lightning.pytorch.callbacks.EarlyStopping, "
        "monitor: ${objective.name}}"
    )
    OmegaConf.save(["+exp=smoke/multitrack", stopping], run / ".hydra" / "overrides.yaml")
    assert stopping in again.resumed([f"resume={run}"])


def test_a_pickle_in_a_checkpoint_is_not_executed(shelf):
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        checkpoints.read(shelf["pickle_ckpt"])
    assert not (shelf["pickle_ckpt"].parent / "executed").exists()


def test_a_report_shows_neither_other_files_nor_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"private bytes")
    run = make_run(tmp_path / "run<script>alert(1)", name="<img src=x onerror=alert(2)>")
    (run / "figures").mkdir()
    (run / "figures" / "mine.png").symlink_to(secret)
    os.mkfifo(run / "figures" / "pipe.png")
    config = run / ".hydra" / "config.yaml"
    more = "chain: ${leak}\nleak: ${oc.env:SECRET_TOKEN}\nwithin: a ${oc.env:SECRET_TOKEN} b\n"
    config.write_text(config.read_text() + more)
    page = write_report(run).read_text()
    assert "hunter2" not in page
    assert "${oc.env:SECRET_TOKEN}" in page
    assert "cHJpdmF0ZSBieXRlcw" not in page  # base64 of the private bytes
    assert "mine.png is no file of the run's folder" in html.unescape(page)
    written = re.sub(r"^(`{3,})\n.*?\n\1$", "", (run / "report.md").read_text(), flags=re.M | re.S)
    for tag in ("<script>alert", "<img src=x"):
        assert tag not in page
        assert tag not in written  # within a block of code nothing is a tag


def test_a_report_writes_through_no_link(tmp_path):
    run, elsewhere = make_run(tmp_path / "run"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (run / "figures").symlink_to(elsewhere)
    with pytest.raises(InputError, match="leads out of the folder"):
        write_report(run)
    assert not list(elsewhere.iterdir())
    (run / "figures").unlink()
    (run / "report.md").symlink_to(tmp_path / "kept.txt")
    (tmp_path / "kept.txt").write_text("mine")
    write_report(run)
    assert (tmp_path / "kept.txt").read_text() == "mine"


def test_a_report_says_what_it_could_not_read(tmp_path):
    run = make_run(tmp_path / "run")
    summary = json.loads((run / "summary.json").read_text())
    damaged = {"metrics": [1], "steps": "x", "objective": {"best": "x"}, "baselines": 3}
    (run / "summary.json").write_text(json.dumps(summary | damaged))
    page = write_report(run).read_text().replace("<wbr>", "")
    for part in ("metrics is no mapping", "steps cannot be read", "objective.best cannot"):
        assert part in page
    assert "1,234,567" in page  # what is whole is there


def test_checkpoint_sizes_are_bounded_before_anything_is_allocated(shelf, tmp_path):
    from radiodiff.module import RadioDiffVAE

    saved = torch.load(shelf["radiodiff_vae_run"] / "checkpoints" / "best.ckpt", weights_only=True)
    saved["hyper_parameters"]["network"]["width"] = 2**16
    torch.save(saved, tmp_path / "best.ckpt")
    with pytest.raises(InputError, match="its sizes ask for more than"):
        checkpoints.load(RadioDiffVAE, tmp_path / "best.ckpt")
