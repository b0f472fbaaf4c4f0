"""What a checkpoint remembers of the best, and what wins over it; on a model of one number."""

import shutil
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchdata.stateful_dataloader import StatefulDataLoader

from experiments.callbacks.asked import Asked
from experiments.callbacks.best import Best
from experiments.callbacks.figures import Figures
from experiments.callbacks.order import Order
from experiments.shared.errors import InputError
from experiments.shared.sampling import EpochSampler

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


class Scored(pl.LightningModule):
    """Its weight counts the steps; epoch e validates to scores[e]."""

    def __init__(self, scores: list[float], lr: float = 1.0):
        super().__init__()
        self.scores, self.lr = scores, lr
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        return -self.weight

    def validation_step(self, batch, batch_idx):
        self.log("val/score", self.scores[self.current_epoch], batch_size=1)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda count: 0.5**count)]


def fit(folder: Path, scores: list[float], *callbacks, lr: float = 1.0, **best) -> pl.Trainer:
    """Go on in `folder` until each score is used; what is asked comes last."""
    data = DataLoader(TensorDataset(torch.zeros(1, 1)))
    kept = Best(dirpath=str(folder), monitor="val/score", auto_insert_metric_name=False,
                enable_version_counter=False, **best)  # fmt: skip
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=len(scores), logger=False, num_sanity_val_steps=0,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        callbacks=[Asked(), *callbacks, kept],
    )  # fmt: skip
    last = folder / "last.ckpt"
    resume = last if last.is_file() else None
    trainer.fit(Scored(scores, lr), data, data, ckpt_path=resume, weights_only=True)
    trainer.save_checkpoint(last)
    return trainer


def step_of(path: Path) -> int:
    return torch.load(path, weights_only=True)["global_step"]


def test_a_moved_run_keeps_its_best(tmp_path: Path):
    fit(tmp_path / "here", [1.0, 3.0])
    shutil.move(tmp_path / "here", tmp_path / "there")
    trainer = fit(tmp_path / "there", [1.0, 3.0, 2.0])
    assert step_of(tmp_path / "there" / "best.ckpt") == 1
    assert trainer.checkpoint_callback.best_model_path == str(tmp_path / "there" / "best.ckpt")
    fit(tmp_path / "there", [1.0, 3.0, 2.0, 0.5])
    assert step_of(tmp_path / "there" / "best.ckpt") == 4


def test_a_copy_that_goes_on_leaves_the_original_alone(tmp_path: Path):
    fit(tmp_path / "one", [1.0])
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    fit(tmp_path / "copy", [1.0, 0.5])
    assert step_of(tmp_path / "one" / "best.ckpt") == 1
    assert step_of(tmp_path / "copy" / "best.ckpt") == 2


def test_another_interval_does_not_lose_the_best(tmp_path: Path):
    fit(tmp_path, [1.0, 2.0])
    fit(tmp_path, [1.0, 2.0, 3.0], every_n_epochs=3)
    assert step_of(tmp_path / "best.ckpt") == 1


def test_several_best_have_names_of_their_own(tmp_path: Path):
    fit(tmp_path, [3.0, 1.0, 2.0, 9.0], save_top_k=3)
    assert {p.name for p in tmp_path.glob("best-*.ckpt")} == {f"best-{n}.ckpt" for n in (1, 2, 3)}
    assert step_of(tmp_path / "best.ckpt") == 2


@pytest.mark.parametrize(("first", "then"), [(1, 3), (3, 1)])
def test_another_number_of_best_goes_on_from_the_best(tmp_path: Path, first: int, then: int):
    fit(tmp_path, [2.0, 1.0, 3.0], save_top_k=first)
    fit(tmp_path, [2.0, 1.0, 3.0, 1.5], save_top_k=then)
    assert step_of(tmp_path / "best.ckpt") == 2
    fit(tmp_path, [2.0, 1.0, 3.0, 1.5, 0.5], save_top_k=then)
    assert step_of(tmp_path / "best.ckpt") == 5


