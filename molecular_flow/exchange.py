"""Replica exchange of two or more temperatures, plain and with a flow, and dynamics alone."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from experiments.shared.errors import InputError
from experiments.shared.progress import Progress
from molecular_flow.coordinates.internal import dihedral
from molecular_flow.metrics import bennett, multistate
from molecular_flow.physics.dynamics import SWAP_EVERY, Ladders
from molecular_flow.physics.energy import beta
from molecular_flow.physics.molecule import Molecule
from molecular_flow.physics.tree import build_tree

GROUPS = 8  # of ladders, for standard errors


@dataclass
class Outcome:
    """What one kind of run did; counts are over all ladders; nan what dynamics alone has not."""

    acceptance: float  # of the pair of neighbours that swaps least
    round_trips_per_million: float  # evaluations
    effective_samples_per_million: float  # of the slowest torsion at the lowest temperature
    round_trips_per_second: float  # of this process on its processors, the map counted
    effective_samples_per_second: float
    free_energy: float  # f(highest) - f(lowest) in kT
    free_energy_error: float  # standard error over groups of ladders
    seconds: float
    energy_evaluations: int


def run(
    molecule: Molecule,
    temperatures: list[float],
    *,
    ladders: int,
    seed: int,
    evaluations: float = math.inf,
    seconds: float = math.inf,
    transport=None,
    equilibrate_ps: float = 4.0,
    turns: bool = False,
    label: str = "",
    watch: Callable[[Ladders], None] | None = None,
) -> Outcome:
    """Exchange until `evaluations` of the energy or `seconds` are spent, whichever is first.

    The equilibration before is not counted. `temperatures` in kelvin, rising; a single one is
    molecular dynamics. `transport`: the map of `dynamics.Ladders`, or None for plain exchange.
    `turns`: with torsion moves. `watch` sees the state after each attempt to exchange. Seconds are
    of the processor, so that what else the machine does is not counted.
    """
    state = Ladders(molecule, temperatures, ladders, seed, transport=transport)
    state.equilibrate(round(equilibrate_ps / state.step_ps))
    # The moves that help the equilibration would hide what the exchange does.
    state.turns, state.evaluations, state.works = turns, 0, [[] for _ in temperatures[1:]]
    axes, orders = torsions(molecule)
    walkers, angles, energies, spent = [], [], [], 0.0
    by_time = math.isinf(evaluations)
    total, unit = (seconds, "second") if by_time else (evaluations, "evaluation")
    with Progress(round(total), f"exchange {label}".strip(), unit) as bar:
        while state.evaluations < evaluations and spent < seconds:
            before, start = state.evaluations, time.process_time()
            state.advance(SWAP_EVERY)
            more = time.process_time() - start
            spent += more
            walkers.append(state.walkers.clone())
            angles.append(dihedral(state.x[:ladders], *axes.T))
            energies.append(state.u.view(state.shape).clone())
            if watch:
                watch(state)
            bar.update(int(spent) - bar.done if by_time else state.evaluations - before)
    millions = state.evaluations / 1e6
    alone = len(temperatures) == 1
    trips = math.nan if alone else round_trips(torch.stack(walkers)).item()
    samples = effective(torch.stack(angles), orders).item()
    works = [torch.stack(found, 1) for found in state.works]  # (2, attempts, L) of each pair
    free, error = free_energy(works, torch.stack(energies, -1), temperatures, transport is not None)
    counts = state.counts
    return Outcome(
        acceptance=math.nan if alone else (counts.swap_accepts / counts.swap_attempts).min().item(),
        round_trips_per_million=trips / millions,
        effective_samples_per_million=samples / millions,
        round_trips_per_second=trips / spent,
        effective_samples_per_second=samples / spent,
        free_energy=free,
        free_energy_error=error,
        seconds=spent,
        energy_evaluations=state.evaluations,
    )


def free_energy(
    works: list[Tensor], energies: Tensor, temperatures: list[float], mapped: bool
) -> tuple[float, float]:
    """f(highest) - f(lowest) in kT and its standard error, from the scatter of groups of ladders.

    With a map the sum of Bennett's over neighbours, from `works` (2, attempts, L) of each pair;
    without one MBAR over all rungs, from `energies` (T, L, F) in kJ/mol. nan for a single rung, and
    where too few frames overlap.
    """
    if len(temperatures) == 1:
        return math.nan, math.nan
    betas = [beta(temperature) for temperature in temperatures]

    def estimate(ladders: Tensor) -> float:
        if mapped:
            return sum(bennett(*pair[:, :, ladders].flatten(1)) for pair in works)
        rows = energies[:, ladders].flatten(1).numpy()
        try:
            return float(multistate(list(rows), betas)[-1])
        except InputError:
            return math.nan

    everybody = torch.arange(energies.shape[1])
    parts = [estimate(group) for group in everybody.tensor_split(min(GROUPS, len(everybody)))]
    return estimate(everybody), float(np.std(parts, ddof=1) / len(parts) ** 0.5)


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
