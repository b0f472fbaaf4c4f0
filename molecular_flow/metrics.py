"""What a map is worth: swap acceptance, effective samples, free energies, distributions.

Pure functions of works (see `losses`), and one torchmetrics object that collects what they need.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from experiments.shared.errors import InputError
from molecular_flow.physics.energy import BOLTZMANN


def acceptance(forward_work: Tensor, inverse_work: Tensor) -> Tensor:
    """Mean probability that a pair (x, y) swaps to (T^-1 y, T x): E min(1, exp(-w_f - w_i))."""
    return swap_probability(forward_work, inverse_work).mean()


def swap_probability(forward_work: Tensor, inverse_work: Tensor) -> Tensor:
    """Each pair's (B,) probability to swap; 0 where a work is not a number."""
    return torch.exp(-(forward_work + inverse_work)).clamp(max=1).nan_to_num(0)


def standard_error(value: Tensor, ladder: Tensor) -> float:
    """Of the mean of values (B,), from the scatter of the ladders' means; ladders are independent.

    Frames of one ladder are not: a rare basin may hold a replica for most of its time. Needs two
    ladders.
    """
    _, group, counts = ladder.unique(return_inverse=True, return_counts=True)
    means = torch.zeros(len(counts), dtype=value.dtype, device=value.device)
    means = means.index_add(0, group, value) / counts
    share = counts / counts.sum()
    spread = (share.square() * (means - value.mean()).square()).sum()
    return (spread * len(counts) / (len(counts) - 1)).sqrt().item()


def effective_samples(work: Tensor) -> Tensor:
    """Kish's effective sample size of weights exp(-work), as a share of the frames."""
    work = torch.where(work.isfinite(), work, torch.inf)
    return torch.exp(2 * torch.logsumexp(-work, 0) - torch.logsumexp(-2 * work, 0)) / len(work)


def bennett(forward_work: Tensor, inverse_work: Tensor, steps: int = 100) -> float:
    """Free-energy difference f_t - f_s in kT by Bennett's acceptance ratio (1976), by bisection.

    Works of frames with a non-finite energy count as infinite.
    """
    ahead = torch.where(forward_work.isfinite(), forward_work, torch.inf).double()
    back = torch.where(inverse_work.isfinite(), inverse_work, torch.inf).double()
    ratio = math.log(len(ahead) / len(back))

    def imbalance(guess: float) -> float:
        left = torch.sigmoid(-(ratio + ahead - guess)).sum()
        right = torch.sigmoid(-(-ratio + back + guess)).sum()
        return (left - right).item()

    low, high = -1e4, 1e4
    for _ in range(steps):
        middle = 0.5 * (low + high)
        if imbalance(middle) < 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def multistate(energies: list[np.ndarray], betas: list[float], steps: int = 200) -> np.ndarray:
    """Free energies (T,) in kT of a ladder, first 0, from energies of each temperature's frames.

    The multistate Bennett ratio (Shirts and Chodera 2008) as the minimum of its convex objective:
    the fixed-point iteration while it is far, Newton's once that lowers the imbalance more.

    Raises:
        InputError: it does not converge, for temperatures without overlap.
    """
    pooled = torch.tensor(np.concatenate([np.ravel(e) for e in energies])).double()
    pooled = pooled - pooled.mean()  # a constant, put back below
    counts = torch.tensor([np.size(e) for e in energies]).double()
    beta = torch.tensor(betas).double()
    reduced = beta[:, None] * pooled  # (T, frames)

    def shares(free: Tensor) -> Tensor:
        """The probability (T, frames) that each frame is of each temperature."""
        return torch.softmax(counts.log()[:, None] + free[:, None] - reduced, 0)

    free = torch.zeros(len(betas)).double()
    imbalance, shared = math.inf, math.inf
    for _ in range(steps):
        share = shares(free)
        off = share.sum(1) - counts
        imbalance = (off.abs() / counts).max().item()
        if not math.isfinite(imbalance):
            break
        curvature = torch.diag(share.sum(1)) - share @ share.T
        if imbalance < 1e-10:  # the least of the curvature is what holds the ladder together
            shared = torch.linalg.eigvalsh(curvature)[1].item() if len(counts) > 1 else math.inf
            break
        newton = free.clone()
        newton[1:] -= torch.linalg.lstsq(curvature[1:, 1:], off[1:]).solution
        fixed = free - (share.sum(1) / counts).log()
        tried = [guess - guess[0] for guess in (newton, fixed)]
        miss = [((shares(f).sum(1) - counts).abs() / counts).max().nan_to_num(1e9) for f in tried]
        free = tried[0] if miss[0] < miss[1] else tried[1]
    if not imbalance < 1e-6 or shared < 1e-6:
        kelvin = ", ".join(f"{1 / (BOLTZMANN * b):.0f}" for b in betas)
        raise InputError(
            f"expected temperatures whose energies overlap, got {kelvin} K, whose free energies do "
            f"not converge (off by {imbalance:.1g} of the frames): put temperatures "
            "between, or check their labels"
        )
    mean = float(np.concatenate([np.ravel(e) for e in energies]).astype(float).mean())
    return (free + (beta - beta[0]) * mean).numpy()