def test_a_lost_best_is_said_and_chosen_anew(tmp_path: Path, capsys):
    fit(tmp_path, [1.0])
    (tmp_path / "best.ckpt").unlink()
    fit(tmp_path, [1.0, 2.0])
    assert "no best checkpoint is left" in capsys.readouterr().out
    assert step_of(tmp_path / "best.ckpt") == 2


def test_another_patience_holds(tmp_path: Path):
    def patient(count: int) -> EarlyStopping:
        return EarlyStopping(monitor="val/score", patience=count)

    scores = [1.0, 2.0, 3.0, 4.0, 5.0]
    stopped = fit(tmp_path, scores, patient(1))
    assert stopped.current_epoch == 2
    assert fit(tmp_path, scores, patient(3)).current_epoch == 4


def test_another_learning_rate_holds_at_its_place_in_the_schedule(tmp_path: Path):
    fit(tmp_path, [1.0, 1.0])  # 1 + 1/2
    trainer = fit(tmp_path, [1.0, 1.0, 1.0, 1.0], lr=8.0)  # + 8/4 + 8/8
    assert trainer.model.weight.item() == 4.5


class Numbers(Dataset):
    """Item (epoch, index) as it is."""

    def __getitem__(self, item):
        return item


class Draws(pl.LightningDataModule):
    """Six draws an epoch, in an order of its own in each."""

    def __init__(self, num_workers: int):
        super().__init__()
        self.num_workers = num_workers

    def train_dataloader(self):
        sampler = EpochSampler(6, shuffle=True, seed=0)
        return StatefulDataLoader(Numbers(), 1, sampler=sampler, num_workers=self.num_workers)


class Seen(pl.Callback):
    """Keeps what is drawn; saves after the batch `save_at`, else after each epoch."""

    def __init__(self, save_at: int = -1):
        self.save_at, self.drawn = save_at, []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.drawn.append(tuple(part.item() for part in batch))
        if len(self.drawn) == self.save_at:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "last.ckpt")

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        if self.save_at < 0:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "last.ckpt")


def draw(folder: Path, workers: int, epochs: int, save_at: int = -1) -> list:
    seen, last = Seen(save_at), folder / "last.ckpt"
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=epochs, logger=False, limit_val_batches=0,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        enable_checkpointing=False, callbacks=[Asked(), Order(), seen],
    )  # fmt: skip
    resume = last if last.is_file() else None
    trainer.fit(Scored([]), datamodule=Draws(workers), ckpt_path=resume, weights_only=True)
    return seen.drawn


@pytest.mark.parametrize(("first", "then"), [(0, 0), (2, 2), (0, 2), (2, 0)])
def test_any_number_of_workers_draws_the_same_when_resumed(tmp_path: Path, first: int, then: int):
    whole = draw(tmp_path / "whole", 0, 2)
    parts = draw(tmp_path / "parts", first, 1) + draw(tmp_path / "parts", then, 2)
    assert parts == whole


def test_another_number_of_workers_within_an_epoch_is_one_line(tmp_path: Path):
    draw(tmp_path, 2, 1, save_at=2)
    with pytest.raises(InputError, match=r"with 2 loading processes.*data\.num_workers=2"):
        draw(tmp_path, 0, 1)
    assert draw(tmp_path, 2, 2) == draw(tmp_path / "whole", 0, 2)[2:]


def test_a_figure_that_fails_is_said_and_ends_nothing(tmp_path: Path, capsys):
    class Broken(Scored):
        def figures(self):
            raise KeyError("no such picture")

    drawn = Figures(str(tmp_path))
    trainer = pl.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)
    drawn.draw(trainer, Broken([1.0]))
    drawn.draw(trainer, Broken([1.0]))
    assert len(drawn.problems) == 1
    told = capsys.readouterr()
    assert "the run goes on" in told.out
    assert "in figures" in told.err
