"""Evaluation of the VAE: metrics with intervals beside their baselines, latents as measured."""

import json

import lightning.pytorch as pl
import pytest
import torch

from radiodiff import baselines
from radiodiff.data import RadioMaps
from tests.radiodiff.training import module
from tests.suite import run

# Checkpoints by steps under manual optimization are of after the step, as meant.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*pre-optimization state.*", "ignore:.*exists and is not empty.*"
)


def test_evaluation_logs_metrics_intervals_and_baselines(untouched, tmp_path):
    found = module(0)
    data = RadioMaps(
        str(untouched),
        str(tmp_path),
        size=64,
        batch_size=2,
        num_workers=0,
        shares=(0.34, 0.34),
        eval_batch=3,
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    (metrics,) = trainer.test(found, datamodule=data, verbose=False)
    assert metrics["test/psnr_low"] <= metrics["test/psnr"] <= metrics["test/psnr_high"]
    named = {name.removeprefix("test/") for name in metrics}
    assert {"bits_per_pixel", "active", "latent_std_2", "psnr_noise_0.1"} <= named
    assert {"constant", "down_up", "patch_pca"} < set(found.baselines)
    assert {"jpeg", "jpeg2000", "webp", "avif"} < set(found.baselines)
    assert {"file_psnr", "file_bits_per_pixel"} <= named
    assert all(set(values) <= named for values in found.baselines.values())
    pca, worse = found.baselines["patch_pca"], found.baselines["constant"]
    assert pca["psnr"] > worse["psnr"]
    assert set(found.figures()) == {"reconstruction", "latents", "rates"}
    assert [int(e["city"]) for e in found.examples] == sorted(
        {int(e["city"]) for e in found.examples}
    )


def test_checkpoints_hold_the_latents_as_measured(tmp_path):
    """Not an average over steps, as of the weights."""
    run(tmp_path, "+exp=smoke/radiodiff_vae", "test=false")
    metrics = json.loads((tmp_path / "summary.json").read_text())["metrics"]
    state = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    for name in ("mean", "std"):
        for channel, value in enumerate(state[f"measured.{name}"].tolist()):
            assert value == pytest.approx(metrics[f"val/latent_{name}_{channel}"], rel=1e-4)


def test_constant_baselines_are_computed_once(untouched, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(baselines, "down_up", lambda maps, _: calls.append(1) or maps)
    found = module(9)
    data = RadioMaps(str(untouched), str(tmp_path), size=64, batch_size=2, crop=32, num_workers=0)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=3, limit_train_batches=1, logger=False,
        num_sanity_val_steps=0, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(found, datamodule=data)
    assert len(calls) == len(data.val_dataloader())
    assert found.baselines["down_up"]["psnr"] > 90
