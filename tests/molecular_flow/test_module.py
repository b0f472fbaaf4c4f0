"""The module starts where the theory says, learns, logs, and comes back from a checkpoint."""

from functools import partial

import lightning as L
import pytest
import torch

from experiments.shared import checkpoints
from experiments.shared.errors import InputError
from experiments.shared.schedules import warmup_cosine
from molecular_flow.data import MolecularData
from molecular_flow.module import MolecularFlow
from molecular_flow.simulate import Plan, simulate
from molecular_flow.works import ROOM

WEIGHTS = {"forward": 1.0, "inverse": 1.0, "variance": 0.0}


def make(**options) -> MolecularFlow:
    torch.manual_seed(0)
    flow = {"network": "mlp", "width": 16, "bins": 4, "stiff_couplings": 0}
    values = {"source": 300.0, "target": 450.0, "loss_weights": WEIGHTS, "flow": flow}
    return MolecularFlow(**(values | options))


def trainer(path, **options) -> L.Trainer:
    values = {
        "default_root_dir": path, "accelerator": "cpu", "logger": False, "max_epochs": 2,
        "enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1,
        "enable_checkpointing": False, "gradient_clip_val": 1.0,
    }  # fmt: skip
    return L.Trainer(**(values | options))


def data(root, **options) -> MolecularData:
    return MolecularData(root=str(root), **({"batch_size": 8, "batches_per_epoch": 2} | options))


def test_a_fit_logs_tests_draws_and_comes_back(tmp_path, tiny_ladder):
    module = make(
        optimizer=partial(torch.optim.AdamW, lr=1e-3),
        schedule=partial(warmup_cosine, warmup=1, total=2),
    )
    run = trainer(tmp_path)
    frames = data(tiny_ladder)
    run.fit(module, datamodule=frames)
    logged = run.callback_metrics
    for name in ("forward", "inverse", "variance", "total", "excess", "forward_energy",
                 "inverse_energy", "forward_log_det", "inverse_log_det"):  # fmt: skip
        assert logged[f"train/{name}"].isfinite(), name
    floor = sum(frames.floor(module.betas))
    assert floor < 0
    assert logged["share/forward"] + logged["share/inverse"] == pytest.approx(1)
    (found,) = run.test(module, datamodule=frames, verbose=False)
    assert set(module.baselines) == {"identity", "stretch", "moment_match", "marginal_splines"}
    for baseline in module.baselines.values():
        assert set(baseline) == {name.removeprefix("test/") for name in found}
    assert found["test/finite_share"] == 1
    assert found["test/round_trip_nm"] < 1e-4
    assert set(module.figures()) == {
        f"{name}_300_450"
        for name in ("loss_curves", "acceptance", "energies", "torsions", "ramachandran")
    }
    run.save_checkpoint(tmp_path / "x.ckpt")
    saved = torch.load(tmp_path / "x.ckpt", weights_only=True)
    saved["class"] = checkpoints.class_name(MolecularFlow)
    torch.save(saved, tmp_path / "x.ckpt")
    again = checkpoints.load(MolecularFlow, tmp_path / "x.ckpt")
    z = frames._tables["val"]["source"]
    with torch.no_grad():
        assert torch.equal(again.flow(z, *again.pair)[0], module.flow(z, *module.pair)[0])
    saved["molecule"] = "another"
    torch.save(saved, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="another molecule"):
        checkpoints.load(MolecularFlow, tmp_path / "x.ckpt")


def batch_of(frames: MolecularData, size: int) -> dict[str, torch.Tensor]:
    return {key: value[:size] for key, value in frames._tables["train"].items()}


