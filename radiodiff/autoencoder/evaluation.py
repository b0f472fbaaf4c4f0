"""What a split's reconstructions are measured by, and what stands beside them."""

import numpy as np
import torch
from torch import Tensor, nn

from radiodiff import baselines, losses, metrics
from radiodiff.autoencoder import codec
from radiodiff.autoencoder.network import Autoencoder, draw
from radiodiff.baselines import PatchPCA

OWN = ("psnr_mode",)  # of a map, beside those of `metrics.compare`
LATENT_NOISE = (0.01, 0.03, 0.1, 0.3)  # in units of each latent channel's std
COARSENESS = (0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)  # of the quantiser, for the curve of rates
PLAIN = ("constant", "down_up", "patch_pca")
RATED = ("psnr", "nmse", "ssim", "rate")  # of what goes through a file


class Measured(nn.Module):
    """What a checkpoint holds of its latents: their moments, and the coder's tables.

    Buffers: measured in a validation, not learned.
    """

    def __init__(self, channels: int):
        super().__init__()
        shape = (codec.STAGES, channels, channels + 1)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.register_buffer("step", torch.ones(channels))
        for name in ("location", "scale"):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("floor", torch.ones(*shape[:2], 2, dtype=torch.float64))

    @property
    def tables(self) -> codec.Tables:
        names = ("step", "location", "scale", "floor")
        return codec.Tables(*(getattr(self, name).cpu().numpy() for name in names))

    def take(self, found: dict[str, Tensor], tables: codec.Tables) -> None:
        """Keep a validation's `latent_mean_*`, `latent_std_*` and the tables fitted to it."""
        for channel in range(len(self.mean)):
            self.mean[channel] = found[f"latent_mean_{channel}"]
            self.std[channel] = found[f"latent_std_{channel}"]
        for name, values in vars(tables).items():
            getattr(self, name).copy_(torch.from_numpy(values))


