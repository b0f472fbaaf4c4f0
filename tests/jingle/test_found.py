"""Faults that were found in the agent's settings and texts, each as a law."""

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from experiments.running import agree
from experiments.shared.errors import InputError
from jingle.codec.model import load_codec
from tests.jingle.training import agent
from tests.suite import configuration


def test_without_data_there_are_thousands_of_updates_at_a_rate_that_learns(tmp_path: Path):
    for name in ("creative_agent", "hour/creative_agent"):
        config = configuration(f"+exp={name}", folder=tmp_path)
        assert config.data.root is None
        updates = config.data.pairs // config.data.batch_size * config.trainer.max_epochs
        assert updates >= 2000
        assert config.model.optimizer.lr >= 5e-4
        assert config.model.schedule.total == config.trainer.max_epochs


def test_half_precision_with_scaled_gradients_is_refused():
    assert "16-mixed" not in agent().precisions


def test_the_codec_is_not_causal_as_it_says():
    codec = load_codec("embedded")
    wave = 0.1 * torch.randn(1, 1, 48_000, generator=torch.Generator().manual_seed(0))
    later = wave.clone()
    later[..., 24_000:] = 0
    changed = (codec.encode(later) - codec.encode(wave)).abs().sum(1)[0] > 1e-4
    first = int(changed.nonzero()[0])
    assert 75 - 15 <= first < 75  # it hears ahead, but not by more than 0.2 s


@pytest.mark.parametrize("key", ["gradient_clip_val", "accumulate_grad_batches"])
def test_what_automatic_optimization_alone_can_do_is_refused_in_a_line(key: str, tmp_path: Path):
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, **{key: 2})
    with pytest.raises(InputError, match="instead"):
        agree.check(trainer, agent())
