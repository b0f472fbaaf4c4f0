"""Pair terms of the force field (Lennard-Jones, Coulomb, generalised Born) with their derivative.

Every term depends on the squared pair distances alone, so energy and derivative come from one
hand-written pass: half the memory traffic of automatic differentiation, which is what it costs.
"""

import numpy as np
import torch
from torch import Tensor, nn


class PairTerms(nn.Module):
    """Energy (B,) in kJ/mol of squared distances (P, B) in nm^2.

    `born` holds, per atom: `charge` (e), `reduced` (radius minus `offset`, nm), `scaled` (reduced
    radius times the screening factor, nm); and `tanh` (three coefficients), `coulomb`,
    `dielectric` = 1/solute - 1/solvent, `surface` (kJ/mol/nm^2). Onufriev, Bashford, Case 2004;
    descreening integral of Hawkins, Cramer, Truhlar 1996; surface term of Schaefer 1998 (ACE).
    """

    def __init__(self, rows, columns, coulomb, repulsion, dispersion, born: dict | None):
        super().__init__()
        self._keep("first", rows)
        self._keep("second", columns)
        for name, value in (("coulomb", coulomb), ("c12", repulsion), ("c6", dispersion)):
            self._keep(name, np.asarray(value)[:, None])
        self.solvent = born is not None
        if born is None:
            return
        pairs, atoms = len(rows), len(born["charge"])
        # Direction 1: atom `first` is screened by `second`; direction 2 the other way round.
        self._keep(
            "own", np.concatenate([born["reduced"][rows], born["reduced"][columns]])[:, None]
        )
        screen = np.concatenate([born["scaled"][columns], born["scaled"][rows]])[:, None]
        self._keep("screen", screen)
        gather = np.zeros((atoms, 2 * pairs))
        gather[np.concatenate([rows, columns]), np.arange(2 * pairs)] = 1
        self._keep("gather", gather)  # (N, 2P): sums over the atoms that screen an atom
        self._keep("ends", np.concatenate([rows, columns]))
        radius = born["reduced"] + born["offset"]
        strength = born["coulomb"] * born["dielectric"]
        self._keep("reduced", born["reduced"][:, None])
        self._keep("radius", radius[:, None])
        self._keep("self_energy", (-0.5 * strength * born["charge"] ** 2)[:, None])
        self._keep("cross", (-strength * born["charge"][rows] * born["charge"][columns])[:, None])
        self._keep("surface", (born["surface"] * (radius + 0.14) ** 2 * radius**6)[:, None])
        self.tanh = born["tanh"]

    def _keep(self, name: str, value) -> None:
        tensor = torch.as_tensor(np.asarray(value))
        if tensor.is_floating_point():
            tensor = tensor.double()
        self.register_buffer(name, tensor, persistent=False)

    def forward(self, squared: Tensor) -> Tensor:
        if torch.is_grad_enabled() and squared.requires_grad:
            return _PairEnergy.apply(squared, self)
        return self.evaluate(squared, derivative=False)[0]

    def evaluate(self, squared: Tensor, derivative: bool) -> tuple[Tensor, Tensor | None]:
        """Energy (B,) and, if asked for, its derivative by the squared distances (P, B)."""
        inverse = squared.rsqrt()
        inverse2 = inverse * inverse
        inverse6 = inverse2 * inverse2 * inverse2
        electric = self.coulomb * inverse
        repulsion = self.c12 * inverse6
        energy = (electric + (repulsion - self.c6) * inverse6).sum(0)
        slope = None
        if derivative:
            slope = (3 * self.c6 - 6 * repulsion).mul_(inverse6)
            slope = slope.sub_(electric, alpha=0.5).mul_(inverse2)
        if not self.solvent:
            return energy, slope
        return self._solvent(squared, inverse, energy, slope)

    def _solvent(self, squared, inverse, energy, slope):
        distance = squared * inverse
        integral, integral_slope = _descreening(
            distance, inverse, self.own, self.screen, slope is not None
        )
        # psi, Born radius and its derivative by the integral: (N, B)
        psi = (self.gather @ integral) * self.reduced
        a, b, c = self.tanh
        bend = torch.tanh(psi * (a + psi * (b + c * psi)))
        inverse_born = 1 / self.reduced - bend / self.radius
        born = 1 / inverse_born
        sixth = inverse_born**6
        own, surface = self.self_energy * inverse_born, self.surface * sixth
        product = born[self.first] * born[self.second]
        decay = torch.exp(squared / product * -0.25)
        screened = torch.addcmul(squared, product, decay).rsqrt_()
        cross = self.cross * screened
        energy = energy + own.sum(0) + surface.sum(0) + cross.sum(0)
        if slope is None:
            return energy, None
        # d cross / d(f^2) = -cross / (2 f^2); f^2 = r^2 + p exp(-r^2 / 4p), p = B_i B_j
        half = cross.mul_(screened).mul_(screened).mul_(-0.5)
        slope = slope.addcmul_(half, 1 - 0.25 * decay)
        by_product = half * decay * (1 + 0.25 * squared / product)
        by_log = by_product.mul_(product)  # d cross / d ln B of either atom
        pairs = len(self.first)
        by_born = self.gather[:, :pairs] @ by_log + self.gather[:, pairs:] @ by_log
        # E(1/B): own and surface are powers 1 and 6 of 1/B; d ln B = -B d(1/B)
        by_inverse = (own + 6 * surface - by_born) * born
        chain = by_inverse * -(1 - bend * bend) * (a + psi * (2 * b + 3 * c * psi))
        chain = chain * self.reduced / self.radius  # d E / d integral, (N, B)
        spread = integral_slope.mul_(chain[self.ends])  # d E / d r along each direction
        return energy, slope.addcmul_(spread[:pairs] + spread[pairs:], inverse, value=0.5)