class Evaluation(nn.Module):
    """Tables of one split after the other, over unseen cities; baselines once a split.

    The baselines are of the data alone: a second validation has nothing new of them.
    """

    def __init__(self, channels: int):
        super().__init__()
        names = metrics.NAMES
        self.model = metrics.Table((*names, *OWN))
        self.plain = nn.ModuleDict({name: metrics.Table(names) for name in PLAIN})
        self.ours = nn.ModuleDict({str(i): metrics.Table(RATED) for i in range(len(COARSENESS))})
        self.codecs = nn.ModuleDict(
            {
                f"{name}_{quality}": metrics.Table(RATED)
                for name, kind in baselines.CODECS.items()
                for quality in kind.qualities
            }
        )
        self.robustness = metrics.Table(tuple(f"psnr_noise_{a}" for a in LATENT_NOISE))
        self.health = metrics.LatentHealth(channels)
        self.kept: dict[str, dict[str, dict[str, float]]] = {}  # split -> baseline -> metric
        self.curves: dict[str, list[tuple[float, float]]] = {}  # codec -> (bits a pixel, PSNR)

    def begin(self, rank: int) -> None:
        for table in self.modules():
            if table is not self and hasattr(table, "reset"):
                table.reset()
        self.noise = torch.Generator().manual_seed(rank)
        self.latents: list[Tensor] = []
        self.logvars: list[Tensor] = []

    def update(
        self, autoencoder: Autoencoder, pca: PatchPCA, batch: dict[str, Tensor], split: str
    ) -> dict[str, Tensor]:
        """Measure whole maps, decoded from a sample of the posterior, as the stated rate asks.

        Returns what figures show of them: "map", "made", "mean", "logvar", "city".
        """
        maps, cities = batch["map"], batch["city"]
        mean, logvar = autoencoder.encode(maps)
        made = autoencoder.decode(draw(mean, logvar, self.noise)).float()
        by_mode = autoencoder.decode(mean).float()
        self.health.update(mean, losses.kl_nats(mean, logvar), maps.numel())
        found = compared(made, batch)
        found["psnr_mode"] = metrics.psnr(gray(by_mode).clamp(0, 1), gray(maps))
        self.model.update(found, cities)
        if sum(map(len, self.latents)) < 64:
            self.latents.append(mean.float().cpu())
            self.logvars.append(logvar.float().cpu())
        if split not in self.kept:
            others = {
                "constant": baselines.constant(maps, float(pca.mean.mean())),
                "down_up": baselines.down_up(maps, autoencoder.factor),
                "patch_pca": pca(maps),
            }
            for name, other in others.items():
                self.plain[name].update(compared(other, batch), cities)
        shown = {"map": maps, "made": made, "mean": mean, "logvar": logvar}
        return {name: value.float() for name, value in shown.items()} | {"city": cities}

    def update_dear(
        self, autoencoder: Autoencoder, batch: dict[str, Tensor], measured: Measured
    ) -> None:
        """What only a test asks for: files of each codec and of ours, and noisy latents."""
        maps, cities, tables = batch["map"], batch["city"], measured.tables
        for name, kind in baselines.CODECS.items():
            for quality in kind.qualities:
                made, rates = baselines.through_file(maps, kind, quality)
                found = rated(made, maps, rates)
                self.codecs[f"{name}_{quality}"].update(found, cities)
        mean, _ = autoencoder.encode(maps)
        for index, coarseness in enumerate(COARSENESS):
            files = [codec.encode(x, tables, coarseness) for x in mean.float().cpu().numpy()]
            latents = np.stack([codec.decode(file, tables) for file in files])
            made = autoencoder.decode(torch.from_numpy(latents).to(mean)).float()
            rates = mean.new_tensor([8 * len(file) / maps[0].numel() for file in files])
            self.ours[str(index)].update(rated(made, maps, rates), cities)
        found, scale = {}, measured.std[:, None, None]
        for level in LATENT_NOISE:
            noise = torch.randn(mean.shape, generator=self.noise).to(mean)
            made = autoencoder.decode(mean + level * scale * noise).float()
            found[f"psnr_noise_{level}"] = metrics.psnr(gray(made).clamp(0, 1), gray(maps))
        self.robustness.update(found, cities)

    def tables(self) -> codec.Tables:
        """The coder's, from the latents seen: its steps leave a quarter of the posterior's noise.

        Uniform noise of one step has a twelfth of its square. Steps of all that noise decode to
        maps as good as those of a sample of the posterior; half as wide ones cost a bit a latent
        and come near to the maps of its mean.
        """
        spread = torch.cat(self.logvars).exp().mean((0, 2, 3))
        step = (3 * spread).sqrt().clamp_min(1e-3).numpy()
        return codec.fit(torch.cat(self.latents).numpy(), step)

    def conclude(self, split: str) -> tuple[dict[str, Tensor], dict[str, dict[str, float]]]:
        """Metrics of the split with their intervals, and those of the baselines."""
        values, intervals = self.model.compute()
        logged = dict(values)
        for name, (low, high) in intervals.items():
            if torch.isfinite(low):
                logged |= {f"{name}_low": low, f"{name}_high": high}
        health = self.health.compute()
        for name in ("bits_per_pixel", "nats_per_dim", "active"):
            logged[name] = health[name].float()
        for channel in range(len(health["mean"])):
            for name in ("mean", "std"):
                logged[f"latent_{name}_{channel}"] = health[name][channel].float()
        if split not in self.kept:
            self.kept[split] = {n: plain(t.compute()[0]) for n, t in self.plain.items()}
        return logged, dict(self.kept[split])

    def conclude_dear(self) -> tuple[dict[str, Tensor], dict[str, dict[str, float]]]:
        """Metrics of our files and of noisy latents; other codecs at the rate of our files."""
        logged = dict(self.robustness.compute()[0])
        ours = [self.ours[str(i)].compute()[0] for i in range(len(COARSENESS))]
        self.curves = {"ours": [(float(v["rate"]), float(v["psnr"])) for v in ours]}
        chosen = ours[COARSENESS.index(1.0)]
        logged |= {f"file_{name}": value for name, value in chosen.items() if name != "rate"}
        logged["file_bits_per_pixel"] = chosen["rate"]
        others = {}
        for name, kind in baselines.CODECS.items():
            found = {q: self.codecs[f"{name}_{q}"].compute()[0] for q in kind.qualities}
            self.curves[name] = sorted((float(v["rate"]), float(v["psnr"])) for v in found.values())
            rates = {q: float(v["rate"]) for q, v in found.items()}
            quality = baselines.choose_quality(rates, float(chosen["rate"]))
            values = plain(found[quality])
            rate = values.pop("rate")
            others[name] = {f"file_{n}": v for n, v in values.items()}
            others[name]["file_bits_per_pixel"] = rate
        return logged, others


def compared(made: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return metrics.compare(gray(made), gray(batch["map"]), batch["buildings"], batch["sight"])


def rated(made: Tensor, maps: Tensor, rates: Tensor) -> dict[str, Tensor]:
    """The `RATED` values of maps that went through a file of `rates` (B,) bits a pixel."""
    ours, theirs = gray(made).clamp(0, 1), gray(maps)
    kernels = {"psnr": metrics.psnr, "nmse": metrics.nmse, "ssim": metrics.ssim}
    return {name: kernel(ours, theirs) for name, kernel in kernels.items()} | {"rate": rates}


def gray(maps: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]."""
    return (maps.float() + 1) / 2


def plain(values: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}
