"""What the bench says of the machine: its rates, its threads, its memory."""

import pytest
import torch
from lightning.pytorch import Trainer
from omegaconf import OmegaConf

from experiments.callbacks.speed import Speed
from experiments.measuring.device import best_rates
from experiments.measuring.measure import measure
from experiments.shared.memory import memory_now
from tests.test_bench import BATCH, Data, Net, config


def test_rates_are_those_of_a_processor():
    rates = best_rates(torch.device("cpu"), torch.float32)
    assert set(rates) == {"matmul", "convolution"}
    assert all(1e8 < rate < 1e14 for rate in rates.values())


def test_threads_hold_over_the_experiments_own():
    before = torch.get_num_threads()
    try:
        own = OmegaConf.merge(config(), {"threads": 1})
        assert measure(own, steps=1, warmup=0, threads=2)["threads"] == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_memory_means_the_same_in_a_run(tmp_path):
    """Both are peaks since training began, of the process with its workers."""
    speed = Speed()
    data, net = Data(), Net()
    trainer = Trainer(accelerator="cpu", max_steps=2, logger=False, enable_checkpointing=False,
                      enable_progress_bar=False, limit_val_batches=0, callbacks=[speed],
                      default_root_dir=tmp_path)  # fmt: skip
    trainer.fit(net, data)
    now, _ = memory_now(torch.device("cpu"), 0.0)
    assert speed.measured(BATCH)["peak_rss_mb"] == pytest.approx(now, rel=0.05)