def learned(module: MolecularFlow, frames: MolecularData, size: float = 0.02) -> MolecularFlow:
    """The module as if it had been trained."""
    module.flow.fit(frames.statistics())
    for parameter in module.flow.parameters():
        parameter.data.add_(size * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize("options", [{}, {"family": "realnvp", "init": "identity"}])
def test_both_estimators_give_the_same_losses(tiny_ladder, options):
    frames = data(tiny_ladder)
    frames.setup()
    works = learned(make(**options), frames).works
    batch = batch_of(frames, 32)
    for backwards, two in zip((False, True), works.both_ways(batch), strict=True):
        one = works.one_way(batch, backwards)
        for key in ("work", "reduced", "energy", "log_det", "moved"):
            expected, found = getattr(one, key), getattr(two, key)
            assert (expected - found).abs().max() < 5e-3 * expected.abs().max().clamp_min(1), key


def test_pull_is_the_gradient_of_log_q_minus_log_p(tiny_ladder):
    frames = data(tiny_ladder)
    frames.setup()
    module = learned(make(), frames).double()
    batch = batch_of(frames, 4)
    labels = [batch[f"{name}_labels"] for name in ("source", "target")]
    batch = {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}
    for backwards, way in zip((False, True), module.works.both_ways(batch), strict=True):
        start = module.works.betas[backwards]
        moved = way.moved.detach().requires_grad_(True)
        # log q(y) = log p(T^-1 y) + log |det J_{T^-1}(y)|, both densities in positions
        back, log_back = module.flow(moved, *module.pair, inverse=not backwards)
        energy, volume, _ = module.works.reduced(back, labels[backwards], start)
        end = module.works.betas[1 - backwards]
        target, there, _ = module.works.reduced(moved, labels[backwards], end)
        ratio = (-energy + volume + log_back) - (-target + there)
        (expected,) = torch.autograd.grad(ratio.sum(), moved)
        # The batch keeps its frames' gradients in single precision.
        assert (way.pull - expected).abs().max() < 1e-4 * expected.abs().max()


def test_a_clash_pulls_no_harder_than_a_few_thermal_forces(tiny_ladder):
    frames = data(tiny_ladder)
    frames.setup()
    most = 3.0
    module = learned(make(most_pull=most), frames)
    batch = batch_of(frames, 16)
    before = module.works.both_ways(batch)[0].pull
    batch["source"][0, 3:13] -= 0.03  # nm: bonds that push
    after = module.works.both_ways(batch)[0].pull
    assert torch.allclose(before[1:], after[1:], rtol=1e-3, atol=1e-2)
    widths = torch.cat([module.flow.scale, torch.full_like(module.flow.centre, ROOM)])
    size = (after * widths).square().mean(1).sqrt()
    assert size[0] == pytest.approx(most, rel=1e-4)
    assert size.max() < 1.0001 * most


def test_another_molecules_data_is_refused(tmp_path, tiny_ladder):
    module = make(sequence="GG", optimizer=partial(torch.optim.AdamW, lr=1e-3))
    with pytest.raises(InputError, match="expected data of GG"):
        trainer(tmp_path).fit(module, datamodule=data(tiny_ladder))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss_weights": {"forward": 1.0}}, "missing loss weight"),
        ({"estimator": "magic"}, "estimator"),
        ({"init": "random"}, "init"),
        ({"flow": {"network": "rnn"}}, "network"),
        ({"family": "glow"}, "family"),
        ({"family": "realnvp", "init": "basins"}, "init"),
        ({"family": "normflows", "init": "basins"}, "init"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        make(**options)


def test_a_run_worse_than_nothing_is_given_up():
    module = make()
    module.baselines = {"identity": {"excess": 5.3}}
    for _ in range(49):
        module._give_up_if_lost(40.0)
    with pytest.raises(InputError, match=r"optimizer\.lr"):
        module._give_up_if_lost(40.0)
    module._give_up_if_lost(0.1)
    module._give_up_if_lost(40.0)


@pytest.fixture(scope="module")
def ladder(tmp_path_factory):
    """1,536 frames of each of two temperatures."""
    path = tmp_path_factory.mktemp("frames") / "ladder.npz"
    simulate(Plan((300.0, 450.0), ladders=64, frames=24, equilibrate_ps=2.0), path)
    return path


@pytest.mark.slow
def test_step_zero_and_learning(tmp_path, ladder):
    """Identity starts 5.3 nats above the floor, the stretch at most 0.8; 60 steps halve that."""
    frames = data(ladder, batch_size=64, batches_per_epoch=60, eval_frames=200)
    frames.setup()
    batch = batch_of(frames, 1152)
    start = {}
    for init in ("identity", "stretch"):
        module = make(init=init)
        module.flow.fit(frames.statistics())
        with torch.no_grad():
            works = [module.works.one_way(batch, b).work.mean() for b in (False, True)]
        start[init] = sum(works).item()
    assert start["identity"] == pytest.approx(5.3, abs=0.6)  # 0.3 of it is this sample's energies
    assert 0.4 < start["stretch"] < 1.1
    module = make(optimizer=partial(torch.optim.AdamW, lr=2e-3))
    run = trainer(tmp_path, max_epochs=1)
    run.fit(module, datamodule=frames)
    assert run.callback_metrics["val/excess"] < 0.6 * start["stretch"]
    assert module.baselines["identity"]["acceptance"] < 0.25
    assert run.callback_metrics["val/acceptance"] > 0.65