def overlap(first: Tensor, second: Tensor, bins: int = 60) -> float:
    """Shared area (0 to 1) of the histograms of two samples over their joint range."""
    first, second = first[first.isfinite()].float(), second[second.isfinite()].float()
    if not len(first) or not len(second):
        return 0.0
    low, high = second.min().item(), second.max().item()
    margin = 0.25 * (high - low) + 1e-9
    edges = torch.linspace(low - margin, high + margin, bins + 1)
    one, two = (
        torch.histogram(s.clamp(edges[0], edges[-1]).cpu(), edges)[0] / len(s)
        for s in (first, second)
    )
    return torch.minimum(one, two).sum().item()


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Jensen-Shannon divergence in nats (0 to ln 2) of two tables of counts."""
    p, q = first.double() / first.sum(), second.double() / second.sum()
    middle = 0.5 * (p + q)
    return 0.5 * (torch.xlogy(p, p / middle).nansum() + torch.xlogy(q, q / middle).nansum())


def torsion_counts(torsion: Tensor, bins: int) -> Tensor:
    """Counts (K, bins) of angles (M, K) in radians over the full circle."""
    index = ((torsion / (2 * math.pi) + 0.5) % 1 * bins).long().clamp(0, bins - 1)
    return torch.stack([torch.bincount(column, minlength=bins) for column in index.T])


def pair_counts(first: Tensor, second: Tensor, bins: int) -> Tensor:
    """Counts (bins, bins) of two angles (M,) in radians."""
    i, j = (
        ((a / (2 * math.pi) + 0.5) % 1 * bins).long().clamp(0, bins - 1) for a in (first, second)
    )
    return torch.bincount(i * bins + j, minlength=bins * bins).view(bins, bins)


def _halves(ladder: Tensor) -> tuple[Tensor, Tensor]:
    """Which rows (B,) are of every other ladder, and which of the rest; of one ladder, in time."""
    _, place = ladder.unique(return_inverse=True)
    if place.max() == 0:
        place = torch.arange(len(ladder), device=ladder.device) * 2 // max(1, len(ladder))
    first = place % 2 == 0
    return first, ~first


class TransportMetrics(Metric):
    """Collects works, energies and coordinates of both directions; `compute` gives the metrics.

    `stiff`: number of stiff coordinates; `bonds`: of them bonds; `plane`: the two torsions of the
    Ramachandran plot, or None.
    """

    full_state_update = False

    def __init__(self, stiff: int, bonds: int, plane: tuple[int, int] | None):
        super().__init__()
        self.stiff, self.bonds, self.plane = stiff, bonds, plane
        for name in ("forward_work", "inverse_work", "moved_energy", "energy", "moved", "target",
                     "round_trip", "capped", "ladder"):  # fmt: skip
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, *, forward_work, inverse_work, moved_energy, energy, moved, target,
               round_trip, capped, ladder) -> None:  # fmt: skip
        """Take one batch of pairs.

        Works (B,); energies (B,) kJ/mol and coordinates (B, D) transported and at the target;
        round-trip errors (B,) in nm; 1 where the energy was capped (B,); ladders' numbers (B,).
        """
        self.forward_work.append(forward_work)
        self.inverse_work.append(inverse_work)
        self.moved_energy.append(moved_energy)
        self.energy.append(energy)
        self.moved.append(moved)
        self.target.append(target)
        self.round_trip.append(round_trip)
        self.capped.append(capped)
        self.ladder.append(ladder)

    def compute(self) -> dict[str, float]:
        """See the module's documentation of metric names.

        `ramachandran_divergence` is of one half of the ladders' moved frames from the other half's
        own; `ramachandran_floor`, which no map can be below but by luck, of the two halves' own.
        """

        def whole(state):
            return torch.cat(state) if isinstance(state, list) else state

        ahead, back = whole(self.forward_work).double(), whole(self.inverse_work).double()
        moved, target = whole(self.moved), whole(self.target)
        finite = (ahead.isfinite() & back.isfinite()).double().mean()
        apart, ladder = back.roll(max(1, len(back) // 2)), whole(self.ladder)
        result = {
            "excess": (ahead.mean() + back.mean()).item(),
            "acceptance": acceptance(ahead, back).item(),
            "acceptance_shuffled": acceptance(ahead, apart).item(),
            "ess_forward": effective_samples(ahead).item(),
            "ess_inverse": effective_samples(back).item(),
            "free_energy": bennett(ahead, back),
            "free_energy_upper": ahead.mean().item(),
            "free_energy_lower": -back.mean().item(),
            "energy_overlap": overlap(whole(self.moved_energy), whole(self.energy)),
            "finite_share": finite.item(),
            "capped_share": whole(self.capped).double().mean().item(),
            "round_trip_nm": whole(self.round_trip).max().item(),
        }
        if len(ladder.unique()) > 1:
            result["excess_se"] = standard_error(ahead + back, ladder)
            result["acceptance_se"] = standard_error(swap_probability(ahead, back), ladder)
        bonds = [overlap(moved[:, n], target[:, n]) for n in range(self.bonds)]
        result["bond_overlap"] = sum(bonds) / len(bonds)
        good = moved.isfinite().all(1)
        mine, theirs = moved[good, self.stiff :], target[:, self.stiff :]
        if good.any() and mine.shape[1]:
            tables = zip(torsion_counts(mine, 36), torsion_counts(theirs, 36), strict=True)
            found = torch.stack([divergence(a, b) for a, b in tables])
            result["torsion_divergence"] = found.mean().item()
            if self.plane:
                halves = _halves(ladder)
                tables = [
                    [pair_counts(*part[half][:, self.plane].T, 24) for half in here]
                    for part, here in ((mine, [h[good] for h in halves]), (theirs, halves))
                ]
                cross = divergence(tables[0][0], tables[1][1])
                cross = cross + divergence(tables[0][1], tables[1][0])
                result["ramachandran_divergence"] = cross.item() / 2
                result["ramachandran_floor"] = divergence(*tables[1]).item()
        return result
