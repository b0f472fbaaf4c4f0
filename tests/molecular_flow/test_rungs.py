"""A ladder's map serves any pair; exchange takes the fewest rungs; MBAR is pymbar's."""

import json
import sys
from functools import partial

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from molecular_flow import exchange, infer, rungs
from molecular_flow.bill import Bill
from molecular_flow.data import MolecularData
from molecular_flow.metrics import multistate
from molecular_flow.module import MolecularFlow
from molecular_flow.physics.dynamics import Ladders
from molecular_flow.simulate import Plan, simulate, stretch
from tests.molecular_flow.untrained import saved

LADDER = (300.0, 330.0, 370.0)


@pytest.fixture(scope="module")
def ladder(tmp_path_factory):
    """Eight ladders of 10 frames at three temperatures."""
    path = tmp_path_factory.mktemp("rungs") / "ladder.npz"
    simulate(Plan(temperatures=LADDER, ladders=8, frames=10, spacing_ps=0.04, equilibrate_ps=0.2),
             path)  # fmt: skip
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained map of a ladder, as a run would save it."""
    place = tmp_path_factory.mktemp("run") / "flow.ckpt"
    return saved(place, LADDER[0], LADDER[-1], pairs="all")


def test_batches_come_from_all_pairs_and_name_theirs(ladder):
    data = MolecularData(root=str(ladder), source=300.0, target=370.0, pairs="all", batch_size=6,
                         batches_per_epoch=40)  # fmt: skip
    data.setup()
    table, seen = data._tables["train"], set()
    names = {300.0: "source", 330.0: "330K", 370.0: "target"}
    for batch in data.train_dataloader():
        pair = tuple(batch["pair"].tolist())
        seen.add(pair)
        for end, temperature in zip(("source", "target"), pair, strict=True):
            known = table[f"{names[temperature]}_energy"]
            assert torch.isin(batch[f"{end}_energy"], known).all()
            assert batch[f"{end}_gradient"].shape == (6, 63)
    assert seen == {(300.0, 330.0), (300.0, 370.0), (330.0, 370.0)}
    assert list(data.statistics()) == list(LADDER)
    assert "pair" not in next(iter(data.val_dataloader()))


def test_a_ladder_is_trained_and_every_pair_is_scored(ladder, tmp_path):
    import lightning as L

    module = MolecularFlow(
        source=300.0, target=370.0, pairs="all", sequence="AA",
        loss_weights={"forward": 1.0, "inverse": 1.0, "variance": 0.0},
        flow={"width": 8, "bins": 4}, optimizer=partial(torch.optim.AdamW, lr=1e-3),
    )  # fmt: skip
    data = MolecularData(root=str(ladder), source=300.0, target=370.0, pairs="all", batch_size=8)
    trainer = L.Trainer(max_steps=3, accelerator="cpu", logger=False, default_root_dir=tmp_path,
                        enable_checkpointing=False, enable_progress_bar=False,
                        enable_model_summary=False)  # fmt: skip
    trainer.fit(module, datamodule=data)
    (found,) = trainer.test(module, datamodule=data, verbose=False)
    for pair in ("300_330", "300_370", "330_370"):
        assert 0 < found[f"test/acceptance_{pair}"] <= 1
    assert found["test/plain_300_370"] < found["test/plain_300_330"]
    assert found["test/acceptance_300_370"] == pytest.approx(found["test/acceptance"], abs=1e-4)
    assert "ladder" in module.figures()


def test_the_fewest_rungs():
    steps = torch.tensor([[1.0, 0.9, 0.6, 0.1], [0.9, 1.0, 0.9, 0.7], [0.6, 0.9, 1.0, 0.9],
                          [0.1, 0.7, 0.9, 1.0]])  # fmt: skip
    assert rungs.fewest(steps, 0.05) == [0, 3]
    assert rungs.fewest(steps, 0.5) == [0, 1, 3]  # worst 0.7; by 2 it would be 0.6
    assert rungs.fewest(steps, 0.8) == [0, 1, 2, 3]
    with pytest.raises(InputError, match=r"at best 0\.90"):
        rungs.fewest(steps, 0.95)


def test_without_a_map_a_mapped_ladder_is_plain_exchange(dipeptide):
    """Swaps of three rungs through the identity are plain swaps, and Bennett's sum is MBAR's."""

    def identity(x, source, target, inverse):
        return x, torch.zeros(len(x))

    runs = [Ladders(dipeptide, list(LADDER), 6, 0, transport=t) for t in (identity, None)]
    for run in runs:
        run.turns = False
        run.advance(100)
    mapped, plain = runs
    assert mapped.counts.swap_attempts.tolist() == plain.counts.swap_attempts.tolist() == [6, 6]
    assert torch.equal(mapped.walkers, plain.walkers)
    assert (mapped.x - plain.x).abs().max() < 1e-4
    for one, two in zip(mapped.works, plain.works, strict=True):
        assert (one[0].sum(0) - two[0].sum(0)).abs().max() < 1e-3


def test_exchange_over_the_fewest_rungs(checkpoint, tmp_path, monkeypatch, capsys):
    table = tmp_path / "table.json"
    words = ["exchange", "--checkpoint", checkpoint, "--temperatures", 300, 310, 330, 370,
             "--acceptance", 0.3, "--ladders", 6, "--evaluations", 2000, "--equilibrate-ps", 0.2,
             "--json", table, "--out", tmp_path / "run.npz"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["infer", *map(str, words)])
    infer.cli(infer.main)
    printed = capsys.readouterr().out
    assert "with the map" in printed
    assert "for each second" in printed
    found = json.loads(table.read_text())
    assert found["flow"]["acceptance"] > found["plain"]["acceptance"]
    assert found["flow"]["seconds"] > 0
    with np.load(tmp_path / "run.npz") as file:
        assert set(file["temperatures_kelvin"]) <= {300.0, 310.0, 330.0, 370.0}
        assert len(file["temperatures_kelvin"]) < 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--temperatures", 300, 500), "from 300 to 370 K"),
        (("--temperatures", 300, 370, "--acceptance", 0.5), "three or more"),
        (("--temperatures", 300, 330, 370, "--acceptance", 0.9999), "a lower --acceptance"),
    ],
)
def test_what_a_ladder_cannot_do(checkpoint, monkeypatch, capsys, words, message):
    words = (
        "exchange",
        "--checkpoint",
        checkpoint,
        "--equilibrate-ps",
        0.1,
        "--ladders",
        4,
        *words,
    )
    monkeypatch.setattr(sys, "argv", ["infer", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        infer.cli(infer.main)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_from_when_on_a_map_pays():
    """Its own evaluations counted, at that budget it has made as many samples as its rival."""
    bill = Bill(data=1_500_000, training=500_000, seconds=60.0)
    said = bill.line(ours=3000.0, rival=1000.0)
    assert "pays from 3 million" in said  # (3 - 2) * 3000 = 3 * 1000
    assert "1.5 million evaluations of data" in said
    assert "does not pay" in bill.line(ours=900.0, rival=1000.0)
    assert "not counted" in Bill().line(ours=2.0, rival=1.0)


def test_evaluations_of_a_plan_are_those_of_its_simulation(dipeptide):
    plan = Plan(temperatures=LADDER, ladders=3, frames=6, spacing_ps=0.04, equilibrate_ps=0.1)
    mapped = stretch(dipeptide, torch.device("cpu"))
    ladders = Ladders(dipeptide, list(LADDER), 3, 0, transport=mapped)
    ladders.equilibrate(50)
    ladders.advance(6 * 20)
    assert plan.evaluations() == ladders.evaluations


class TestMBAR:
    """Harmonic oscillators of D modes, whose free energies are known: f = D / 2 ln beta."""

    betas = (0.4, 0.3, 0.22)

    def energies(self, seed: int, count: int = 400, modes: int = 12) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        return [(rng.normal(size=(count, modes)) ** 2).sum(1) / (2 * b) for b in self.betas]

    @pytest.mark.filterwarnings("ignore:Unknown solver options")
    def test_it_is_pymbars(self):
        pymbar = pytest.importorskip("pymbar")
        energies = self.energies(0)
        pooled = np.concatenate(energies)
        reduced = np.array(self.betas)[:, None] * pooled
        theirs = pymbar.MBAR(reduced, [len(e) for e in energies]).compute_free_energy_differences()
        ours = multistate(energies, list(self.betas))
        assert np.abs(ours - theirs["Delta_f"][0]).max() < 1e-6

    def test_errors_hold(self):
        """The truth lies within two standard errors in 95 % of repeats, nearly."""
        kelvin = [1 / (8.314462618e-3 * b) for b in self.betas]
        truth = 6 * np.log(self.betas[-1] / self.betas[0])
        inside = 0
        for seed in range(60):
            rows = [torch.tensor(e).view(16, -1) for e in self.energies(seed)]
            free, error = exchange.free_energy([], torch.stack(rows), kelvin, False)
            inside += abs(free - truth) < 2 * error
        assert inside >= 50  # of 60; with a normal spread of eight groups 92 % are expected
