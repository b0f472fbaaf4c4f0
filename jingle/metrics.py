"""Metrics of masks and pieces: pure functions of one value a sample, and their reduction.

Axes: B batch, C latent channels, T frames (75 a second). Masks are (B, C, T) in [0, 1], `m` of the
input (A), `n` of the target (B); latents are standardised. Every kernel returns (B,).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

RATE = 75.0  # latent frames a second
TINY = 1e-8
NAMES = (
    *("complementarity", "coverage_error", "input_mask_mean", "target_mask_mean", "balance_error"),
    *("input_temporal_variance", "target_temporal_variance", "flips", "dwell", "saturation"),
    *("no_op_distance", "energy_share"),
    *("blend_distance", "copying", "copying_input", "copying_target"),
    *("rhythm_f1", "rhythm_correlation", "harmony", "mel_distance"),
    *("real_accuracy", "fake_accuracy"),
)
APART = ("complementarity", "blend_distance", "copying", "rhythm_f1", "harmony", "mel_distance")
TABLES = (
    *(
        "model",
        "plain_average",
        "input_alone",
        "target_alone",
        "gated_sum",
        "silence",
        "blend_itself",
    ),
    *("constant_half", "random_bits", "static_split", "alternation_2s"),
)


def temporal_variance(mask: Tensor) -> Tensor:
    """Unbiased variance along T, averaged over channels; 0.25 for a binary alternation."""
    return mask.var(2).mean(1)


def flips(mask: Tensor) -> Tensor:
    """How often a channel opens or closes (passes 0.5), a second."""
    binary = mask > 0.5
    return (binary[..., 1:] != binary[..., :-1]).sum(2).float().mean(1) * RATE / mask.shape[2]


def dwell(mask: Tensor) -> Tensor:
    """Mean length in seconds of the runs for which a channel stays open or closed."""
    binary = mask > 0.5
    changes = (binary[..., 1:] != binary[..., :-1]).sum((1, 2))
    channels = mask.shape[1]
    return channels * mask.shape[2] / RATE / (channels + changes)


def saturation(mask: Tensor) -> Tensor:
    """Share of cells below 0.1 or above 0.9."""
    return ((mask < 0.1) | (mask > 0.9)).float().mean((1, 2))


def no_op_distance(latents: Tensor, mask: Tensor) -> Tensor:
    """Relative distance between latents and masked latents brought back to the same RMS.

    A constant mask gives 0, a binary mask that passes half of the energy 0.77, sqrt(2 - sqrt(2)).
    """
    masked = latents * mask
    size = latents.square().sum((1, 2)).sqrt()
    masked = masked * (size / (masked.square().sum((1, 2)).sqrt() + TINY))[:, None, None]
    return (masked - latents).square().sum((1, 2)).sqrt() / (size + TINY)


def energy_share(a: Tensor, b: Tensor, m: Tensor, n: Tensor) -> Tensor:
    """Share of the input in the energy that passes the masks."""
    first, second = (a * m).square().sum((1, 2)), (b * n).square().sum((1, 2))
    return first / (first + second + TINY)


def explained(piece: Tensor, *sources: Tensor) -> Tensor:
    """R^2 of a piece on its sources by least squares with a constant: 1 for any weighted sum."""
    y = piece.flatten(1).double()
    y = y - y.mean(1, keepdim=True)
    x = torch.stack([source.flatten(1) for source in sources], 1).double()  # (B, sources, C T)
    x = x - x.mean(2, keepdim=True)
    gram = x @ x.transpose(1, 2) + 1e-9 * torch.eye(len(sources), dtype=x.dtype, device=x.device)
    toward = (x @ y[..., None])[..., 0]
    fitted = (toward * torch.linalg.solve(gram, toward)).sum(1)
    return (fitted / (y.square().sum(1) + TINY)).clamp(0, 1).float()


def blend_distance(piece: Tensor, blend: Tensor) -> Tensor:
    """Mean absolute difference to the blend."""
    return (piece - blend).abs().mean((1, 2))


def of_masks(a: Tensor, b: Tensor, m: Tensor, n: Tensor) -> dict[str, Tensor]:
    """Every metric of a pair of masks."""
    m, n = m.float(), n.float()
    means = m.mean((1, 2)), n.mean((1, 2))
    return {
        "complementarity": 1 - (m * n).mean((1, 2)),
        "coverage_error": (m + n - 1).square().mean((1, 2)),
        "input_mask_mean": means[0],
        "target_mask_mean": means[1],
        "balance_error": torch.stack([(mean - 0.5).abs() for mean in means]).amax(0),
        "input_temporal_variance": temporal_variance(m),
        "target_temporal_variance": temporal_variance(n),
        "flips": (flips(m) + flips(n)) / 2,
        "dwell": (dwell(m) + dwell(n)) / 2,
        "saturation": (saturation(m) + saturation(n)) / 2,
        "no_op_distance": (no_op_distance(a, m) + no_op_distance(b, n)) / 2,
        "energy_share": energy_share(a, b, m, n),
    }


def of_piece(piece: Tensor, a: Tensor, b: Tensor, blend: Tensor) -> dict[str, Tensor]:
    """Every metric of a piece that needs no audio; `copying` counts both sources together."""
    return {
        "blend_distance": blend_distance(piece, blend),
        "copying": explained(piece, a, b),
        "copying_input": explained(piece, a),
        "copying_target": explained(piece, b),
    }


def trivial_masks(like: Tensor, generator: torch.Generator) -> dict[str, tuple[Tensor, Tensor]]:
    """The trivial agents' masks, shaped as `like` (B, C, T): what a good number must beat."""
    one, half = torch.ones_like(like), torch.full_like(like, 0.5)
    bits = [torch.randint(0, 2, like.shape, generator=generator).to(like) for _ in range(2)]
    static = one.clone()
    static[:, like.shape[1] // 2 :] = 0
    seconds = torch.arange(like.shape[2], device=like.device) / RATE
    alternating = one * ((seconds // 2) % 2 == 0)
    return {
        "constant_half": (half, half),
        "random_bits": (bits[0], bits[1]),
        "static_split": (static, 1 - static),
        "alternation_2s": (alternating, 1 - alternating),
    }


class PairTable(Metric):
    """Means over pairs of values named in `NAMES`, over all and apart for matched and random pairs.

    `compute` gives `<name>` for every name that was ever given, and for names in `APART` also
    `matched_<name>`, `random_<name>` and `<name>_se`, the standard error. Of masks it adds what
    follows from the means: chance-corrected complementarity `chance_corrected` = 1 - o / (E m E n),
    the published composition `mask_reg`, and the 95 % quantile `balance_error_q95`.
    """

    full_state_update = False

    def __init__(self):
        super().__init__()
        for state in ("count", "sum", "square"):
            zeros = torch.zeros(2, len(NAMES), dtype=torch.float64)
            self.add_state(f"{state}_of", zeros, dist_reduce_fx="sum")
        self.add_state("imbalance", [], dist_reduce_fx="cat")

    def update(self, values: Mapping[str, Tensor], matched: Tensor) -> None:
        """Take values (B,) by name, those of a batch of pairs; not every name need be there."""
        kinds = torch.stack([~matched, matched]).double()  # (2, B)
        for name, value in values.items():
            k = NAMES.index(name)
            self.count_of[:, k] += kinds.sum(1)
            self.sum_of[:, k] += kinds @ value.double()
            self.square_of[:, k] += kinds @ value.double().square()
        if "balance_error" in values:
            self.imbalance.append(values["balance_error"].float())

    def compute(self) -> dict[str, float]:
        count, total, square = (x.cpu() for x in (self.count_of, self.sum_of, self.square_of))
        found: dict[str, float] = {}
        for k, name in enumerate(NAMES):
            number = float(count[:, k].sum())
            if not number:
                continue
            mean = float(total[:, k].sum()) / number
            found[name] = mean
            if name not in APART:
                continue
            variance = max(0.0, float(square[:, k].sum()) / number - mean**2)
            found[f"{name}_se"] = (variance / max(1.0, number - 1)) ** 0.5
            for kind, label in enumerate(("random", "matched")):
                if count[kind, k]:
                    found[f"{label}_{name}"] = float(total[kind, k] / count[kind, k])
        if "complementarity" in found:
            overlap = 1 - found["complementarity"]
            chance = found["input_mask_mean"] * found["target_mask_mean"]
            if chance > 0:  # a source that is never passed cannot overlap
                found["chance_corrected"] = 1 - overlap / chance
            hinges = (
                max(0.0, 0.05 - found[f"{side}_temporal_variance"]) for side in ("input", "target")
            )
            found["mask_reg"] = overlap + 0.5 * found["coverage_error"] + 5.0 * sum(hinges)
            errors = self.imbalance
            errors = torch.cat(errors) if isinstance(errors, list) else errors
            found["balance_error_q95"] = float(errors.quantile(0.95))
        return found
