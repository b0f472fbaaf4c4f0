"""The force field as batched torch operations, read from an OpenMM System's own parameters.

Axes: `N` atoms, `B` batch. Inside, the batch is the last axis, so that every operation streams over
it. Units: nm, kJ/mol.
"""

import math
import re

import numpy as np
import torch
from torch import Tensor, nn

from experiments.shared.errors import InputError
from molecular_flow.physics.bonded import BondedTerms
from molecular_flow.physics.force_field import FITS
from molecular_flow.physics.molecule import Molecule, load_system, openmm_modules
from molecular_flow.physics.pairs import PairTerms

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
            raise InputError(
                f"{molecule.label}: its force field has {', '.join(unknown)}, which is not written "
                f"here (ff19SB and CHARMM have CMAP, say): {FITS}"
            )
        self.atoms = atoms = system.getNumParticles()
        kinds = ("HarmonicBondForce", "HarmonicAngleForce", "PeriodicTorsionForce")
        self.bonded = BondedTerms(*(forces.get(kind) for kind in kinds), atoms)
        self.pairs = PairTerms(
            *_nonbonded(forces.get("NonbondedForce"), atoms), _generalised_born(forces, atoms)
        )

    def forward(self, positions: Tensor) -> Tensor:
        """Energies (B,) in kJ/mol of positions (B, N, 3) in nm."""
        if torch.is_grad_enabled() and positions.requires_grad:
            return _Energy.apply(positions, self)
        return sum(self.terms(positions).values())

    def terms(self, positions: Tensor) -> dict[str, Tensor]:
        """Energies (B,) in kJ/mol by kind: bond, angle, torsion, nonbonded (with solvent).

        Not differentiable, the sum of `forward` is.
        """
        return self._evaluate(positions, derivative=False)[0]

    def with_gradient(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (B,) in kJ/mol and their gradient (B, N, 3) in kJ/mol/nm (force = -gradient)."""
        terms, gradient = self._evaluate(positions, derivative=True)
        return sum(terms.values()), gradient

    @torch.no_grad()
    def _evaluate(
        self, positions: Tensor, derivative: bool
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        batch = len(positions)
        flat = positions.permute(1, 2, 0).reshape(self.atoms, 3 * batch)
        terms, gradient = self.bonded.evaluate(flat, derivative)
        terms["nonbonded"], pull = self.pairs(positions.permute(2, 1, 0).contiguous(), derivative)
        if not derivative:
            return terms, None
        gradient = gradient.view(self.atoms, 3, batch).add_(pull.transpose(0, 1))
        return terms, gradient.permute(2, 0, 1).contiguous()


class _Energy(torch.autograd.Function):
    """Ties the energy into autograd with the gradient that was found along with it."""

    @staticmethod
    def forward(ctx, positions: Tensor, energy: TorchEnergy) -> Tensor:
        value, gradient = energy.with_gradient(positions)
        # Of atoms in one place: no number, which would pass through a cap's factor of zero.
        ctx.save_for_backward(gradient.nan_to_num_(0.0, 0.0, 0.0))
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, by_value: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * by_value[:, None, None], None


def _nonbonded(force, atoms: int) -> np.ndarray:
    """Of pairs (3, N, N): Coulomb strength (kJ/mol nm), r^-12 and r^-6 coefficients."""
    if force is None:
        return np.zeros((3, atoms, atoms))
    if force.getNonbondedMethod() != force.NoCutoff:
        raise InputError("expected a NonbondedForce without cut-off: build it with NoCutoff")
    own = np.array([[v._value for v in force.getParticleParameters(n)] for n in range(atoms)])
    charge, sigma, depth = own.T
    strength = COULOMB * np.outer(charge, charge)
    sigma = 0.5 * (sigma[:, None] + sigma)
    depth = np.sqrt(np.outer(depth, depth))
    for n in range(force.getNumExceptions()):
        i, j, product, size, well = force.getExceptionParameters(n)
        for pair in ((i, j), (j, i)):
            strength[pair] = COULOMB * product._value
            sigma[pair], depth[pair] = size._value, well._value
    return np.stack([strength, 4 * depth * sigma**12, 4 * depth * sigma**6])


def _generalised_born(forces: dict, atoms: int) -> dict | None:
    """Parameters of the generalised Born model: see `pairs.PairTerms`."""
    if "CustomGBForce" in forces:
        force = forces["CustomGBForce"]
        values = np.array([force.getParticleParameters(n) for n in range(atoms)])
        if values.shape[1] != 3:
            raise InputError(f"expected a generalised Born model of OBC kind, got GBn's: {FITS}")
        charge, reduced, scaled = values.T
        radius_text = force.getComputedValueParameters(1)[1]
        self_text, *others = (
            force.getEnergyTermParameters(n)[0] for n in range(force.getNumEnergyTerms())
        )
        surface = [text for text in others if text.startswith("28.")]
        tanh = re.search(r"tanh\(([^)]*psi\^3)\)", radius_text)
        if tanh is None:
            raise InputError(f"expected a generalised Born model of OBC kind, got another: {FITS}")
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
    """The reference: one frame after the other through one of OpenMM's platforms.

    `platform`: Reference (double precision), or CPU (single, on one thread here).
    """

    def __init__(self, molecule: Molecule, platform: str = "Reference"):
        openmm, _, self._unit = openmm_modules()
        chosen = openmm.Platform.getPlatformByName(platform)
        options = {"Threads": "1"} if platform == "CPU" else {}
        system = load_system(molecule)
        for group, force in enumerate(system.getForces()):
            force.setForceGroup(group)
        self.groups = {force.getName(): n for n, force in enumerate(system.getForces())}
        self._context = openmm.Context(system, openmm.VerletIntegrator(0.001), chosen, options)

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
