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
from molecular_flow.physics import force_field, formats
from molecular_flow.physics.trajectory import read
from tests.molecular_flow.untrained import saved


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained flow with `init: stretch`, as a run would save it."""
    place = tmp_path_factory.mktemp("run") / "flow.ckpt"
    return saved(place, 300.0, 450.0, {"network": "mlp"})


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
         "--ladders", 4, "--json", table, "--equilibrate-ps", 0.1, "--turns")  # fmt: skip
    found = json.loads(table.read_text())
    kinds = ["flow", "plain", "MD, 300 K"]
    assert set(found) == {*kinds, *(f"{kind} + turns" for kind in kinds)}
    for name, outcome in found.items():
        assert 1600 <= outcome["energy_evaluations"] < 2100
        if not name.startswith("MD"):
            assert 0 <= outcome["acceptance"] <= 1
    # 8 replicas take 50 steps between attempts; the flow's swap costs 8 more energies.
    assert found["flow"]["energy_evaluations"] % 408 == 0
    assert found["plain"]["energy_evaluations"] % 400 == 0
    # A torsion move is one evaluation more, twice in 50 steps.
    assert found["MD, 300 K + turns"]["energy_evaluations"] % 8 == 0
    printed = capsys.readouterr().out
    assert "acceptance" in printed
    assert "times those of" in printed
    assert "was not counted" in printed  # nobody trained this map


@pytest.mark.parametrize("suffix", [".npz", ".dcd"])
def test_exchange_is_a_sampler(tmp_path, checkpoint, monkeypatch, capsys, suffix):
    out = tmp_path / f"run{suffix}"
    call(monkeypatch, "exchange", "--checkpoint", checkpoint, "--evaluations", 1600,
         "--ladders", 4, "--equilibrate-ps", 0.1, "--only-flow", "--out", out)  # fmt: skip
    assert "plain" not in capsys.readouterr().out
    molecule = infer.load(checkpoint).molecule
    assert (tmp_path / "run_surface.png").stat().st_size > 1000
    surface = np.loadtxt(tmp_path / "run_surface.csv", delimiter=",", skiprows=1)
    for rows in surface.reshape(2, 36 * 36, 4):  # of each temperature: shares sum to one
        shares = np.exp(-rows[:, 3])
        assert len({*rows[:, 0]}) == 1
        assert np.round(16 * shares / shares.sum(), 3).max() >= 1
        assert rows[:, 3].min() == 0
    if suffix == ".npz":
        found = read(out, molecule)
        assert found.positions.shape == (2, 4, 4, 23, 3)
        assert found.walkers.shape == (2, 4, 4)
        return
    for temperature in (300, 450):
        found = read(tmp_path / f"run_{temperature}K.dcd", molecule, temperature)
        assert found.positions.shape == (1, 1, 16, 23, 3)
    assert (tmp_path / "run_300K.pdb").is_file()


def test_transport_speaks_the_fields_formats(
    tmp_path, checkpoint, tiny_ladder, monkeypatch, capsys
):
    molecule = infer.load(checkpoint).molecule
    with np.load(tiny_ladder) as file:
        formats.save(tmp_path / "in.pdb", file["positions_nm"][0, 0], molecule)
    call(monkeypatch, "transport", tmp_path / "in.pdb", tmp_path / "out.xtc",
         "--checkpoint", checkpoint)  # fmt: skip
    assert "12 frames from 300 K to 450 K" in capsys.readouterr().out
    assert read(tmp_path / "out.xtc", molecule, 450.0).positions.shape == (1, 1, 12, 23, 3)
    rows = np.loadtxt(tmp_path / "out.csv", delimiter=",", skiprows=1)
    assert rows.shape == (12, 3)
    assert rows[:, 0].tolist() == list(range(12))
    call(monkeypatch, "transport", tmp_path / "in.pdb", tmp_path / "out.npz",
         "--checkpoint", checkpoint)  # fmt: skip
    with np.load(tmp_path / "out.npz") as file:
        assert np.abs(file["log_weights"].ravel() - rows[:, 2]).max() < 1e-3


def test_an_unknown_format_is_refused_before_anything_is_computed(
    tmp_path, tiny_ladder, monkeypatch, capsys
):
    with pytest.raises(SystemExit):
        call(monkeypatch, "transport", tiny_ladder, tmp_path / "x.gro", "--checkpoint", "none")
    assert "ending in .npz or .pdb" in capsys.readouterr().err


def test_a_checkpoint_names_no_force_field_that_is_opened(tmp_path, checkpoint):
    saved = torch.load(checkpoint, weights_only=True)
    trace = tmp_path / "trace"
    (tmp_path / "evil.xml").write_text(
        f"<ForceField><Script>open(r'{trace}', 'w').close()</Script></ForceField>"
    )
    names = [*force_field.FORCE_FIELD, str(tmp_path / "evil.xml")]
    saved["hyper_parameters"]["force_field"] = names
    torch.save(saved, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match="not opened because a checkpoint says so"):
        infer.load(tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match="--trust-scripts"):
        infer.load(tmp_path / "evil.ckpt", own_force_field=names)
    assert not trace.exists()
    (tmp_path / "mine.xml").write_bytes(force_field.shipped("amber99sbildn.xml").read_bytes())
    mine = [str(tmp_path / "mine.xml"), "implicit/obc1.xml"]
    assert infer.load(tmp_path / "evil.ckpt", own_force_field=mine).molecule.label == "AA"
    with pytest.raises(InputError, match="another molecule's"):
        infer.load(tmp_path / "evil.ckpt", own_force_field=["amber99sbildn.xml"])


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
        "files": checkpoints.files_of(dict(module.hparams)),
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
    assert "--ladders: expected a whole number from 2" in capsys.readouterr().err


def test_help():
    done = subprocess.run(
        [sys.executable, "-m", "molecular_flow.infer", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "exchange" in done.stdout
