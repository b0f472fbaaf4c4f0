"""OpenMM's own replica exchange with a trained map: five lines in an OpenMM script.

    from molecular_flow.openmm_sampler import MappedReplicaExchangeSampler

    sampler = MappedReplicaExchangeSampler("RUN", [300.0, 450.0], simulation, 500)
    sampler.reporters.append(ReplicaExchangeReporter("out", 10, sampler))
    sampler.simulate(1000)

`simulation` is the script's own `openmm.app.Simulation`, of the molecule that the map was trained
on, with flexible bonds and a time step that these bear.
"""

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from experiments.shared.errors import InputError
from molecular_flow import infer
from molecular_flow.physics.dynamics import mapped_works
from molecular_flow.physics.energy import BOLTZMANN
from molecular_flow.physics.force_field import openmm_modules

_, app, unit = openmm_modules()
Sampler: Any = getattr(app, "ReplicaExchangeSampler", None)
if Sampler is None:
    raise InputError(
        "expected OpenMM 8.6 or newer for its ReplicaExchangeSampler: pip install -U openmm"
    )
KJ = unit.kilojoules_per_mole


class MappedReplicaExchangeSampler(Sampler):
    """`openmm.app.ReplicaExchangeSampler` whose exchanges carry configurations along a map.

    `run`: a run's folder or checkpoint; `temperatures`: rising, in kelvin, that the map serves;
    `steps`: time steps between attempts; `pdb`, `system`: the molecule's file and its OpenMM System
    (.xml), if they lie elsewhere now.
    Neighbours are tried in turn, even pairs and odd ones. `attempts` and `accepted` count by pair.

    Raises:
        InputError: the map serves other temperatures; the simulation has constraints, or another
            molecule or force field than the map.
    """

    def __init__(self, run: str, temperatures: Sequence[float], simulation, steps: int,
                 pdb: str | None = None, system: str | None = None):  # fmt: skip
        self.temperatures = [float(temperature) for temperature in temperatures]
        self.map = infer.load(run, self.temperatures, pdb, system=system)
        super().__init__([{"temperature": t * unit.kelvin} for t in temperatures], simulation,
                         steps)  # fmt: skip
        self.attempts, self.accepted = ([0] * (len(self.temperatures) - 1) for _ in range(2))
        self._check()

    def _check(self) -> None:
        system = self.simulation.system
        if system.getNumConstraints():
            raise InputError(
                f"expected a system with flexible bonds, got {system.getNumConstraints()} "
                "constraints, which a map does not keep: createSystem(constraints=None, "
                "rigidWater=False), and a time step of 1 fs"
            )
        atoms = len(self.map.molecule.atoms)
        if system.getNumParticles() != atoms:
            raise InputError(
                f"expected the {atoms} atoms of {self.map.molecule.label}, got "
                f"{system.getNumParticles()}: take the molecule that the map was trained on"
            )
        state = self.simulation.context.getState(positions=True, energy=True)
        theirs = state.getPotentialEnergy().value_in_unit(KJ)
        ours = self.map.energy(_positions(state)).item()
        if not abs(theirs - ours) < 0.1 + 1e-4 * abs(ours):
            raise InputError(
                f"expected an energy of {ours:.2f} kJ/mol at the simulation's positions, got "
                f"{theirs:.2f}: another order of atoms or another force field than the map's"
            )

    def exchangeReplicas(self) -> None:
        """Try to exchange the neighbours of even pairs, or of odd ones, along the map."""
        count = len(self.temperatures)
        for low in range(self.currentIteration % 2 if count > 2 else 0, count - 1, 2):
            self._exchange(low)

    @torch.no_grad()
    def _exchange(self, low: int) -> None:
        pair = self.temperatures[low : low + 2]
        replicas = [self.replicaStateIndex.index(state) for state in (low, low + 1)]
        states = [self.replicaConformation[replica] for replica in replicas]
        up, log_up = self.map.flow.transport(_positions(states[0]), *pair)
        down, log_down = self.map.flow.transport(_positions(states[1]), *pair, inverse=True)
        before = [self.replicaStateEnergy[r][0].value_in_unit(KJ) for r in replicas]
        moved = [self._moved(state, x) for state, x in zip(states, (up, down), strict=True)]
        after = [state.getPotentialEnergy().value_in_unit(KJ) for state in moved]
        kt = BOLTZMANN * torch.tensor(pair, dtype=torch.float64)
        new = torch.tensor(after[::-1], dtype=torch.float64)  # the lower temperature's first
        work = mapped_works(torch.tensor(before, dtype=torch.float64), new, kt, log_up, log_down)
        self.attempts[low] += 1
        if random.random() < (-work.sum()).exp().item():  # False for a NaN work
            self.accepted[low] += 1
            for replica, state, rung in zip(replicas, moved, (low + 1, low), strict=True):
                # The velocities are rescaled where the replica is simulated next.
                self.replicaConformation[replica] = state
                self.replicaStateIndex[replica] = rung
                level = state.getPotentialEnergy().value_in_unit(KJ)
                self.replicaStateEnergy[replica] = [level] * len(self.temperatures) * KJ

    def _moved(self, state, x: Tensor):
        """The OpenMM state with its atoms at x (1, N, 3) nm."""
        context = self.simulation.context
        context.setState(state)
        context.setPositions(x[0].double().numpy())
        return context.getState(positions=True, velocities=True, energy=True, parameters=True,
                                integratorParameters=True)  # fmt: skip


def _positions(state) -> Tensor:
    """The state's positions (1, N, 3) in nm."""
    return torch.tensor(
        state.getPositions(asNumpy=True).value_in_unit(unit.nanometer), dtype=torch.float32
    )[None]
