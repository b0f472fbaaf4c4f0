"""A small convolutional network that takes the noise off, beside two trivial ways to do it."""

import lightning.pytorch as pl
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, mse_loss
from torchmetrics import MeanMetric

from experiments.shared.losses import check_names, weighted_sum
from experiments.shared.plots import new_figure

TERMS = {
    "level": mse_loss,
    "slope": lambda found, clean: mse_loss(found.diff(dim=-1), clean.diff(dim=-1)),
}
BASELINES = {
    "noisy": lambda noisy: noisy,
    "average": lambda noisy: avg_pool1d(noisy[:, None], 5, 1, 2, count_include_pad=False)[:, 0],
}


class Denoiser(pl.LightningModule):
    """Trained on `TERMS`, scored by the root-mean-square error."""

    def __init__(self, loss_weights: dict[str, float], *, width: int, optimizer=None):
        super().__init__()
        check_names(loss_weights, TERMS)
        self.save_hyperparameters(ignore=["optimizer"], logger=False)
        self.optimizer = optimizer
        layers = nn.Conv1d(1, width, 9, padding=4), nn.GELU(), nn.Conv1d(width, 1, 9, padding=4)
        self.network = nn.Sequential(*layers)
        self.scores = nn.ModuleDict({name: MeanMetric() for name in ("ours", *BASELINES)})
        self.baselines: dict[str, dict[str, float]] = {}
        self.example: dict[str, Tensor] = {}

    def forward(self, noisy: Tensor) -> Tensor:
        return noisy + self.network(noisy[:, None])[:, 0]

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        found = self(batch["noisy"])
        terms = {name: term(found, batch["clean"]) for name, term in TERMS.items()}
        total, shares = weighted_sum(terms, self.hparams.loss_weights)
        logged = {f"train/{name}": term for name, term in {**terms, "total": total}.items()}
        logged |= {f"share/{name}": share for name, share in shares.items()}
        self.log_dict(logged, batch_size=len(found))
        return total

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        found = {name: way(batch["noisy"]) for name, way in {**BASELINES, "ours": self}.items()}
        for name, wave in found.items():
            self.scores[name].update((wave - batch["clean"]).square())
        self.example = {"clean": batch["clean"][0].cpu(), "ours": found["ours"][0].cpu()}

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        split = "test" if self.trainer.testing else "val"
        rmse = {name: score.compute().sqrt() for name, score in self.scores.items()}
        self.log(f"{split}/rmse", rmse.pop("ours"))
        self.baselines = {name: {"rmse": float(value)} for name, value in rmse.items()}
        for score in self.scores.values():
            score.reset()

    on_test_epoch_end = on_validation_epoch_end

    def configure_optimizers(self):
        return self.optimizer(self.parameters())

    def figures(self) -> dict:
        figure, (axes,) = new_figure()
        for name, wave in self.example.items():
            axes.plot(wave, label=name)
        axes.legend()
        return {"wave": figure}
