"""Pair terms of the force field (Lennard-Jones, Coulomb, generalised Born) with their gradient.

Energy and gradient come from one pass: half the memory traffic of automatic differentiation, which
is what it costs. Axes: `N` atoms, `K` rows of pairs (`offsets`), `B` batch, the last.
"""

import numpy as np
import torch
from torch import Tensor, nn

from molecular_flow.physics import offsets

IN_CACHE = 160_000  # pairs at a time on a CPU: some 130 passes over what stays in its cache
FRAMES = 128  # at a time on a CPU: five numbers of every pair are kept of these


class PairTerms(nn.Module):
    """Energy (B,) in kJ/mol, and its gradient (3, N, B), of positions (3, N, B) in nm.

    `coulomb` (kJ/mol nm), `repulsion` and `dispersion` (of r^-12 and r^-6) are by pair (N, N).
    `born` holds, per atom: `charge` (e), `reduced` (radius minus `offset`, nm), `scaled` (reduced
    radius times the screening factor, nm); and `tanh` (three coefficients), `coulomb`,
    `dielectric` = 1/solute - 1/solvent, `surface` (kJ/mol/nm^2). Onufriev, Bashford, Case 2004;
    descreening integral of Hawkins, Cramer, Truhlar 1996; surface term of Schaefer 1998 (ACE).
    """

    def __init__(self, coulomb, repulsion, dispersion, born: dict | None):
        super().__init__()
        first, second, share = offsets.pairs(len(coulomb))
        for name, value in (("coulomb", coulomb), ("c12", repulsion), ("c6", dispersion)):
            self._keep(name, share * value[first, second])
        self.solvent = born is not None
        if born is None:
            return
        # The first atom is screened by the second, and (once a pair) the other way round.
        screen = np.stack([born["scaled"][second], born["scaled"][first] * (share == 1)])
        own = born["reduced"][np.stack([first, second])]
        self._keep("own", own)
        self._keep("screen", screen)
        self._keep("quarter", 0.25 * screen**2)
        self.deepest = float((screen - own).max(initial=0.0))  # nm: nearer, an atom is in another
        radius = born["reduced"] + born["offset"]
        strength = born["coulomb"] * born["dielectric"]
        self._keep("reduced", born["reduced"])
        self._keep("radius", radius)
        self._keep("self_energy", -0.5 * strength * born["charge"] ** 2)
        self._keep("cross", -strength * share * born["charge"][first] * born["charge"][second])
        self._keep("surface", born["surface"] * (radius + 0.14) ** 2 * radius**6)
        self.tanh = born["tanh"]

    def _keep(self, name: str, value: np.ndarray) -> None:
        self.register_buffer(name, torch.tensor(value).double()[..., None], persistent=False)

    def forward(self, positions: Tensor, derivative: bool) -> tuple[Tensor, Tensor | None]:
        """Energy and, if asked for, its gradient."""
        if positions.is_cpu and positions.shape[-1] > FRAMES:
            parts = [self(part, derivative) for part in positions.split(FRAMES, -1)]
            energies, gradients = zip(*parts, strict=True)
            return torch.cat(energies), torch.cat(gradients, -1) if derivative else None
        atoms, batch = positions.shape[1:]
        x = offsets.twice(positions)
        most = max(1, IN_CACHE // (atoms * batch)) if positions.is_cpu else atoms
        parts = [_Pairs(self, rows, x, derivative) for rows in offsets.ranges(atoms, most)]
        energy = sum((part.energy for part in parts), x.new_zeros(batch))
        if self.solvent:
            energy += self._solvent(parts, x, derivative)
        if not derivative:
            return energy, None
        gradient = torch.zeros_like(x)
        for part in parts:
            part.pull(gradient, x)
        return energy, offsets.fold(gradient)

    def _solvent(self, parts: list["_Pairs"], x: Tensor, derivative: bool) -> Tensor:
        """Its energy (B,); its derivative is added to the pairs' slopes."""
        integral, by_log = torch.zeros_like(x[0]), torch.zeros_like(x[0])
        for part in parts:
            part.descreen(integral, derivative)
        # psi, Born radius and its derivative by the integral: (N, B)
        psi = offsets.fold(integral) * (0.5 * self.reduced)
        a, b, c = self.tanh
        bend = torch.tanh(psi * (a + psi * (b + c * psi)))
        inverse_born = 1 / self.reduced - bend / self.radius
        born = 1 / inverse_born
        cube = inverse_born * inverse_born * inverse_born
        own, surface = self.self_energy * inverse_born, self.surface * (cube * cube)
        energy = (own + surface).sum(0)
        radii = offsets.twice(born)
        for part in parts:
            energy += part.charges(radii, by_log if derivative else None)
        if not derivative:
            return energy
        # E(1/B): own and surface are powers 1 and 6 of 1/B; d ln B = -B d(1/B)
        by_inverse = (own + 6 * surface - offsets.fold(by_log)) * born
        chain = by_inverse * -(1 - bend * bend) * (a + psi * (2 * b + 3 * c * psi))
        by_integral = offsets.twice(chain * (0.5 * self.reduced / self.radius))
        for part in parts:
            part.spread(by_integral)
        return energy


class _Pairs:
    """Rows of pairs on their way; `slope` is the energy's derivative by the squared distance."""

    def __init__(self, terms: PairTerms, rows: slice, x: Tensor, derivative: bool):
        """Lennard-Jones and Coulomb."""
        self.terms, self.rows = terms, rows
        vectors = offsets.between(torch.sub, x, rows)
        self.squared = vectors[0] * vectors[0]
        for part in vectors[1:]:
            self.squared.addcmul_(part, part)
        self.inverse = self.squared.rsqrt()
        inverse2 = self.inverse * self.inverse
        inverse6 = (inverse2 * inverse2).mul_(inverse2)
        electric = terms.coulomb[rows] * self.inverse
        repulsion = terms.c12[rows] * inverse6
        both = repulsion - terms.c6[rows]
        self.energy = torch.addcmul(electric, both, inverse6).sum((0, 1))
        if derivative:
            slope = electric.mul_(0.5).addcmul_(both.add_(repulsion), inverse6, value=3)
            self.slope = slope.mul_(inverse2).neg_()

    def descreen(self, integral: Tensor, derivative: bool) -> None:
        """Add twice the Hawkins-Cramer-Truhlar integral (2 N, B) of the atoms, in 1/nm.

        With U = max(own, r + s) and L = max(own, |r - s|): 1/L - 1/U + (r - s^2/r)(1/U^2 - 1/L^2)/4
        + ln(L/U)/(2r), which is zero where atom `own` swallows the other (U = L = own). Its
        derivative by U vanishes at U = r + s and that by L at L = r - s: only where `own` lies deep
        within the other, L = s - r, has L a part in the derivative. Keeps -d / d ln r as `steep`.
        """
        terms, rows = self.terms, self.rows
        own, screen, quarter = terms.own[:, rows], terms.screen[:, rows], terms.quarter[:, rows]
        distance = self.squared * self.inverse
        over = torch.maximum(distance + screen, own).reciprocal_()
        gap = distance - screen
        lower = torch.maximum(gap.abs(), own)
        under = lower.reciprocal()
        log = lower.mul_(over).log_().mul_(self.inverse * 0.5)
        between = under - over
        squares = over.add_(under).mul_(between)  # 1/L^2 - 1/U^2
        far = distance * 0.25
        lever = torch.addcmul(far, self.inverse, quarter, value=-1)
        one, two = between.addcmul_(lever, squares, value=-1).add_(log)
        offsets.add_first(integral, one)
        offsets.add_second(integral, two, rows)
        if not derivative:
            return
        self.steep = log.addcmul_((2 * far).sub(lever), squares)
        if not distance.is_cpu or distance.amin() < terms.deepest:
            deep = (gap + own).sign_().clamp_max_(0)  # -1 where s - r > own, else 0
            by_lower = torch.addcmul(under, lever.mul_(under), under, value=-2)
            by_lower = by_lower.sub_(self.inverse, alpha=0.5).mul_(distance)
            self.steep.addcmul_(deep.mul_(under), by_lower)

    def charges(self, radii: Tensor, by_log: Tensor | None) -> Tensor:
        """Energy (B,) of the pairs' charges; adds its derivative by ln B to `by_log` (2 N, B)."""
        product = offsets.between(torch.mul, radii, self.rows)
        decay = (self.squared / product).mul_(-0.25).exp_()
        screened = torch.addcmul(self.squared, product, decay).rsqrt_()
        cross = self.terms.cross[self.rows] * screened
        energy = cross.sum((0, 1))
        if by_log is None:
            return energy
        # d cross / d(f^2) = -cross / (2 f^2); f^2 = r^2 + p exp(-r^2 / 4p), p = B_i B_j
        half = cross.mul_(screened).mul_(screened).mul_(-0.5)
        by_decay = decay.mul_(half)
        self.slope.add_(half).sub_(by_decay, alpha=0.25)
        both = product.add_(self.squared, alpha=0.25).mul_(by_decay)
        offsets.add_first(by_log, both)
        offsets.add_second(by_log, both, self.rows)
        return energy

    def spread(self, by_integral: Tensor) -> None:
        """Add to the slope what comes through the atoms' integrals, d E / d integral (2 N, B)."""
        one, two = self.steep
        both = one.mul_(offsets.of_first(by_integral))
        both.addcmul_(two, offsets.of_second(by_integral, self.rows))
        self.slope.addcmul_(both.mul_(self.inverse), self.inverse, value=-0.5)

    def pull(self, gradient: Tensor, x: Tensor) -> None:
        """Add the gradient (3, 2 N, B) of the atoms."""
        pulls = offsets.between(torch.sub, x, self.rows).mul_(self.slope.mul_(2))
        offsets.add_first(gradient, pulls)
        offsets.add_second(gradient, pulls, self.rows, -1)
