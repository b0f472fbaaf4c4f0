"""The command line moves files and exchanges replicas, and refuses what does not fit."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from experiments.shared import checkpoints
from experiments.shared.errors import InputError
from molecular_flow import infer
from molecular_flow.module import MolecularFlow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained flow with `init: stretch`, as a run would save it."""
    options = {
        "source": 300.0, "target": 450.0, "sequence": "AA",
        "loss_weights": {"forward": 1.0, "inverse": 1.0, "variance": 0.0},
        "flow": {"network": "mlp", "width": 8, "bins": 4, "stiff_couplings": 0},
    }  # fmt: skip
    module = MolecularFlow(**options)
    saved = {
        "class": checkpoints.class_name(MolecularFlow),
        "hyper_parameters": options,
        "state_dict": module.state_dict(),
    }
    module.on_save_checkpoint(saved)
    path = tmp_path_factory.mktemp("run") / "flow.ckpt"
    torch.save(saved, path)
    return path


def call(monkeypatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["infer", *map(str, words)])
    infer.cli(infer.main)


def test_transport_there_and_back(tmp_path, checkpoint, tiny_ladder, monkeypatch, capsys):
    out, back = tmp_path / "out.npz", tmp_path / "back.npz"
    call(monkeypatch, "transport", tiny_ladder, out, "--checkpoint", checkpoint)
    assert "96 frames from 300 K to 450 K" in capsys.readouterr().out
    call(monkeypatch, "transport", out, back, "--checkpoint", checkpoint, "--inverse")
    with np.load(tiny_ladder) as start, np.load(out) as there, np.load(back) as home:
        assert there["temperatures_kelvin"].tolist() == [450.0]
        assert np.abs(home["positions_nm"][0] - start["positions_nm"][0]).max() < 1e-4
        assert np.abs(there["positions_nm"][0] - start["positions_nm"][0]).max() > 1e-3
        assert np.abs(there["log_weights"] + home["log_weights"]).max() < 0.1


def test_exchange_prints_both_kinds(tmp_path, checkpoint, monkeypatch, capsys):
    table = tmp_path / "table.json"
    call(monkeypatch, "exchange", "--checkpoint", checkpoint, "--evaluations", 1600,
         "--ladders", 4, "--json", table, "--equilibrate-ps", 0.1)  # fmt: skip
    found = json.loads(table.read_text())
    assert set(found) == {"flow", "plain"}
    for outcome in found.values():
        assert 1600 <= outcome["energy_evaluations"] < 2100
        assert 0 <= outcome["acceptance"] <= 1
    # 8 replicas take 50 steps between attempts; the flow's swap costs 8 more energies.
    assert found["flow"]["energy_evaluations"] % 408 == 0
    assert found["plain"]["energy_evaluations"] % 400 == 0
    assert "acceptance" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--temperatures", 300, 670), "train that pair"),
        (("--inverse",), "expected a temperature of"),
    ],
)
def test_wrong_pair(tmp_path, checkpoint, tiny_ladder, monkeypatch, capsys, words, message):
    cold = tmp_path / "cold.npz"
    with np.load(tiny_ladder) as file:
        np.savez(cold, positions_nm=file["positions_nm"][:1], temperatures_kelvin=[300.0])
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, "transport", cold, tmp_path / "x.npz", "--checkpoint", checkpoint, *words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_another_molecule_is_refused(tmp_path, checkpoint, monkeypatch, capsys):
    other = tmp_path / "other.npz"
    np.savez(other, positions_nm=np.zeros((1, 1, 2, 17, 3)), temperatures_kelvin=[300.0])
    with pytest.raises(SystemExit):
        call(monkeypatch, "transport", other, tmp_path / "x.npz", "--checkpoint", checkpoint)
    assert "23, 3) of AA" in capsys.readouterr().err


def test_a_checkpoint_of_a_pdb_file_loads_from_anywhere(tmp_path, capped_alanine, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    (here / "ala.pdb").write_bytes(capped_alanine.read_bytes())
    monkeypatch.chdir(here)
    module = MolecularFlow(
        source=300.0, target=450.0, sequence=None, pdb="ala.pdb",
        loss_weights={"forward": 1.0, "inverse": 1.0, "variance": 0.0},
        flow={"network": "mlp", "width": 8, "bins": 4, "stiff_couplings": 0},
    )  # fmt: skip
    saved = {
        "class": checkpoints.class_name(MolecularFlow),
        "hyper_parameters": dict(module.hparams),
        "state_dict": module.state_dict(),
    }
    module.on_save_checkpoint(saved)
    torch.save(saved, tmp_path / "flow.ckpt")
    monkeypatch.chdir(there)
    assert infer.load(tmp_path / "flow.ckpt").molecule == module.molecule
    saved["hyper_parameters"]["pdb"] = str(tmp_path / "gone" / "ala.pdb")
    torch.save(saved, tmp_path / "flow.ckpt")
    with pytest.raises(InputError, match="--pdb"):
        infer.load(tmp_path / "flow.ckpt")
    found = infer.load(tmp_path / "flow.ckpt", pdb=here / "ala.pdb")
    assert found.molecule.fingerprint == module.molecule.fingerprint


def test_one_ladder_tells_no_error(checkpoint, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        call(monkeypatch, "exchange", "--checkpoint", checkpoint, "--ladders", 1)
    assert "--ladders of 2 or more" in capsys.readouterr().err


def test_help():
    done = subprocess.run(
        [sys.executable, "-m", "molecular_flow.infer", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "exchange" in done.stdout
