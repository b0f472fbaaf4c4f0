"""Replica exchange between two temperatures, plain and with a flow, at equal cost."""

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from molecular_flow.coordinates.internal import dihedral
from molecular_flow.metrics import bennett
from molecular_flow.physics.dynamics import SWAP_EVERY, Ladders
from molecular_flow.physics.molecule import Molecule
from molecular_flow.physics.tree import build_tree

GROUPS = 8  # of ladders, for standard errors


@dataclass
class Outcome:
    """What one kind of exchange did; counts are over all ladders."""

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
    label: str = "",
) -> Outcome:
    """Exchange until `budget` energy evaluations are spent, after an uncounted equilibration.

    `transport`: the map of `dynamics.Ladders`, or None for plain exchange, which may have rungs
    between (`temperatures`, first and last being the pair).
    """
    rungs = temperatures or list(pair)
    state = Ladders(molecule, rungs, ladders, seed, transport=transport)
    state.equilibrate(round(equilibrate_ps / state.step_ps))
    # The moves that help the equilibration would hide what the exchange does.
    state.turns, state.evaluations, state.works = False, 0, []
    axes = torch.tensor(
        [[p.atom, p.parent, p.grand, p.great] for p in build_tree(molecule).torsions]
    )
    walkers, angles = [], []
    with tqdm(total=budget, desc=f"exchange {label}", unit="eval", mininterval=2) as bar:
        while state.evaluations < budget:
            before = state.evaluations
            state.advance(SWAP_EVERY)
            walkers.append(state.walkers.clone())
            angles.append(dihedral(state.x[:ladders], *axes.T))
            bar.update(state.evaluations - before)
    cost = state.evaluations / 1e6
    trips = round_trips(torch.stack(walkers)).item()
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
        acceptance=(counts.swap_accepts / counts.swap_attempts).min().item(),
        round_trips_per_million=trips / cost,
        effective_samples_per_million=effective(torch.stack(angles)).item() / cost,
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


def effective(angles: Tensor) -> Tensor:
    """Independent samples in angles (F, L, K) of the slowest of K torsions, over all L ladders.

    By the scatter of the ladders' means, which are independent: L var(all) / var(means).
    """
    waves = torch.stack([angles.cos(), angles.sin()], -1).double()
    means = waves.mean(0)  # (L, K, 2)
    inner = waves.var((0, 1)).sum(-1)
    outer = means.var(0).sum(-1)
    return (angles.shape[1] * inner / outer).min()
