"""Two processes, both phases: gradients are shared, so the ranks hold the same weights."""

import lightning.pytorch as pl
import pytest
import torch

from radiodiff import corpus
from radiodiff.data import RadioMaps
from tests.radiodiff.training import module


class SameWeights(pl.Callback):
    """Compares the ranks' weights after each update, and that their batches differ."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        for part in (pl_module.autoencoder, pl_module.discriminator):
            own = torch.cat([p.detach().flatten() for p in part.parameters()])
            first, second = pl_module.all_gather(own)
            assert torch.equal(first, second)
        first, second = pl_module.all_gather(batch["map"])
        assert not torch.equal(first, second)
        (self.folder / f"{trainer.global_rank}_{trainer.global_step}").touch()


@pytest.mark.slow
def test_ranks_hold_the_same_weights(tmp_path):
    maps = tmp_path / "maps"
    corpus.make_corpus(maps, maps=6, transmitters=2, size=64)
    seen = tmp_path / "seen"
    seen.mkdir()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_fork_find_unused_parameters_true",
        max_steps=3,
        callbacks=[SameWeights(seen)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        default_root_dir=tmp_path,
    )
    data = RadioMaps(str(maps), str(tmp_path), size=64, batch_size=1, num_workers=0, crop=32)
    trainer.fit(module(1), datamodule=data)
    names = {f"{rank}_{step}" for rank in (0, 1) for step in (1, 2, 3)}
    assert {f.name for f in seen.iterdir()} == names