class _PairEnergy(torch.autograd.Function):
    """Ties `PairTerms.evaluate` into autograd with the derivative found in the forward pass."""

    @staticmethod
    def forward(ctx, squared: Tensor, terms: PairTerms) -> Tensor:
        energy, slope = terms.evaluate(squared, derivative=True)
        ctx.save_for_backward(slope)
        return energy

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return slope * grad, None


def _descreening(distance, inverse, own, screen, derivative: bool):
    """Hawkins-Cramer-Truhlar integral (2P, B) in 1/nm, and its derivative by the distance.

    Zero where atom `own` swallows the other. With U = r + s, L = max(own, |r - s|):
    2 I = 1/L - 1/U + (r - s^2/r)(1/U^2 - 1/L^2)/4 + ln(L/U)/(2r).
    """
    distance, inverse = torch.cat([distance] * 2), torch.cat([inverse] * 2)
    upper = distance + screen
    gap = distance - screen
    width = gap.abs()
    lower = torch.maximum(width, own)
    over, under = 1 / upper, 1 / lower
    squares = over * over - under * under
    lever = (distance - screen * screen * inverse).mul_(0.25)
    log = torch.log(lower * over).mul_(0.5).mul_(inverse)
    integral = (under - over).addcmul_(lever, squares).add_(log).mul_(0.5)
    reached = upper > own
    integral = integral.mul_(reached)
    if not derivative:
        return integral, None
    moving = torch.where(width > own, gap.sign(), 0.0) * under  # dL/dr / L
    slope = over.square().addcmul_(moving, under, value=-1)
    ratio = (screen * inverse).square_().add_(1)
    slope = slope.addcmul_(ratio, squares, value=0.25)
    slope = slope.addcmul_(lever, moving * under * under - over * over * over, value=2)
    slope = slope.addcmul_(moving - over, inverse, value=0.5).addcmul_(log, inverse, value=-1)
    return integral, slope.mul_(0.5).mul_(reached)
