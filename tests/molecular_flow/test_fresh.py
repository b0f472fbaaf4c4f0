"""Fresh frames are of the right temperatures, never twice the same, and go on after a stop."""

from functools import partial

import lightning as L
import pytest
import torch

from experiments.shared.errors import InputError
from molecular_flow.coordinates.internal import restore
from molecular_flow.data import MolecularData
from molecular_flow.module import MolecularFlow
from molecular_flow.physics.energy import TorchEnergy
from tests.suite import command

WEIGHTS = {"forward": 1.0, "inverse": 1.0, "variance": 0.0}


def data(root, **options) -> MolecularData:
    values = {"batch_size": 4, "batches_per_epoch": 3, "fresh": {"blocks": 2, "steps": 5}}
    return MolecularData(root=str(root), **(values | options))


def batches(frames: MolecularData) -> list[dict[str, torch.Tensor]]:
    frames.setup()
    return list(frames.train_dataloader())


def test_a_batch_holds_frames_with_their_energies_and_gradients(tiny_ladder):
    frames = data(tiny_ladder)
    batch, *_ = batches(frames)
    energy = TorchEnergy(frames.molecule).double()
    assert {key: list(value.shape) for key, value in batch.items()} == {
        "source": [4, 63], "source_energy": [4], "source_labels": [4, 23],
        "source_gradient": [4, 63],
        "target": [4, 63], "target_energy": [4], "target_labels": [4, 23],
        "target_gradient": [4, 63],
    }  # fmt: skip
    for name in ("source", "target"):
        z = batch[name].double().requires_grad_(True)
        x = frames.coordinates.double().decode(z)
        u = energy(restore(x, batch[f"{name}_labels"]))
        (gradient,) = torch.autograd.grad(u.sum(), z)
        assert (u - batch[f"{name}_energy"]).abs().max() < 0.02
        assert (gradient - batch[f"{name}_gradient"]).abs().mean() < 1e-3 * gradient.abs().mean()


def test_no_frame_comes_twice_and_the_seed_decides_all(tiny_ladder):
    first, again = batches(data(tiny_ladder)), batches(data(tiny_ladder))
    other = batches(data(tiny_ladder, seed=1))
    seen = torch.cat([batch["source"] for batch in first])
    assert len(seen.unique(dim=0)) == 12
    assert torch.equal(seen, torch.cat([batch["source"] for batch in again]))
    assert not torch.equal(seen, torch.cat([batch["source"] for batch in other]))
    recorded = data(tiny_ladder, fresh=None)
    recorded.setup()
    known = recorded.statistics()[300.0]
    assert torch.cdist(seen, known).min() > 1e-4


class Save(L.Callback):
    """Keeps a checkpoint of each epoch's end."""

    def __init__(self, path):
        self.path = path

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.save_checkpoint(self.path)


def fit(frames: MolecularData, epochs: int, path, resume=None) -> torch.Tensor:
    torch.manual_seed(0)
    module = MolecularFlow(
        source=300.0, target=450.0, loss_weights=WEIGHTS,
        flow={"network": "mlp", "width": 8, "bins": 4, "stiff_couplings": 0},
        optimizer=partial(torch.optim.AdamW, lr=1e-3),
    )  # fmt: skip
    trainer = L.Trainer(
        default_root_dir=path, accelerator="cpu", logger=False, max_epochs=epochs,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        limit_val_batches=0, callbacks=[Save(path / "x.ckpt")],
    )  # fmt: skip
    trainer.fit(module, datamodule=frames, ckpt_path=resume, weights_only=True)
    return torch.cat([p.detach().flatten() for p in module.flow.parameters()])


def test_a_resumed_run_draws_the_frames_that_it_would_have_drawn(tmp_path, tiny_ladder):
    whole = fit(data(tiny_ladder), 2, tmp_path / "whole")
    fit(data(tiny_ladder), 1, tmp_path / "first")
    stopped = tmp_path / "first" / "x.ckpt"
    assert torch.equal(whole, fit(data(tiny_ladder), 2, tmp_path / "second", stopped))
    with pytest.raises(InputError, match=r"fresh\.blocks"):
        fit(data(tiny_ladder, fresh={"blocks": 1, "steps": 5}), 2, tmp_path / "other", stopped)


@pytest.mark.parametrize("fresh", [{"blocks": 2}, {"blocks": 0, "steps": 5}, {"block": 1}])
def test_wrong_options_are_named(tiny_ladder, fresh):
    with pytest.raises(InputError, match=r"data\.fresh"):
        data(tiny_ladder, fresh=fresh)


@pytest.mark.slow
def test_mean_energies_stay_those_of_the_recorded_ladders(tmp_path, tiny_ladder):
    """Over 30 ps the means of both temperatures stay within five standard errors."""
    frames = data(
        tiny_ladder, batch_size=64, batches_per_epoch=60, fresh={"blocks": 1, "steps": 125}
    )
    drawn = batches(frames)[10:]
    for name, expected in (("source", -522.1), ("target", -482.2)):
        means = torch.stack([batch[f"{name}_energy"] for batch in drawn]).mean(0)  # by replica
        error = means.std() / len(means) ** 0.5
        assert abs(means.mean() - expected) < 5 * error
        assert error < 1.0


@pytest.mark.slow
def test_processes_simulate_frames_of_their_own_and_go_on_with_them(tmp_path):
    words = ("+exp=smoke/molecular_flow_fresh", "strategy=cpu_ddp2", "test=false",
             f"paths.data={tmp_path}")  # fmt: skip

    def fresh(epochs: int) -> list[dict]:
        done = command(*words, f"hydra.run.dir={tmp_path / 'run'}", f"trainer.max_epochs={epochs}")
        assert done.returncode == 0, done.stderr
        last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
        return last["MolecularData"]["fresh"]["ranks"]

    before = fresh(1)
    after = fresh(2)
    assert [rank["drawn"] for rank in after] == [2 * rank["drawn"] for rank in before]
    for one, two in zip(before, after, strict=True):
        assert [b["steps"] for b in two["blocks"]] == [2 * b["steps"] for b in one["blocks"]]
    first, second = (rank["blocks"][0]["x"] for rank in after)
    assert not torch.equal(first, second)
