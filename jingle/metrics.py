"""Metrics of masks and pieces: pure functions of one value a sample, and their reduction.

Axes: B batch, C latent channels, T frames (75 a second). Masks are (B, C, T) in [0, 1], `m` of the
input (A), `n` of the target (B); latents are standardised. Every kernel returns (B,).
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from scipy.stats import t as student
from torch import Tensor
from torchmetrics import Metric

RATE = 75.0  # latent frames a second
TINY = 1e-8
STAGES = 8  # of a writer, that are measured
OF_MASKS = (
    *("complementarity", "coverage_error", "input_mask_mean", "target_mask_mean", "balance_error"),
    *("input_temporal_variance", "target_temporal_variance", "flips", "dwell", "saturation"),
    *("no_op_distance", "energy_share"),
)
OF_PIECE = ("blend_distance", "copying", "copying_input", "copying_target")
HEARD = (
    *("rhythm_f1", "rhythm_correlation", "rhythm_leak", "rhythm_leak_correlation"),
    *("harmony", "harmony_leak", "mel_distance"),
)
FAMILIARITY = "familiarity"  # how far an agent was trusted with both songs: 1 in full, 0 not at all
DRUMLESS = "drumless"  # share of inputs without drums: what is kept of them is residue
# Better is larger, but for what is in SMALLER. `x_lead`: by how much the model is better than
# hpss_mix on the same pair.
COMPARED = ("blend_distance", *HEARD)
SMALLER = (
    *("blend_distance", "mel_distance", "rhythm_leak", "rhythm_leak_correlation"),
    "harmony_leak",
)
LEADS = tuple(f"{name}_lead" for name in COMPARED)
GAINS = tuple(f"stage_{k}_gain" for k in range(1, STAGES + 1))
NAMES = (
    *OF_MASKS,
    *OF_PIECE,
    *HEARD,
    DRUMLESS,
    FAMILIARITY,
    *LEADS,
    *GAINS,
    "real_accuracy",
    "fake_accuracy",
)
APART = ("complementarity", "blend_distance", "copying", *HEARD)


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


def leads(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By how much each of `COMPARED` is better in `ours` than in `theirs`, pair by pair."""
    return {
        f"{name}_lead": (theirs[name] - ours[name]) * (1 if name in SMALLER else -1)
        for name in COMPARED
        if name in ours and name in theirs
    }


def stage_gains(outputs: Sequence[Tensor], blend: Tensor) -> dict[str, Tensor]:
    """By how much each stage brought the piece nearer to the blend."""
    distances = [blend_distance(output, blend) for output in outputs]
    return {
        f"stage_{k}_gain": before - after
        for k, (before, after) in enumerate(pairwise(distances), 1)
        if k <= STAGES
    }


def mean_and_error(values: Tensor, groups: Tensor) -> tuple[float, float, float]:
    """Mean (N,), its standard error and half its 95 % interval, samples of a group correlated.

    Cluster-robust: what deviates is added up in each group first (Cameron and Miller 2015); the
    interval is Student's with as many degrees of freedom as groups less one.
    """
    mean = values.mean()
    labels = groups.unique(return_inverse=True)[1]
    count = int(labels.max()) + 1
    if count < 2:
        return float(mean), math.nan, math.nan
    sums = torch.zeros(count, dtype=values.dtype).index_add_(0, labels, values - mean)
    error = float(sums.square().sum().sqrt() / len(values) * math.sqrt(count / (count - 1)))
    return float(mean), error, error * float(student.ppf(0.975, count - 1))


class PairTable(Metric):
    """Means over pairs of values named in `NAMES`, over all and apart for matched and random pairs.

    `compute` gives `<name>` for every name that was ever given; for names in `APART` also
    `matched_<name>`, `random_<name>` and `<name>_se`, the standard error; for leads and gains
    `<name>_low` and `<name>_high`, their 95 % interval. Samples that share an input are correlated,
    and are counted so. NaN says that a sample has no such value. Of masks it adds what follows from
    the means: chance-corrected complementarity `chance_corrected` = 1 - o / (E m E n), the
    published composition `mask_reg`, and the 95 % quantile `balance_error_q95`; of stages
    `stage_gain_least`.
    """

    full_state_update = False

    def __init__(self):
        super().__init__()
        for state in ("rows", "matched", "pairs"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, values: Mapping[str, Tensor], matched: Tensor, pair: Tensor) -> None:
        """Take values (B,) by name, those of a batch of pairs; not every name need be there.

        Args:
            values: by name.
            matched: (B,) bool, whether the target is the pair's own.
            pair: (B,) which input it is.
        """
        row = torch.full((len(matched), len(NAMES)), math.nan, dtype=torch.float64)
        for name, value in values.items():
            row[:, NAMES.index(name)] = value.double().cpu()
        self.rows.append(row.to(matched.device))
        self.matched.append(matched)
        self.pairs.append(pair)

    def compute(self) -> dict[str, float]:
        rows, matched, pairs = (
            (torch.cat(x) if isinstance(x, list) else x).cpu()
            for x in (self.rows, self.matched, self.pairs)
        )
        found: dict[str, float] = {}
        for name, column in zip(NAMES, rows.T, strict=True):
            known = column.isfinite()
            if not known.any():
                continue
            mean, error, reach = mean_and_error(column[known], pairs[known])
            found[name] = mean
            if (name in LEADS or name in GAINS) and math.isfinite(reach):
                found |= {f"{name}_low": mean - reach, f"{name}_high": mean + reach}
            if name in APART:
                found[f"{name}_se"] = error
                for label, kind in (("random", ~matched), ("matched", matched)):
                    if (known & kind).any():
                        found[f"{label}_{name}"] = float(column[known & kind].mean())
        gains = [found[name] for name in GAINS if name in found]
        if gains:
            found["stage_gain_least"] = min(gains)
        if "complementarity" in found:
            found |= of_means(found)
            errors = rows[:, NAMES.index("balance_error")]
            found["balance_error_q95"] = float(errors[errors.isfinite()].quantile(0.95))
        return found


def of_means(found: Mapping[str, float]) -> dict[str, float]:
    """What follows from the means of mask metrics over all pairs."""
    overlap = 1 - found["complementarity"]
    hinges = (max(0.0, 0.05 - found[f"{side}_temporal_variance"]) for side in ("input", "target"))
    more = {"mask_reg": overlap + 0.5 * found["coverage_error"] + 5.0 * sum(hinges)}
    chance = found["input_mask_mean"] * found["target_mask_mean"]
    if chance > 0:  # a source that is never passed cannot overlap
        more["chance_corrected"] = 1 - overlap / chance
    return more
