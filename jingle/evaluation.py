"""How an agent is judged: on held-out pairs, in latents and decoded, beside every baseline.

Axes: B batch, C latent channels, T frames (75 a second). Metrics are of standardised latents.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.classification import BinaryAUROC

from jingle import baselines, figures, hearing, metrics
from jingle.pieces import listening
from jingle.sound import sets

REFERENCE = 96  # training blends that set distances are measured from
PARTS = (
    "input",
    "target",
    "input_percussive",
    "input_harmonic",
    "target_percussive",
    "target_harmonic",
)


class Evaluation(nn.Module):
    """Accumulates an epoch's metrics of a `CreativeAgent` and of its baselines.

    Attributes:
        example: the first pair's raw latents, pieces and masks, on the CPU.
        mask_means: each sample's mean input mask.
    """

    def __init__(self):
        super().__init__()
        names = ("model", *baselines.PIECES, *baselines.MASKS)
        self.tables = nn.ModuleDict({name: metrics.PairTable() for name in names})
        self.aurocs = nn.ModuleDict({"model": BinaryAUROC(), "plain_average": BinaryAUROC()})
        self.example: dict[str, Tensor] = {}
        self.mask_means: list[Tensor] = []
        self.gains: Tensor | None = None

    def begin(self, data, device: torch.device) -> None:
        """Forget the last epoch; `data` is the datamodule."""
        for metric in (*self.tables.values(), *self.aurocs.values()):
            metric.reset()
        self.mask_means, self.decoded = [], 0
        self.seen: dict[str, list[np.ndarray]] = {}
        self.bits = torch.Generator().manual_seed(0)  # of the random-bits baseline
        if self.gains is None:
            self.gains = data.channel_gains()
        self.gains = self.gains.to(device)

    def update(self, module, data, batch: dict[str, Tensor], *, heard: int | None) -> None:
        """Measure a batch and its baselines; decode as many of its pairs as `heard` still asks.

        Args:
            module: the agent: `compose`, `seen`, `raw`, `standard`, `unstandard`, `adversary`
                are used.
            data: the datamodule: `codec` and `additive`.
            batch: of an evaluation loader.
            heard: how many pairs of the epoch to decode on this device; None: all.
        """
        made = module.compose(batch)
        masks = made.masks
        raw = torch.stack([module.raw(output.float()) for output in made.outputs])
        if data.additive:
            raw = module.rest + hearing.headroom(data.codec, raw[-1]) * (raw - module.rest)
        stages = [module.standard(z) for z in raw]
        pieces = baselines.pieces(batch, stages, masks, self.gains, module.standard)
        a, b, blend = pieces["input_alone"], pieces["target_alone"], pieces["blend_itself"]
        pieces["model"] = stages[-1]
        found = {name: metrics.of_piece(z, a, b, blend) for name, z in pieces.items()}
        found["model"] |= metrics.of_masks(a, b, *masks) | metrics.stage_gains(stages, blend)
        if module.generator.decomposes:
            found["model"][metrics.FAMILIARITY] = made.familiarity.mean(1)
        for name, others in baselines.masks(a, self.bits).items():
            found[name] = metrics.of_masks(a, b, *others)
        if module.adversary is not None:
            for name, values in self.judge(module, batch, raw[-1]).items():
                found[name] |= values
        for name, values in self.hear(module, data, batch, pieces, heard).items():
            found[name] |= values
        found["model"] |= metrics.leads(found["model"], found["hpss_mix"])
        for name, values in found.items():
            self.tables[name].update(values, batch["matched"], batch["pair"])
        self.mask_means.append(masks[0].mean((1, 2)).cpu())
        if len(self.mask_means) == 1:
            names = ("input", "target", "blend", "hpss_mix")
            shown = {name: batch[name] for name in names} | {"output": raw[-1]}
            shown |= {"input_mask": masks[0], "target_mask": masks[1]}
            self.example = {name: value[:1].float().cpu() for name, value in shown.items()}

    def hear(
        self, module, data, batch: dict[str, Tensor], pieces: dict[str, Tensor], heard: int | None
    ) -> dict[str, dict[str, Tensor]]:
        """Decode what is still wanted of a batch: metrics of sound (B,), NaN where not heard."""
        size = len(batch["pair"])
        count = size if heard is None else min(size, max(0, heard - self.decoded))
        if not count:
            return {}
        self.decoded += count
        codec = data.codec
        waves = {
            name: listening.sound(codec, module.unstandard(pieces[name][:count])).cpu()
            for name in ("model", *baselines.HEARD)
        }
        parts = {name: listening.sound(codec, batch[name][:count]).cpu() for name in PARTS}
        scores, seen = hearing.compare(waves, parts, waves["blend_itself"])
        for name, windows in seen.items():
            self.seen.setdefault(name, []).append(windows)
        missing = torch.full((size - count,), math.nan)
        return {
            name: {key: torch.cat([value, missing]) for key, value in values.items()}
            for name, values in scores.items()
        }

    def judge(
        self, module, batch: dict[str, Tensor], output: Tensor
    ) -> dict[str, dict[str, Tensor]]:
        """What the adversary makes of real, generated and plainly averaged pieces."""
        a, b = module.seen(batch["input"]), module.seen(batch["target"])
        real = module.adversary.real(batch["target"], batch["blend"])
        average = (batch["input"] + batch["target"]) / 2
        truth, ours, plain = (
            module.adversary(module.seen(x), a, b).mean(1) for x in (real, output, average)
        )
        found = {}
        for name, fake in (("model", ours), ("plain_average", plain)):
            known = torch.cat([torch.ones_like(truth), torch.zeros_like(fake)]).long()
            self.aurocs[name].update(torch.cat([truth, fake]).sigmoid(), known)
            found[name] = {
                "real_accuracy": (truth > 0).float(),
                "fake_accuracy": (fake < 0).float(),
            }
        return found

    def conclude(self, data, *, whole: bool) -> dict[str, dict[str, float]]:
        """Every table's metrics, `model` among them.

        Args:
            data: the datamodule, for the reference set.
            whole: whether all pairs are on this device, so that sets can be compared.
        """
        found = {n: table.compute() for n, table in self.tables.items() if table.update_called}
        for name, auroc in self.aurocs.items():
            if auroc.update_called:
                found[name]["adversary_auc"] = float(auroc.compute())
        plain = found["plain_average"]["blend_distance"]
        for values in found.values():
            if "blend_distance" in values:
                values["blend_gain"] = 1 - values["blend_distance"] / plain
        if whole and self.seen:
            blends = torch.stack(data.reference(REFERENCE)).to(self.gains.device)
            waves = [listening.sound(data.codec, z[None]).cpu().numpy()[0, 0] for z in blends]
            reference = sets.Reference(waves)
            for name, windows in self.seen.items():
                finite, infinite = reference.distance(np.concatenate(windows))
                found[name] |= {"set_distance": finite, "set_distance_inf": infinite}
        return found

    def audio(self, module, codec) -> dict[str, tuple[Tensor, int]]:
        """The first pair, decoded: each (1, samples) and its rate."""
        if not self.example:
            return {}
        stacked = torch.cat([self.example[name] for name in figures.SHOWN]).to(module.device)
        waves = listening.sound(codec, stacked).cpu()
        return {n: (wave, listening.RATE) for n, wave in zip(figures.SHOWN, waves, strict=True)}

    def figures(self, module, codec) -> dict:
        """Pictures of the first pair, and of all mask means."""
        if not self.example:
            return {}
        standard = {
            name: module.standard(self.example[name].to(module.device))[0].cpu()
            for name in figures.SHOWN
        }
        waves = {name: wave[0] for name, (wave, _) in self.audio(module, codec).items()}
        masks = self.example["input_mask"][0], self.example["target_mask"][0]
        return figures.figures(standard, waves, masks, torch.cat(self.mask_means))
