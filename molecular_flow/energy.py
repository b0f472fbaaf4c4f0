"""The force field as batched torch operations, read from an OpenMM System's own parameters.

Axes: `N` atoms, `P` = N (N - 1) / 2 pairs, `B` batch. Inside, the batch is the last axis, so that
every operation streams over it. Units: nm, kJ/mol.
"""

import math
import re

import numpy as np
import torch
from torch import Tensor, nn

from experiments.shared.errors import InputError
from molecular_flow.molecule import Molecule, load_system, openmm_modules
from molecular_flow.pairs import PairTerms

BOLTZMANN = 8.314462618e-3  # kJ/mol/K
COULOMB = 138.93545764438198  # kJ/mol nm/e^2, the constant of OpenMM's NonbondedForce
KNOWN = {
    "HarmonicBondForce",
    "HarmonicAngleForce",
    "PeriodicTorsionForce",
    "NonbondedForce",
    "CustomGBForce",
    "GBSAOBCForce",
    "CMMotionRemover",
}


def beta(temperature: float) -> float:
    """Inverse temperature in mol/kJ."""
    return 1.0 / (BOLTZMANN * temperature)


class TorchEnergy(nn.Module):
    """Potential energy of one molecule in kJ/mol, differentiable, on CPU and GPU.

    Takes harmonic bonds and angles, periodic torsions, Lennard-Jones and Coulomb without cut-off
    with their exceptions, and generalised Born (OBC1 and OBC2, as CustomGBForce or GBSAOBCForce).

    Raises:
        InputError: the system holds constraints, or a force that is not among these.
    """

    def __init__(self, molecule: Molecule):
        super().__init__()
        system = load_system(molecule)
        if system.getNumConstraints():
            raise InputError(
                f"expected a system without constraints as target, got "
                f"{system.getNumConstraints()}: their springs are missing from the energy and the "
                "loss has no lower bound; build the molecule with constraints=False"
            )
        forces = {force.getName(): force for force in system.getForces()}
        unknown = sorted(set(forces) - KNOWN)
        if unknown:
            raise InputError(f"expected forces of {sorted(KNOWN)}, got {unknown}: not supported")
        self.atoms = atoms = system.getNumParticles()
        rows, columns = np.triu_indices(atoms, 1)
        self._pair = np.zeros((atoms, atoms), dtype=int)
        self._pair[rows, columns] = self._pair[columns, rows] = np.arange(len(rows))
        incidence = np.zeros((len(rows), atoms))
        incidence[np.arange(len(rows)), rows] = 1
        incidence[np.arange(len(rows)), columns] = -1
        self._keep("incidence", incidence)  # (P, N): positions to pair vectors x_i - x_j
        self._read_bonds(forces.get("HarmonicBondForce"))
        self._read_angles(forces.get("HarmonicAngleForce"))
        self._read_torsions(forces.get("PeriodicTorsionForce"))
        self.pairs = PairTerms(
            rows,
            columns,
            *_nonbonded(forces.get("NonbondedForce"), atoms, self._pair, rows, columns),
            _generalised_born(forces, atoms),
        )

    def _keep(self, name: str, value) -> None:
        tensor = torch.as_tensor(np.asarray(value))
        if tensor.is_floating_point():
            tensor = tensor.double()
        self.register_buffer(name, tensor, persistent=False)

    def _edge(self, start, end) -> tuple[np.ndarray, np.ndarray]:
        """Pair number and sign such that x_start - x_end = sign * pair vector."""
        start, end = np.asarray(start, dtype=int), np.asarray(end, dtype=int)
        return self._pair[start, end], np.where(start < end, 1.0, -1.0)

    def _read_bonds(self, force) -> None:
        terms = [force.getBondParameters(n) for n in range(force.getNumBonds())] if force else []
        self._keep("bond_pair", self._pair[[t[0] for t in terms], [t[1] for t in terms]])
        self._keep("bond_length", np.array([[t[2]._value] for t in terms]).reshape(-1, 1))
        self._keep("bond_stiffness", np.array([[t[3]._value] for t in terms]).reshape(-1, 1))

    def _read_angles(self, force) -> None:
        terms = [force.getAngleParameters(n) for n in range(force.getNumAngles())] if force else []
        first, second = (
            self._edge([t[end] for t in terms], [t[1] for t in terms]) for end in (0, 2)
        )
        self._keep("angle_pairs", np.stack([first[0], second[0]]))  # (2, angles)
        self._keep("angle_sign", (first[1] * second[1])[:, None])
        self._keep("angle_rest", np.array([t[3]._value for t in terms]).reshape(-1, 1))
        self._keep("angle_stiffness", np.array([t[4]._value for t in terms]).reshape(-1, 1))

    def _read_torsions(self, force) -> None:
        """Terms on the same four atoms become one row of Fourier coefficients."""
        quads: dict[tuple[int, ...], list] = {}
        for n in range(force.getNumTorsions() if force else 0):
            *quad, periodicity, phase, height = force.getTorsionParameters(n)
            if height._value:
                quads.setdefault(tuple(quad), []).append((periodicity, phase._value, height._value))
        order = max((t[0] for terms in quads.values() for t in terms), default=1)
        cosine, sine = np.zeros((len(quads), order + 1)), np.zeros((len(quads), order + 1))
        for row, terms in enumerate(quads.values()):
            for periodicity, phase, height in terms:
                cosine[row, periodicity] += height * math.cos(phase)
                sine[row, periodicity] += height * math.sin(phase)
                cosine[row, 0] += height
        corners = np.array(list(quads), dtype=int).reshape(-1, 4)
        edges = [self._edge(corners[:, k], corners[:, k + 1]) for k in range(3)]
        self._keep("torsion_pairs", np.stack([e[0] for e in edges]))  # (3, torsions)
        self._keep("torsion_sign", np.stack([e[1] for e in edges])[:, :, None, None])
        self._keep("torsion_cosine", cosine[:, :, None])  # (torsions, order + 1, 1)
        self._keep("torsion_sine", sine[:, :, None])
        self.torsion_order = order
        self.odd_torsions = bool(np.abs(sine).max(initial=0.0) > 1e-6)

    def forward(self, positions: Tensor) -> Tensor:
        """Energies (B,) in kJ/mol of positions (B, N, 3) in nm."""
        return sum(self.terms(positions).values())

    def terms(self, positions: Tensor) -> dict[str, Tensor]:
        """Energies (B,) in kJ/mol by kind: bond, angle, torsion, nonbonded (with solvent)."""
        batch = positions.shape[0]
        flat = positions.permute(1, 2, 0).reshape(self.atoms, 3 * batch)
        vectors = (self.incidence @ flat).view(-1, 3, batch)  # (P, 3, B)
        squared = vectors.square().sum(1)  # (P, B)
        return {
            "bond": self._bonds(squared),
            "angle": self._angles(vectors, squared),
            "torsion": self._torsions(vectors),
            "nonbonded": self.pairs(squared),
        }

    def _bonds(self, squared: Tensor) -> Tensor:
        stretch = squared[self.bond_pair].sqrt() - self.bond_length
        return 0.5 * (self.bond_stiffness * stretch.square()).sum(0)

    def _angles(self, vectors: Tensor, squared: Tensor) -> Tensor:
        first, second = self.angle_pairs
        cosine = self.angle_sign * (vectors[first] * vectors[second]).sum(1)
        cosine = cosine * (squared[first] * squared[second]).rsqrt()
        limit = 1 - 1e-7  # arccos has no derivative at a straight angle
        bend = torch.acos(cosine.clamp(-limit, limit)) - self.angle_rest
        return 0.5 * (self.angle_stiffness * bend.square()).sum(0)

    def _torsions(self, vectors: Tensor) -> Tensor:
        """Sum of A_n cos(n phi) + B_n sin(n phi) by the Chebyshev recursion in cos(phi)."""
        first, middle, last = vectors[self.torsion_pairs] * self.torsion_sign
        left = torch.linalg.cross(first, middle, dim=1)
        right = torch.linalg.cross(middle, last, dim=1)
        # The floor keeps a collinear frame finite: its torsion is undefined.
        scale = (left.square().sum(1) * right.square().sum(1)).clamp_min(1e-20).rsqrt()
        cosine = (left * right).sum(1) * scale
        before, now = torch.ones_like(cosine), cosine
        total = self.torsion_cosine[:, 0] + self.torsion_cosine[:, 1] * now
        for n in range(2, self.torsion_order + 1):
            before, now = now, 2 * cosine * now - before
            total = total + self.torsion_cosine[:, n] * now
        if self.odd_torsions:
            sine = (first * right).sum(1) * middle.square().sum(1).sqrt() * scale
            before, now = torch.zeros_like(cosine), torch.ones_like(cosine)
            for n in range(1, self.torsion_order + 1):
                total = total + self.torsion_sine[:, n] * sine * now
                before, now = now, 2 * cosine * now - before
        return total.sum(0)

    def with_gradient(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (B,) in kJ/mol and their gradient (B, N, 3) in kJ/mol/nm (force = -gradient)."""
        with torch.inference_mode(False), torch.enable_grad():
            leaf = positions.detach().clone().requires_grad_(True)
            energies = self(leaf)
            (gradient,) = torch.autograd.grad(energies.sum(), leaf)
        return energies.detach(), gradient


def _nonbonded(force, atoms: int, pair: np.ndarray, rows, columns):
    """Per pair: Coulomb strength (kJ/mol nm), r^-12 and r^-6 coefficients."""
    if force is None:
        return np.zeros((3, len(rows)))
    if force.getNonbondedMethod() != force.NoCutoff:
        raise InputError("expected a NonbondedForce without cut-off: build it with NoCutoff")
    own = np.array([[v._value for v in force.getParticleParameters(n)] for n in range(atoms)])
    charge, sigma, depth = own.T
    strength = COULOMB * charge[rows] * charge[columns]
    sigma = 0.5 * (sigma[rows] + sigma[columns])
    depth = np.sqrt(depth[rows] * depth[columns])
    for n in range(force.getNumExceptions()):
        i, j, product, size, well = force.getExceptionParameters(n)
        p = pair[i, j]
        strength[p] = COULOMB * product._value
        sigma[p], depth[p] = size._value, well._value
    return np.stack([strength, 4 * depth * sigma**12, 4 * depth * sigma**6])


def _generalised_born(forces: dict, atoms: int) -> dict | None:
    """Parameters of the generalised Born model: see `pairs.PairTerms`."""
    if "CustomGBForce" in forces:
        force = forces["CustomGBForce"]
        values = np.array([force.getParticleParameters(n) for n in range(atoms)])
        charge, reduced, scaled = values.T
        radius_text = force.getComputedValueParameters(1)[1]
        self_text, *others = (
            force.getEnergyTermParameters(n)[0] for n in range(force.getNumEnergyTerms())
        )
        surface = [text for text in others if text.startswith("28.")]
        tanh = re.search(r"tanh\(([^)]*psi\^3)\)", radius_text)
        if tanh is None:
            raise InputError("expected a generalised Born model of OBC kind, got another: use obc1")
        return {
            "charge": charge,
            "reduced": reduced,
            "scaled": scaled,
            "offset": _number(r"offset=([\d.]+)", radius_text),
            "tanh": _tanh_coefficients(tanh.group(1)),
            "coulomb": _number(r"-0\.5\*([\d.]+)\*", self_text),
            "dielectric": 1 / _number(r"soluteDielectric=([\d.]+)", self_text)
            - 1 / _number(r"solventDielectric=([\d.]+)", self_text),
            "surface": _number(r"^([\d.]+)\*", surface[0]) if surface else 0.0,
        }
    if "GBSAOBCForce" in forces:
        force = forces["GBSAOBCForce"]
        values = [force.getParticleParameters(n) for n in range(atoms)]
        charge, radius, scale = np.array(
            [[getattr(v, "_value", v) for v in row] for row in values]
        ).T
        return {
            "charge": charge,
            "reduced": radius - 0.009,
            "scaled": scale * (radius - 0.009),
            "offset": 0.009,
            "tanh": (1.0, -0.8, 4.85),
            "coulomb": COULOMB,
            "dielectric": 1 / force.getSoluteDielectric() - 1 / force.getSolventDielectric(),
            # OpenMM's native force writes the surface term as 4 pi times this energy.
            "surface": 4 * math.pi * force.getSurfaceAreaEnergy()._value,
        }
    return None


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise InputError(f"expected a generalised Born model of OBC kind, got {text!r}: use obc1")
    return float(found.group(1))


def _tanh_coefficients(text: str) -> tuple[float, float, float]:
    """Coefficients of psi, psi^2 and psi^3 in OpenMM's text, e.g. 0.8*psi+2.909125*psi^3."""
    found = [0.0, 0.0, 0.0]
    for sign, factor, power in re.findall(r"([+-]?)(?:([\d.]+)\*)?psi(?:\^(\d))?", text):
        value = float(factor) if factor else 1.0
        found[int(power or 1) - 1] += -value if sign == "-" else value
    return tuple(found)


class OpenMMEnergy:
    """The reference: one frame after the other through OpenMM's Reference platform."""

    def __init__(self, molecule: Molecule):
        openmm, _, self._unit = openmm_modules()
        platform = openmm.Platform.getPlatformByName("Reference")
        system = load_system(molecule)
        for group, force in enumerate(system.getForces()):
            force.setForceGroup(group)
        self.groups = {force.getName(): n for n, force in enumerate(system.getForces())}
        self._context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)

    def with_gradient(self, positions: Tensor, force: str | None = None) -> tuple[Tensor, Tensor]:
        """Energies (B,) kJ/mol and gradients (B, N, 3) kJ/mol/nm, of one `force` or of all."""
        unit = self._unit
        groups = -1 if force is None else {self.groups[force]}
        energies, gradients = [], []
        for frame in positions.detach().double().cpu().numpy():
            self._context.setPositions(frame)
            state = self._context.getState(energy=True, forces=True, groups=groups)
            energies.append(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))
            force_ = state.getForces(asNumpy=True)
            gradients.append(-force_.value_in_unit(unit.kilojoule_per_mole / unit.nanometer))
        return torch.tensor(energies, dtype=torch.float64), torch.tensor(np.array(gradients))


def capped(energy: Tensor, limit: Tensor | float) -> tuple[Tensor, Tensor]:
    """The energy, growing only logarithmically above `limit` (both in kT), and where it does.

    Value and slope are continuous at the limit, so that a clash gives a large finite loss with a
    gradient that still points out of it. Non-finite energies become the limit, without a gradient.
    """
    over = ~(energy <= limit)
    excess = torch.where(over & energy.isfinite(), energy - limit, torch.zeros_like(energy))
    base = torch.where(over, torch.zeros_like(energy) + limit, energy)
    return base + torch.log1p(excess), over
