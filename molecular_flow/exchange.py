"""Replica exchange of two temperatures, plain and with a flow, and dynamics alone beside it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.shared.progress import Progress
from molecular_flow.coordinates.internal import dihedral
from molecular_flow.metrics import bennett
from molecular_flow.physics.dynamics import SWAP_EVERY, Ladders
from molecular_flow.physics.molecule import Molecule
from molecular_flow.physics.tree import build_tree

GROUPS = 8  # of ladders, for standard errors


@dataclass
class Outcome:
    """What one kind of run did; counts are over all ladders; nan what dynamics alone has not."""

    acceptance: float
    round_trips_per_million: float
    effective_samples_per_million: float  # of the slowest torsion at the lower temperature
    free_energy: float  # f(target) - f(source) in kT
    free_energy_error: float  # standard error over groups of ladders
    energy_evaluations: int


def run(
    molecule: Molecule,
    pair: tuple[float, float],
    budget: int,
    *,
    ladders: int,
    seed: int,
    transport=None,
    temperatures: list[float] | None = None,
    equilibrate_ps: float = 4.0,
    turns: bool = False,
    label: str = "",
    watch: Callable[[Ladders], None] | None = None,
) -> Outcome:
    """Exchange until `budget` energy evaluations are spent, after an uncounted equilibration.

    `transport`: the map of `dynamics.Ladders`, or None for plain exchange, which may have rungs
    between (`temperatures`, first and last being the pair), or a single one: molecular dynamics.
    `turns`: with torsion moves. `watch` sees the state after each attempt to exchange.
    """
    rungs = temperatures or list(pair)
    state = Ladders(molecule, rungs, ladders, seed, transport=transport)
    state.equilibrate(round(equilibrate_ps / state.step_ps))
    # The moves that help the equilibration would hide what the exchange does.
    state.turns, state.evaluations, state.works = turns, 0, []
    axes, orders = torsions(molecule)
    walkers, angles = [], []
    with Progress(budget, f"exchange {label}".strip(), "evaluation") as bar:
        while state.evaluations < budget:
            before = state.evaluations
            state.advance(SWAP_EVERY)
            walkers.append(state.walkers.clone())
            angles.append(dihedral(state.x[:ladders], *axes.T))
            if watch:
                watch(state)
            bar.update(state.evaluations - before)
    cost = state.evaluations / 1e6
    alone = len(rungs) == 1
    trips = float("nan") if alone else round_trips(torch.stack(walkers)).item()
    works = torch.stack(state.works, 1) if state.works else None  # (2, attempts, L)
    free, error = (float("nan"),) * 2
    if works is not None:
        free = bennett(works[0].flatten(), works[1].flatten())
        parts = torch.tensor(
            [bennett(*part.flatten(1)) for part in works.tensor_split(min(GROUPS, ladders), 2)]
        )
        error = (parts.std() / len(parts) ** 0.5).item()
    counts = state.counts
    return Outcome(
        acceptance=float("nan")
        if alone
        else (counts.swap_accepts / counts.swap_attempts).min().item(),
        round_trips_per_million=trips / cost,
        effective_samples_per_million=effective(torch.stack(angles), orders).item() / cost,
        free_energy=free,
        free_energy_error=error,
        energy_evaluations=state.evaluations,
    )


def round_trips(walkers: Tensor) -> Tensor:
    """Journeys bottom - top - bottom in walkers (F, T, L): the walker at each rung over time."""
    # By walker: 0 has not been at the bottom yet, 1 is on its way up, 2 on its way down.
    way = torch.zeros(walkers.shape[1:], dtype=torch.long)
    ladders = torch.arange(walkers.shape[2])
    trips = torch.zeros((), dtype=torch.long)
    for frame in walkers:
        low, high = frame[0], frame[-1]
        trips += (way[low, ladders] == 2).sum()
        way[low, ladders] = 1
        way[high, ladders] = torch.where(way[high, ladders] == 1, 2, way[high, ladders])
    return trips


def torsions(molecule: Molecule) -> tuple[Tensor, Tensor]:
    """Atoms (K, 4) of the torsions, and by how many turns of like end atoms each is the same (K,).

    A methyl's three hydrogens are alike: a turn of its dihedral by 120 degrees is no other
    conformation.
    """
    tree = build_tree(molecule)
    like = {group[0]: len(group) for group in tree.groups}
    axes = torch.tensor([[p.atom, p.parent, p.grand, p.great] for p in tree.torsions])
    return axes, torch.tensor([like.get(p.atom, 1) for p in tree.torsions])


def effective(angles: Tensor, orders: Tensor) -> Tensor:
    """Independent samples in angles (F, L, K) of the slowest of K torsions, over all L ladders.

    By the scatter of the ladders' means, which are independent: L var(all) / var(means). Each angle
    counts up to its symmetry `orders` (K,), for labels of like atoms say nothing.
    """
    folded = angles * orders
    waves = torch.stack([folded.cos(), folded.sin()], -1).double()
    means = waves.mean(0)  # (L, K, 2)
    inner = waves.var((0, 1)).sum(-1)
    outer = means.var(0).sum(-1)
    return (angles.shape[1] * inner / outer).min()
