"""One contract over all experiments: what every run leaves behind."""

import json
import math
from typing import ClassVar

import lightning.pytorch as pl
import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils._pytree import tree_leaves

import experiments
from experiments.evaluate import evaluate, parse
from experiments.shared import checkpoints
from tests.suite import EXPERIMENTS, configuration, run

KEYS = set(
    "name status objective metrics baselines loss_weights parameters data throughput duration_s "
    "steps epochs seed devices precision versions command git".split()
)


@pytest.fixture(scope="module", params=EXPERIMENTS)
def finished(request, tmp_path_factory):
    """A smoke run of each experiment, made once: (experiment, folder, objective)."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, run(folder, f"+exp=smoke/{request.param}")


class Batches(pl.Callback):
    """Keeps what a run trains on; for the test's own use."""

    seen: ClassVar[list] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.seen.append([leaf.clone() for leaf in tree_leaves(batch) if torch.is_tensor(leaf)])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_overfit_trains_on_one_batch(tmp_path, experiment):
    Batches.seen.clear()
    words = (f"+exp=smoke/{experiment}", "+debug=overfit", "test=false")
    run(tmp_path, *words, "trainer.max_epochs=2", "trainer.check_val_every_n_epoch=2",
        "+callbacks.batches={_target_: tests.test_smoke.Batches}")  # fmt: skip
    first, second = Batches.seen
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_summary_says_everything(finished):
    experiment, folder, objective = finished
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary) >= KEYS
    assert summary["status"] == "completed"
    assert summary["objective"]["best"] == objective
    assert summary["steps"] == 2
    assert summary["parameters"]["total"] > 0
    assert summary["data"]["source"] == "embedded"
    assert summary["data"]["hash"]
    weights = configuration(f"+exp={experiment}", folder=folder).loss
    assert set(summary["loss_weights"]) == set(weights)


def test_threads_are_as_many_as_asked_for(tmp_path):
    before = torch.get_num_threads()
    try:
        run(tmp_path, "+exp=smoke/multitrack", "test=false", "threads=3")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_samples_per_second_are_batches_over_step_times(tmp_path):
    """Also where gradients accumulate: a step is then several batches."""
    run(tmp_path, "+exp=smoke/multitrack", "trainer.accumulate_grad_batches=2")
    speed = json.loads((tmp_path / "summary.json").read_text())["throughput"]
    batch = OmegaConf.load(tmp_path / ".hydra" / "config.yaml").data.batch_size
    assert speed["samples_per_s"] * speed["step_s_median"] == pytest.approx(2 * batch)


def test_every_metric_stands_beside_a_baseline(finished):
    summary = json.loads((finished[1] / "summary.json").read_text())
    metrics = {name.removeprefix("test/") for name in summary["metrics"] if "test/" in name}
    compared = {name for values in summary["baselines"].values() for name in values}
    assert metrics
    assert compared & metrics, "no metric has a baseline"
    assert compared <= metrics, f"baselines of metrics that are not reported: {compared - metrics}"


def test_board_has_terms_shares_rates_norms_and_throughput(finished):
    folder = finished[1]
    events = EventAccumulator(str(folder / "tb")).Reload()
    tags = set(events.Tags()["scalars"])
    terms = {tag.removeprefix("train/") for tag in tags if tag.startswith("train/")}
    shares = {tag.removeprefix("share/") for tag in tags if tag.startswith("share/")}
    assert shares
    assert shares <= terms
    assert "total" in terms
    assert {"grad/norm_median", "grad/norm_max", "throughput/samples_per_s"} <= tags
    assert any(tag.startswith("val/") for tag in tags)
    assert any(tag.startswith("lr/") for tag in tags)
    charts = OmegaConf.load(folder / ".hydra" / "config.yaml").charts
    assert {tag for shown in charts.values() for tag in shown} <= tags
    assert "val" < max(tags) < min(events.Tags()["images"]), "no figure after the curves"


def test_the_tests_numbers_are_text_and_no_curves(finished):
    folder = finished[1]
    events = EventAccumulator(str(folder / "tb")).Reload()
    assert not any(tag.startswith("test/") for tag in events.Tags()["scalars"])
    pages = {tag.removesuffix("/text_summary"): tag for tag in events.Tags()["tensors"]}
    assert {"configuration", "overrides", "notes", "test"} <= set(pages)
    table = events.Tensors(pages["test"])[-1].tensor_proto.string_val[0].decode()
    metrics = json.loads((folder / "summary.json").read_text())["metrics"]
    tested = [tag.removeprefix("test/") for tag in metrics if tag.startswith("test/")]
    assert all(f"| {name} |" in table for name in tested)


def test_folder_holds_pictures_report_and_safe_checkpoints(finished):
    folder = finished[1]
    assert list((folder / "figures").glob("*.png"))
    assert (folder / "report.md").is_file()
    assert "<img" in (folder / "report.html").read_text()
    for name in ("last", "best"):
        path = folder / "checkpoints" / f"{name}.ckpt"
        assert "class" in torch.load(path, weights_only=True)
        assert path.stat().st_size < 2**26, "a frozen network went into the checkpoint"


def test_checkpoint_loads_strictly_into_its_own_model_only(finished, tmp_path):
    experiment, folder, _ = finished
    cls = get_class(configuration(f"+exp={experiment}", folder=folder).model._target_)
    module = checkpoints.load(cls, folder)
    assert not module.training
    with pytest.raises(checkpoints.InputError, match="is a checkpoint of"):
        checkpoints.load(torch.nn.Linear, folder)
    truncated = tmp_path / "cut.ckpt"
    truncated.write_bytes((folder / "checkpoints" / "last.ckpt").read_bytes()[:1000])
    with pytest.raises(checkpoints.InputError, match="cannot be read"):
        checkpoints.load(cls, truncated)
    with pytest.raises(checkpoints.InputError, match="no checkpoint at"):
        checkpoints.load(cls, tmp_path)


def test_an_evaluation_on_the_runs_own_data_repeats_its_test(finished):
    folder = finished[1]
    before = (folder / "checkpoints" / "best.ckpt").read_bytes()
    outcome = evaluate(*parse([str(folder)]))
    assert outcome == folder / "evaluation" / "test"
    said, own = (json.loads((f / "summary.json").read_text()) for f in (outcome, folder))
    # A spread over two pairs may be no number, which JSON has as null.
    tested, again = (
        {name: math.nan if value is None else value for name, value in each["metrics"].items()}
        for each in (own, said)
    )
    tested = {name: value for name, value in tested.items() if "test/" in name}
    assert again == pytest.approx(tested, rel=1e-5, nan_ok=True)
    assert said["baselines"].keys() == own["baselines"].keys()
    assert (said["status"], said["checkpoint"]) == ("evaluated", "checkpoints/best.ckpt")
    assert list((outcome / "figures").glob("*.png"))
    assert "A finished run's checkpoint" in (outcome / "report.md").read_text()
    assert (folder / "checkpoints" / "best.ckpt").read_bytes() == before
    assert json.loads((folder / "summary.json").read_text()) == own


def test_a_run_is_a_library(finished):
    folder = finished[1]
    module, data = experiments.load(folder)
    assert not module.training
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(best[name], value) for name, value in module.state_dict().items())
    data.prepare_data()
    data.setup("test")
    assert next(iter(data.test_dataloader())) is not None


def test_frozen_parts_stay_out_of_the_parameters(finished):
    summary = json.loads((finished[1] / "summary.json").read_text())
    assert summary["parameters"]["total"] == summary["parameters"]["trainable"]
