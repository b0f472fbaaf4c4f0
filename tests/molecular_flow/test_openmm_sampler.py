"""An OpenMM script gets the mapped exchange in five lines; what does not fit is refused."""

import random

import pytest

from experiments.shared.errors import InputError
from molecular_flow.physics import molecule as molecules
from tests.molecular_flow.untrained import saved

_, app, unit = molecules.openmm_modules()
import openmm  # noqa: E402


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A map that is the analytic stretch, as a run would save it."""
    return str(saved(tmp_path_factory.mktemp("run") / "flow.ckpt", 300.0, 450.0))


def simulation(molecule, temperature: float = 300.0, system=None):
    """As an OpenMM script makes it: the molecule's own system, on one thread."""
    integrator = openmm.LangevinMiddleIntegrator(temperature, 2.0, 0.001)
    integrator.setRandomNumberSeed(1)
    system = system or molecules.load_system(molecule)
    platform = openmm.Platform.getPlatformByName("CPU")
    made = app.Simulation(app.Topology(), system, integrator, platform, {"Threads": "1"})
    made.context.setPositions(molecule.positions)
    made.context.setVelocitiesToTemperature(temperature, 1)
    return made


def test_five_lines(run, dipeptide, tmp_path):
    from molecular_flow.openmm_sampler import MappedReplicaExchangeSampler

    random.seed(0)
    sampler = MappedReplicaExchangeSampler(run, [300.0, 450.0], simulation(dipeptide), 100)
    energies: dict[int, list[float]] = {0: [], 1: []}
    sampler.reporters.append(
        lambda s: [
            energies[state].append(s.replicaStateEnergy[replica][0]._value)
            for replica, state in enumerate(s.replicaStateIndex)
        ]
    )
    sampler.simulate(30)
    assert sampler.attempts == [30]
    assert 0 < sampler.accepted[0] < 30  # plain swaps: one in ten
    # Right after a swap the colder state is the colder one by its energy: 34 modes' half kT.
    cold, hot = (sum(energies[n][10:]) / 20 for n in (0, 1))
    assert 20 < hot - cold < 90
    assert sorted(sampler.replicaStateIndex) == [0, 1]


def test_an_accepted_exchange_moves_the_configurations(run, dipeptide, monkeypatch):
    from molecular_flow.openmm_sampler import MappedReplicaExchangeSampler, _positions

    sampler = MappedReplicaExchangeSampler(run, [300.0, 450.0], simulation(dipeptide), 50)
    sampler.exchangeReplicas, exchange = (lambda: None), sampler.exchangeReplicas
    sampler.simulate(1)
    before = [_positions(state) for state in sampler.replicaConformation]
    monkeypatch.setattr(random, "random", lambda: 0.0)
    exchange()
    assert sampler.replicaStateIndex == [1, 0]
    for replica, inverse in ((0, False), (1, True)):
        expected, _ = sampler.map.flow.transport(before[replica], 300.0, 450.0, inverse=inverse)
        found = _positions(sampler.replicaConformation[replica])
        assert (found - expected).abs().max() < 1e-5
        energy = sampler.replicaStateEnergy[replica][0]._value
        assert energy == pytest.approx(sampler.map.energy(found).item(), abs=0.05)


def test_what_does_not_fit(run, dipeptide, capped_alanine):
    from molecular_flow.openmm_sampler import MappedReplicaExchangeSampler

    held = molecules.build("AA", constraints=True)
    with pytest.raises(InputError, match="constraints=None"):
        MappedReplicaExchangeSampler(run, [300.0, 450.0], simulation(held), 50)
    other = molecules.build(pdb=str(capped_alanine))
    with pytest.raises(InputError, match="23 atoms of AA, got 22"):
        MappedReplicaExchangeSampler(run, [300.0, 450.0], simulation(other), 50)
    vacuum = molecules.build("AA", force_field=("amber99sbildn.xml",))
    with pytest.raises(InputError, match="another force field"):
        MappedReplicaExchangeSampler(run, [300.0, 450.0], simulation(vacuum), 50)
    with pytest.raises(InputError, match="train that pair"):
        MappedReplicaExchangeSampler(run, [300.0, 400.0], simulation(dipeptide), 50)
