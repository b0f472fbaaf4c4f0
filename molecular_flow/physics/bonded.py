"""Bonds, angles and torsions of the force field, with their derivative.

Axes: `M` edges (vectors between two atoms, each term having its own), `N` atoms, `B` batch, which
is the last axis inside. Edges, and the gradient on atoms, are sums over lists (embedding bags): a
product with the (M, N) incidence, mostly zeros, takes 25 times as long at 138 atoms.
"""

import math

import numpy as np
import torch
from numpy.polynomial import Polynomial, chebyshev
from torch import Tensor, nn
from torch.nn import functional

STRAIGHT = 1e-7  # below 1 in |cos|: arccos has no derivative at a straight angle
COLLINEAR = 1e-20  # nm^8: where three atoms lie in a line, the torsion is undefined


class BondedTerms(nn.Module):
    """Harmonic bonds and angles, and periodic torsions, of OpenMM's forces (None: no such)."""

    def __init__(self, bonds, angles, torsions, atoms: int):
        super().__init__()
        ends = [*self._bonds(bonds), *self._angles(angles), *self._torsions(torsions)]
        self.sizes = [len(edges) for edges in ends]
        edges = np.array([edge for edges in ends for edge in edges], dtype=int).reshape(-1, 2)
        sign = np.tile([-1.0, 1.0], len(edges))
        self._keep("edges", edges)  # from, to
        self._keep("edge_sign", sign.reshape(-1, 2))
        order = np.argsort(edges.reshape(-1), kind="stable")  # by atom
        self._keep("of_atom", order // 2)
        self._keep("of_atom_sign", sign[order])
        self._keep("of_atom_start", np.searchsorted(edges.reshape(-1)[order], np.arange(atoms)))

    def _keep(self, name: str, value: np.ndarray) -> None:
        self.register_buffer(name, torch.tensor(value), persistent=False)

    def _bonds(self, force) -> tuple[list]:
        terms = [force.getBondParameters(n) for n in range(force.getNumBonds())] if force else []
        self._keep("length", _column([t[2]._value for t in terms]))
        self._keep("bond_stiffness", _column([t[3]._value for t in terms]))
        return ([t[:2] for t in terms],)

    def _angles(self, force) -> tuple[list, list]:
        terms = [force.getAngleParameters(n) for n in range(force.getNumAngles())] if force else []
        self._keep("angle", _column([t[3]._value for t in terms]))
        self._keep("angle_stiffness", _column([t[4]._value for t in terms]))
        return [(t[1], t[0]) for t in terms], [(t[1], t[2]) for t in terms]

    def _torsions(self, force) -> tuple[list, list, list]:
        """Terms on the same four atoms become E = even(cos phi) + sin(phi) odd(cos phi)."""
        quads: dict[tuple[int, ...], tuple[Polynomial, Polynomial]] = {}
        zero = Polynomial([0.0])
        for n in range(force.getNumTorsions() if force else 0):
            *quad, periodicity, phase, height = force.getTorsionParameters(n)
            if not height._value:
                continue
            # k (1 + cos(n phi - p)) with the Chebyshev polynomials of both kinds, T_n' = n U_n-1
            cosine = Polynomial(chebyshev.cheb2poly([0.0] * periodicity + [1.0]))
            sine = cosine.deriv() / periodicity
            shift, lean = (f(phase._value) * height._value for f in (math.cos, math.sin))
            even, odd = quads.get(tuple(quad), (zero, zero))
            quads[tuple(quad)] = (even + height._value + shift * cosine, odd + lean * sine)
        for name, part in (("even", 0), ("odd", 1)):
            found = [terms[part].coef for terms in quads.values()]
            order = max((len(c) for c in found), default=1)
            table = np.array([np.pad(c, (0, order - len(c))) for c in found]).reshape(-1, order)
            slope = table[:, 1:] * np.arange(1, order) if order > 1 else np.zeros((len(table), 1))
            self._keep(name, table.T[..., None])  # (order, torsions, 1): coefficients of powers
            self._keep(f"{name}_slope", slope.T[..., None])
        self.has_odd = bool((self.odd.abs() > 1e-6).any())
        return tuple([quad[k : k + 2] for quad in quads] for k in range(3))

    def evaluate(self, flat: Tensor, derivative: bool) -> tuple[dict[str, Tensor], Tensor | None]:
        """Energies (B,) in kJ/mol by kind, and the gradient (N, 3 B), of positions (N, 3 B)."""
        vectors = functional.embedding_bag(
            self.edges, flat, mode="sum", per_sample_weights=self.edge_sign
        ).unflatten(1, (3, -1))
        bond, *rest = vectors.split(self.sizes)
        found, pulls = {}, []
        for kind, energy in (
            ("bond", self._stretch(bond, derivative)),
            ("angle", self._bend(*rest[:2], derivative)),
            ("torsion", self._turn(*rest[2:], derivative)),
        ):
            found[kind] = energy[0].sum(0)
            pulls += energy[1:]
        if not derivative:
            return found, None
        return found, functional.embedding_bag(
            self.of_atom,
            torch.cat(pulls).flatten(1),
            self.of_atom_start,
            mode="sum",
            per_sample_weights=self.of_atom_sign,
        )

    def _stretch(self, bond: Tensor, derivative: bool) -> tuple[Tensor, ...]:
        """Energies of each bond (bonds, B), and, if asked for, the derivative by its edge."""
        length = bond.square().sum(1).sqrt()
        stretch = length - self.length
        tension = self.bond_stiffness * stretch
        energy = 0.5 * tension * stretch
        return (energy, bond * (tension / length)[:, None]) if derivative else (energy,)

    def _bend(self, first: Tensor, second: Tensor, derivative: bool) -> tuple[Tensor, ...]:
        """Likewise of angles, between two edges from their middle."""
        one, two = first.square().sum(1), second.square().sum(1)
        scale = (one * two).rsqrt()
        cosine = ((first * second).sum(1) * scale).clamp(STRAIGHT - 1, 1 - STRAIGHT)
        bend = torch.acos(cosine) - self.angle
        torque = self.angle_stiffness * bend
        energy = 0.5 * torque * bend
        if not derivative:
            return (energy,)
        slope = -torque * (1 - cosine * cosine).rsqrt()  # by the cosine
        across, along = (slope * scale)[:, None], slope * cosine
        return (
            energy,
            torch.addcmul(across * second, (along / one)[:, None], first, value=-1),
            torch.addcmul(across * first, (along / two)[:, None], second, value=-1),
        )

    def _turn(
        self, first: Tensor, axis: Tensor, last: Tensor, derivative: bool
    ) -> tuple[Tensor, ...]:
        """Likewise of torsions, by three edges in a chain (Blondel, Karplus 1996)."""
        left, right = _cross(first, axis), _cross(axis, last)
        one, two = left.square().sum(1), right.square().sum(1)
        scale = (one * two).clamp_min(COLLINEAR).rsqrt()
        cosine = (left * right).sum(1) * scale
        energy = _horner(self.even, cosine)
        if not (derivative or self.has_odd):
            return (energy,)
        length = axis.square().sum(1).sqrt()
        sine = (first * right).sum(1) * length * scale
        slope = -sine * _horner(self.even_slope, cosine)  # by the angle
        if self.has_odd:
            odd = _horner(self.odd, cosine)
            energy = torch.addcmul(energy, sine, odd)
            slope = slope + cosine * odd - sine.square() * _horner(self.odd_slope, cosine)
        if not derivative:
            return (energy,)
        torque = slope * length
        by_first = left * (torque / one.clamp_min(COLLINEAR**0.5))[:, None]
        by_last = right * (torque / two.clamp_min(COLLINEAR**0.5))[:, None]
        lean = -axis / length.square()[:, None]
        by_axis = by_first * (first * lean).sum(1, keepdim=True)
        by_axis = torch.addcmul(by_axis, by_last, (last * lean).sum(1, keepdim=True))
        return energy, by_first, by_axis, by_last


def _column(values: list[float]) -> np.ndarray:
    return np.array(values).reshape(-1, 1)


def _cross(one: Tensor, two: Tensor) -> Tensor:
    """Cross products (M, 3, B); torch's own takes six times as long."""
    (a, b, c), (d, e, f) = one.unbind(1), two.unbind(1)
    parts = [
        torch.addcmul(p * q, r, s, value=-1)
        for p, q, r, s in ((b, f, c, e), (c, d, a, f), (a, e, b, d))
    ]
    return torch.stack(parts, 1)


def _horner(coefficients: Tensor, x: Tensor) -> Tensor:
    """Polynomials (torsions, B), their coefficients by rising power (order, torsions, 1)."""
    *lower, total = coefficients.unbind(0)
    total = total.expand_as(x)
    for coefficient in reversed(lower):
        total = torch.addcmul(coefficient, total, x)
    return total
