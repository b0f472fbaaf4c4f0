"""The flow: a bijection of one molecule's configurations from one temperature to another.

Axes: `B` batch, `S` stiff coordinates (bonds, angles, relative dihedrals), `K` torsions.

    rho  = (u - mean(phi, T_s)) / (scale sqrt(T_s))       stiff coordinates, given the torsions
    phi' = circular splines of phi, each given other torsions (and rho)
    rho' = rho exp(a) + b, given phi' (and other parts of rho)
    u'   = mean(phi', T_t) + scale sqrt(T_t) rho'

With zero networks that is the stretch of harmonic modes by sqrt(T_t / T_s) about their mean at
the given torsions (`init: stretch`), or, without the square roots, the identity (`init: identity`).
`basins` is the stretch, and each torsion's first spline begins as a stretch of its basins (`fit`).
Every learned term is multiplied by ln(T_t / T_s), so the map from T to T is the identity always.
"""

import itertools
import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from experiments.shared.errors import InputError
from experiments.shared.kinds import NonNegativeInt, PositiveInt
from molecular_flow.coordinates.internal import InternalCoordinates, reorder, restore, wrap
from molecular_flow.flow import basins, conditioner
from molecular_flow.flow.local import LocalMLP, Sites
from molecular_flow.flow.splines import conditional_spline
from molecular_flow.physics.molecule import Molecule
from molecular_flow.physics.tree import separate

REFERENCE = 300.0  # kelvin
TORSION_SETS = 3  # couplings move them in turn, each set given the others
UNIT_GAP = math.log(1.5)  # learned terms are of order one for 300 -> 450 K


