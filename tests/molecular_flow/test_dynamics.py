"""Replica exchange leaves the Boltzmann distributions alone, with and without a map."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from molecular_flow import simulate as simulation
from molecular_flow.exchange import effective, round_trips
from molecular_flow.physics.dynamics import Ladders, coarse, mapped_works, phases, rotate
from molecular_flow.physics.energy import BOLTZMANN
from molecular_flow.physics.tree import build_tree
from tests.suite import command


class Toy:
    """Replica exchange in one dimension with `mapped_works`; walks by Metropolis steps."""

    def __init__(self, potential, map_, kt, sign=1.0, pairs=4000):
        self.potential, self.map, self.sign = potential, map_, sign
        self.kt = torch.tensor(kt, dtype=torch.float64).repeat_interleave(pairs)
        self.x = torch.zeros(2 * pairs, dtype=torch.float64)
        self.generator = torch.Generator().manual_seed(0)
        self.pairs = pairs

    def draw(self, kind=torch.rand):
        return kind(2 * self.pairs, generator=self.generator, dtype=torch.float64)

    def walk(self, steps, size):
        for _ in range(steps):
            y = self.x + size * self.draw(torch.randn)
            rise = (self.potential(y) - self.potential(self.x)) / self.kt
            self.x = torch.where(self.draw().log() < -rise, y, self.x)

    def swap(self):
        low, high = self.x.chunk(2)
        (up, log_up), (down, log_down) = self.map(low, False), self.map(high, True)
        new = torch.cat([down, up])
        works = mapped_works(self.potential(self.x), self.potential(new), self.kt, log_up, log_down)
        accept = self.draw()[: self.pairs].log() < -self.sign * works.sum(0)
        self.x = torch.where(accept.repeat(2), new, self.x)


def scaling(factor):
    log = math.log(factor)

    def apply(x, inverse):
        return (x / factor if inverse else x * factor), torch.full_like(x, -log if inverse else log)

    return apply


@pytest.mark.parametrize("factor", [1.0, 1.3, 2**0.5])
def test_mapped_swaps_keep_two_gaussians(factor):
    toy = Toy(lambda x: x**2 / 2, scaling(factor), (1.0, 2.0))
    toy.walk(30, 1.5)
    for _ in range(20):
        toy.swap()
        toy.walk(1, 1.5)
    low, high = toy.x.chunk(2)
    error = (2 / len(low)) ** 0.5
    assert abs(low.var().item() - 1) < 5 * error
    assert abs(high.var().item() / 2 - 1) < 5 * error


def test_the_wrong_sign_is_noticed():
    toy = Toy(lambda x: x**2 / 2, scaling(1.0), (1.0, 2.0), sign=-1.0)
    toy.walk(30, 1.5)
    for _ in range(20):
        toy.swap()
        toy.walk(1, 1.5)
    assert abs(toy.x.chunk(2)[0].var().item() - 1) > 0.1


def test_mapped_swaps_find_the_populations_of_a_double_well():
    """The cold walker crosses a barrier of 12 kT only by exchange; populations are right."""

    def potential(x):
        return 12 * (x**2 - 1) ** 2 + 0.5 * x

    def bent(x, inverse):
        # Monotone, not volume keeping, and not the perfect map: x + 0.2 tanh(x).
        if not inverse:
            return x + 0.2 * torch.tanh(x), (1 + 0.2 / torch.cosh(x) ** 2).log()
        y = x.clone()
        for _ in range(25):
            y = x - 0.2 * torch.tanh(y)
        return y, -(1 + 0.2 / torch.cosh(y) ** 2).log()

    toy = Toy(potential, bent, (1.0, 8.0), pairs=1000)
    toy.x += 1.0  # all in the right-hand, higher well
    for _ in range(200):
        toy.swap()
        toy.walk(3, 0.4)
    grid = torch.linspace(-2.5, 2.5, 5001).double()
    for x, kt in zip(toy.x.chunk(2), (1.0, 8.0), strict=True):
        weight = (-potential(grid) / kt).exp()
        expected = (weight[grid > 0].sum() / weight.sum()).item()
        share = (x > 0).double().mean().item()
        assert abs(share - expected) < 5 * (expected * (1 - expected) / len(x)) ** 0.5


def test_rotation_turns_one_torsion_alone(dipeptide, noisy):
    from molecular_flow.coordinates.internal import InternalCoordinates, wrap

    coordinates = InternalCoordinates(dipeptide).double()
    before, _ = coordinates.encode(noisy)
    tree = build_tree(dipeptide)
    for row, torsion in enumerate(tree.torsions):
        moved = torch.zeros(len(noisy), 23, dtype=torch.bool)
        moved[:, tree.moved_by(torsion)] = True
        axis = torch.tensor([[torsion.grand, torsion.parent]]).expand(len(noisy), 2)
        turned = rotate(noisy, axis, moved, torch.full((len(noisy),), 0.7, dtype=noisy.dtype))
        change = wrap(coordinates.encode(turned)[0] - before)
        change[:, 56 + row] -= 0.7
        assert change.abs().max() < 1e-9


def test_same_seed_same_run_and_another_differs(dipeptide):
    runs = [Ladders(dipeptide, [300.0, 450.0], 3, seed) for seed in (5, 5, 6)]
    for run in runs:
        run.advance(60)
    assert torch.equal(runs[0].x, runs[1].x)
    assert not torch.equal(runs[0].x, runs[2].x)
    assert runs[0].steps == 60
    assert runs[0].counts.swap_attempts.tolist() == [3]


def test_a_plan_counts_its_energies_and_swaps_by_the_stretch(dipeptide, tiny_plan):
    plan = replace(tiny_plan, ladders=24, frames=10, spacing_ps=0.04, equilibrate_ps=0.9)
    counts = []
    for transport in (simulation.stretch(dipeptide, "cpu"), None):
        ladders = Ladders(dipeptide, [300.0, 450.0], plan.ladders, 0, transport=transport)
        ladders.equilibrate(round(plan.equilibrate_ps / plan.step_ps))
        assert ladders.step_ps == plan.step_ps
        ladders.advance(plan.frames * round(plan.spacing_ps / plan.step_ps))
        counts.append((ladders.counts.swap_accepts / ladders.counts.swap_attempts).item())
        if transport:
            assert plan.evaluations() == pytest.approx(ladders.evaluations, rel=0.02)
    assert counts[0] > 0.3 > counts[1]


def test_coarse_steps_cover_the_same_time():
    for steps, step_ps in ((3000, 0.002), (100, 0.002), (600, 0.004)):
        hot, cool, settle = phases(steps, step_ps)
        longer = coarse(step_ps)
        assert longer <= max(step_ps, 0.004)
        assert (hot + cool) * longer + settle * step_ps == pytest.approx(steps * step_ps, rel=0.02)
        assert settle >= min(steps // 3, 1.0 / step_ps)


def test_an_interrupted_simulation_continues_bit_for_bit(tmp_path, tiny_plan, monkeypatch):
    plan = replace(tiny_plan, ladders=2, frames=6, spacing_ps=0.04, equilibrate_ps=0.04)
    monkeypatch.setattr(simulation, "FRAMES_PER_PART", 2)
    simulation.simulate(plan, tmp_path / "whole.npz")
    keep, calls = simulation._keep, []

    def stop_after_two(*args):
        keep(*args)
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(simulation, "_keep", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        simulation.simulate(plan, tmp_path / "cut.npz")
    monkeypatch.setattr(simulation, "_keep", keep)
    with pytest.raises(InputError, match="another plan"):
        simulation.simulate(replace(plan, seed=9), tmp_path / "cut.npz")
    simulation.simulate(plan, tmp_path / "cut.npz")
    with np.load(tmp_path / "whole.npz") as one, np.load(tmp_path / "cut.npz") as two:
        assert set(one.files) == set(two.files)
        for key in one.files:
            assert np.array_equal(one[key], two[key]), key
    assert not (tmp_path / "cut.npz.parts").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"temperatures": (450.0, 300.0)},
        {"temperatures": (300.0,)},
        {"frames": 0},
        {"step_ps": 0.01},
        {"spacing_ps": 0.0001},
    ],
)
def test_impossible_plans(tmp_path, tiny_plan, change):
    with pytest.raises(InputError, match="expected"):
        simulation.simulate(replace(tiny_plan, **change), tmp_path / "x.npz")


def test_round_trips_and_effective_samples():
    walkers = torch.tensor([[0, 1], [1, 0], [1, 0], [0, 1], [1, 0]])[:, :, None]  # (F, T, 1)
    assert round_trips(walkers).item() == 2  # walker 0 home at frame 3, walker 1 at frame 4
    torch.manual_seed(0)
    free, orders = torch.randn(50, 64, 1), torch.ones(1)
    assert effective(free, orders).item() == pytest.approx(50 * 64, rel=0.5)
    stuck = free[:1].expand(50, 64, 1) + 1e-3 * free
    assert effective(stuck, orders).item() == pytest.approx(64, rel=0.5)
    # A methyl that keeps its labels: only what is left when they are forgotten counts.
    labelled = 0.1 * free + 2 * math.pi / 3 * torch.randint(3, (1, 64, 1))
    assert effective(labelled, orders).item() < 100
    assert effective(labelled, 3 * orders).item() == pytest.approx(50 * 64, rel=0.5)


@pytest.mark.slow
def test_mean_energies_are_openmms(dipeptide):
    """The batched dynamics against OpenMM's own integrator and force field."""
    from molecular_flow.physics.molecule import load_system, openmm_modules

    openmm, _, unit = openmm_modules()
    temperature = 300.0
    mine = Ladders(dipeptide, [temperature, 400.0], 48, 0)
    mine.equilibrate(400)
    ours = []
    for _ in range(30):
        mine.advance(20)
        ours.append(mine.u[:48])
    ours = torch.stack(ours).mean(0).double()
    integrator = openmm.LangevinMiddleIntegrator(temperature, 5.0, 0.001)
    integrator.setRandomNumberSeed(1)
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(load_system(dipeptide), integrator, platform, {"Threads": "1"})
    # One short run for each ladder: basins are left rarely, so that one long run is one sample.
    theirs = torch.zeros(48, 5, dtype=torch.float64)
    for k in range(48):
        context.setPositions(mine.x[k].numpy())
        context.setVelocitiesToTemperature(temperature, k)
        integrator.step(300)
        for i in range(5):
            integrator.step(40)
            energy = context.getState(energy=True).getPotentialEnergy()
            theirs[k, i] = energy.value_in_unit(unit.kilojoule_per_mole)
    theirs = theirs.mean(1)
    error = math.hypot(ours.std().item() / 48**0.5, theirs.std().item() / 48**0.5)
    assert error < 3
    assert abs(ours.mean().item() - theirs.mean().item()) < 4 * error
    # Equipartition of the 63 internal coordinates, in the harmonic limit, holds within 15 %.
    lowest = mine.energy(torch.tensor(dipeptide.positions).float()[None]).item()
    heat = (ours.mean().item() - lowest) / (BOLTZMANN * temperature)
    assert abs(heat / 31.5 - 1) < 0.15


def test_another_process_simulates_the_same(tmp_path):
    """From the sequence to the last frame: building a molecule must not depend on the process."""
    plan = ("--temperatures", "300", "450", "--ladders", "2", "--frames", "2",
            "--spacing-ps", "0.008", "--equilibrate-ps", "0.04")  # fmt: skip
    frames = []
    for name in ("one.npz", "two.npz"):
        done = command(str(tmp_path / name), *plan, module="molecular_flow.simulate")
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / name) as file:
            frames.append(file["positions_nm"])
    assert np.array_equal(*frames)
