"""Pair terms of the force field (Lennard-Jones, Coulomb, generalised Born) with their derivative.

Every term depends on the squared pair distances alone, so energy and derivative come from one
pass: half the memory traffic of automatic differentiation, which is what it costs.
"""

import numpy as np
import torch
from torch import Tensor, nn

IN_CACHE = 200_000  # pairs at a time on a CPU: some thirty passes over what stays in its cache
FRAMES = 128  # at a time, at most


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

    def forward(self, squared: Tensor, derivative: bool) -> tuple[Tensor, Tensor | None]:
        """Energy (B,) and, if asked for, its derivative by the squared distances (P, B)."""
        most = max(1, min(FRAMES, IN_CACHE // max(1, len(squared))))
        if squared.is_cpu and squared.shape[1] > most:
            parts = [self(part.contiguous(), derivative) for part in squared.split(most, 1)]
            energies, slopes = zip(*parts, strict=True)
            return torch.cat(energies), torch.cat(slopes, 1) if derivative else None
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
        psi = (self.gather @ integral) * (0.5 * self.reduced)
        a, b, c = self.tanh
        bend = torch.tanh(psi * (a + psi * (b + c * psi)))
        inverse_born = 1 / self.reduced - bend / self.radius
        born = 1 / inverse_born
        cube = inverse_born * inverse_born * inverse_born
        sixth = cube * cube  # a power is ten times as slow
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
        chain = chain * (0.5 * self.reduced / self.radius)  # d E / d integral, (N, B)
        spread = integral_slope.mul_(chain[self.ends])  # d E / d r along each direction
        return energy, slope.addcmul_(spread[:pairs] + spread[pairs:], inverse, value=0.5)


def _descreening(distance, inverse, own, screen, derivative: bool):
    """Twice the Hawkins-Cramer-Truhlar integral (2P, B) in 1/nm, and its derivative by r.

    With U = max(own, r + s) and L = max(own, |r - s|): 1/L - 1/U + (r - s^2/r)(1/U^2 - 1/L^2)/4
    + ln(L/U)/(2r), which is zero where atom `own` swallows the other (U = L = own). Its derivative
    by U vanishes at U = r + s and that by L at L = r - s: only where `own` lies deep within the
    other, L = s - r, has L a part in the derivative.
    """
    distance, inverse = torch.cat([distance] * 2), torch.cat([inverse] * 2)
    gap = distance - screen
    over = torch.maximum(distance + screen, own).reciprocal_()
    lower = torch.maximum(gap.abs(), own)
    under = lower.reciprocal()
    squares = torch.addcmul(over * over, under, under, value=-1)
    near, far = inverse * (0.25 * screen * screen), distance.mul_(0.25)
    lever = far - near
    log = lower.mul_(over).log_().mul_(inverse).mul_(0.5)
    integral = torch.addcmul(under - over, lever, squares).add_(log)
    if not derivative:
        return integral, None
    slope = near.add_(far).mul_(squares).sub_(log).mul_(inverse)
    deep = gap.neg_().sub_(own).clamp_min_(0).sign_()  # 1 where s - r > own, else 0
    steep = torch.addcmul(under, lever.mul_(under), under, value=-2).sub_(inverse, alpha=0.5)
    return integral, slope.addcmul_(deep.mul_(under), steep)