class TransportFlow(nn.Module):
    """Maps coordinates (B, S + K) or positions (B, N, 3) between temperatures, both ways alike."""

    def __init__(
        self,
        molecule: Molecule,
        *,
        init: Literal["identity", "stretch", "basins"] = "stretch",
        network: Literal["mlp", "local", "mixed"] = "mlp",
        width: PositiveInt = 64,
        bins: PositiveInt = 8,
        couplings: NonNegativeInt = 4,
        stiff_couplings: NonNegativeInt = 2,
        stiff_context: bool = False,
        window: PositiveInt = 8,
        products: NonNegativeInt = 0,
    ):
        super().__init__()
        if init not in ("identity", "stretch", "basins"):
            raise InputError(f"expected model.init identity, stretch or basins, got {init!r}")
        if network not in ("mlp", "local", "mixed"):
            raise InputError(f"expected model.network mlp, local or mixed, got {network!r}")
        self.coordinates = coordinates = InternalCoordinates(molecule)
        self.features = conditioner.Features()
        self.init, self.power = init, 0.0 if init == "identity" else 0.5
        self.bins = bins
        stiff, torsions = coordinates.stiff, coordinates.torsions
        self.stiff, self.torsions = stiff, torsions
        self.register_buffer("centre", coordinates.rest[stiff:].float().clone())
        self.register_buffer("scale", torch.full((stiff,), 0.05))
        bond, angle, turned = (
            getattr(coordinates, name)[:, 0].tolist()
            for name in ("bond_atoms", "angle_atoms", "dihedral_atoms")
        )
        atoms = bond + angle + [turned[n] for n in coordinates.bound.tolist()]
        sites = Sites.make(coordinates.tree, molecule)
        near = [
            (i, j)
            for i, j in itertools.combinations(range(torsions), 2)
            if sites.apart[i][j] <= products
        ]
        self.register_buffer("near", torch.tensor(near).view(-1, 2).T, persistent=False)
        self.register_buffer("regression", torch.zeros(1 + 4 * torsions + 4 * len(near), stiff))
        self.regression[0] = coordinates.rest[:stiff].float()
        places = [sites.of.get(atom, 0) for atom in atoms]
        every = list(range(torsions))
        make = partial(conditioner.MLP, width=width)
        local = partial(LocalMLP, sites, width=width, window=window)
        if network == "local":
            make = local
        turning = local if network == "mixed" else make

        sets = separate(coordinates.tree.torsions, molecule.neighbours, TORSION_SETS)
        masks = list(itertools.islice(itertools.cycle(sets), couplings if sets else 0))
        self.masks = self._sides("mask", masks, torsions)
        self.turning = nn.ModuleList(
            turning(
                [k for k in every if k not in moved],
                moved,
                3 * bins,
                stiff=places if stiff_context else [],
            )
            for moved in masks
        )
        self.stiff_context = stiff_context
        self.bending = make(every, places, 2)  # mean of the stiff coordinates: A + tau B
        self.stretching = make(every, places, 2)  # log-scale and shift of rho
        halves = [list(range(n % 2, stiff, 2)) for n in range(stiff_couplings)]
        self.halves = self._sides("half", halves, stiff)
        self.coupling = nn.ModuleList(
            make(
                every,
                [places[s] for s in half],
                2,
                stiff=[places[s] for s in range(stiff) if s not in set(half)],
            )
            for half in halves
        )

    def _sides(self, name: str, moved: list[list[int]], size: int) -> list[str]:
        """Keep each set of places to move, and its complement, as index buffers; their names."""
        for n, places in enumerate(moved):
            rest = sorted(set(range(size)) - set(places))
            self.register_buffer(f"{name}{n}_moved", torch.tensor(places), persistent=False)
            self.register_buffer(
                f"{name}{n}_seen", torch.tensor(rest, dtype=torch.long), persistent=False
            )
        return [f"{name}{n}" for n in range(len(moved))]

    def _regressor(self, seen: Tensor) -> Tensor:
        """(B, K, F) to (B, M): one, two harmonics of each torsion, products of near ones."""
        one, two = seen[..., :: conditioner.HARMONICS], seen[..., 1 :: conditioner.HARMONICS]
        cross = one[:, self.near[0], :, None] * one[:, self.near[1], None, :]
        ones = torch.ones_like(seen[:, :1, 0])
        return torch.cat([ones, one.flatten(1), two.flatten(1), cross.flatten(1)], 1)

    @torch.no_grad()
    def fit(self, frames: dict[float, Tensor]) -> None:
        """Set centres, means and scales from canonical coordinates (M, D) by temperature (kelvin).

        Centres: opposite to the emptiest angle, so that the splines' fixed ends lie where nobody
        is. Means: least squares on Fourier terms of the torsions, frames weighted by 1/T.
        """
        self._centres(torch.cat([z[:, self.stiff :] for z in frames.values()]))
        rows, values = [], []
        for temperature, z in frames.items():
            weight = (REFERENCE / temperature) ** 0.5
            seen = self.features(self._turn(z[:, self.stiff :])).double()
            rows.append(weight * self._regressor(seen))
            values.append(weight * z[:, : self.stiff].double())
        x, y = torch.cat(rows), torch.cat(values)
        ridge = 1e-3 * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        ridge[0, 0] = 0
        # The constant first: the ridge then acts on deviations only.
        fitted = torch.linalg.solve(x.T @ x + ridge, x.T @ y)
        self.regression.copy_(fitted)
        self.scale.copy_((y - x @ fitted).std(0).clamp_min(1e-6))
        if self.init == "basins":
            self._begin(frames)

    def _centres(self, torsion: Tensor) -> None:
        """Set the centres from torsions (M, K), opposite to where fewest are."""
        period = self.coordinates.period
        for k in range(self.torsions):
            if period[k] > 6:  # the sectors of turning groups are fixed by their labels
                self.centre[k] = basins.centre(basins.circle(torsion[:, k]))

    def _begin(self, frames: dict[float, Tensor]) -> None:
        """Let the first spline of each torsion stretch its basins between the outer two."""
        cold, hot = min(frames), max(frames)
        gap = math.log(hot / cold) / UNIT_GAP
        turns = [self._turn(frames[t][:, self.stiff :]) for t in (cold, hot)]
        begun: set[int] = set()
        for mask, network in zip(self.masks, self.turning, strict=True):
            moved = getattr(self, f"{mask}_moved").tolist()
            if begun.isdisjoint(moved):
                begun |= set(moved)
                rows = [basins.start(*(t[:, k] for t in turns), self.bins) for k in moved]
                network.last_bias.copy_(torch.stack(rows).view_as(network.last_bias) / gap)

    def _turn(self, torsion: Tensor) -> Tensor:
        """Torsions in units of half a period about their centres: [-1, 1)."""
        half = self.coordinates.period / 2
        return wrap(torsion - self.centre, 2 * half) / half

    def _mean(self, seen: Tensor, temperature: float, heat: Tensor) -> Tensor:
        """Mean stiff coordinates (B, S) at features (B, K, F) and ln(T / 300 K)."""
        level, slope = self.bending(seen, heat).unbind(-1)
        correction = torch.add(level, slope, alpha=temperature / UNIT_GAP)
        return torch.addcmul(self._regressor(seen) @ self.regression, self.scale, correction)

    def forward(
        self, z: Tensor, source: float, target: float, inverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Coordinates (B, D) at `source` kelvin to `target` kelvin; and log |dz'/dz| (B,).

        `inverse` undoes the map from `source` to `target`: it takes coordinates at `target`.
        """
        start, end = math.log(source / REFERENCE), math.log(target / REFERENCE)
        gap = (end - start) / UNIT_GAP
        heat = z.new_tensor([start, end]).expand(len(z), 2)
        # The mean must not know which way the map goes: it is one function of one temperature.
        neutral = torch.zeros_like(heat)
        if inverse:
            start, end = end, start
        turn = self._turn(z[:, self.stiff :])
        seen = self.features(turn)
        spread = self.scale * math.exp(self.power * start)
        rho = (z[:, : self.stiff] - self._mean(seen, start, neutral)) / spread
        if inverse:
            rho, log_stiff = self._stiff(rho, seen, gap, heat, True)
        turn, log_turn = self._torsion(rho, turn, gap, heat, inverse)
        seen = self.features(turn)
        if not inverse:
            rho, log_stiff = self._stiff(rho, seen, gap, heat, False)
        spread = self.scale * math.exp(self.power * end)
        u = torch.addcmul(self._mean(seen, end, neutral), spread, rho)
        phi = self.centre + turn * self.coordinates.period / 2
        log_det = log_turn + log_stiff + self.power * (end - start) * self.stiff
        return torch.cat([u, phi], 1), log_det

    def _torsion(self, rho, turn, gap: float, heat, inverse: bool) -> tuple[Tensor, Tensor]:
        """Splines of groups of torsions, given the others."""
        log_det = torch.zeros_like(turn[:, 0])
        steps = list(zip(self.masks, self.turning, strict=True))
        for mask, network in reversed(steps) if inverse else steps:
            moved, seen = getattr(self, f"{mask}_moved"), getattr(self, f"{mask}_seen")
            context = rho if self.stiff_context else None
            raw = network(self.features(turn.index_select(1, seen)), heat, context)
            value, slope = conditional_spline(turn.index_select(1, moved), gap * raw, inverse)
            turn = turn.index_copy(1, moved, value)
            log_det = log_det + slope.sum(1)
        return turn, log_det

    def _stiff(self, rho, torsions, gap: float, heat, inverse: bool) -> tuple[Tensor, Tensor]:
        """Scales and shifts given the torsions, then of every other coordinate given the rest."""
        log_det = torch.zeros_like(rho[:, 0])
        steps = [(None, self.stretching), *zip(self.halves, self.coupling, strict=True)]
        for half, network in reversed(steps) if inverse else steps:
            if half is None:
                raw, part = network(torsions, heat), rho
            else:
                moved, seen = getattr(self, f"{half}_moved"), getattr(self, f"{half}_seen")
                raw = network(torsions, heat, rho.index_select(1, seen))
                part = rho.index_select(1, moved)
            log_scale, shift = raw.unbind(-1)
            log_scale, shift = gap * torch.tanh(log_scale), gap * shift
            if inverse:
                part = (part - shift) * (-log_scale).exp()
                log_det = log_det - log_scale.sum(1)
            else:
                part = part * log_scale.exp() + shift
                log_det = log_det + log_scale.sum(1)
            rho = part if half is None else rho.index_copy(1, moved, part)
        return rho, log_det

    def transport(
        self, x: Tensor, source: float, target: float, inverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Positions (B, N, 3) in nm to positions; and log |dx'/dx| (B,). Frames are carried along.

        Equivariant under rotation, translation and turning the labels of like end atoms.
        """
        order = self.coordinates.canonical_labels(x)
        z, frame = self.coordinates.encode(reorder(x, order))
        moved, log_det = self(z, source, target, inverse)
        log_det = log_det + self.coordinates.log_volume(moved) - self.coordinates.log_volume(z)
        return restore(self.coordinates.decode(moved, frame), order), log_det
