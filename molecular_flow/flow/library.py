"""A flow of the library normflows, to compare with: circular splines over internal coordinates.

Its `CircularCoupledRationalQuadraticSpline` (Durkan et al. 2019; Rezende et al. 2020) as it comes:
each coupling bends every second coordinate, given the others. Torsions go round the circle; stiff
coordinates, in standard deviations, are squeezed into a box (a hyperbolic tangent), for the
library's mixed splines put all that lies outside to zero.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from experiments.shared.errors import InputError
from molecular_flow.coordinates.internal import InternalCoordinates
from molecular_flow.flow.affine import AffineFlow
from molecular_flow.flow.transport import REFERENCE, TransportFlow
from molecular_flow.physics.molecule import Molecule

BOX = 6.0  # standard deviations to either side
EDGE = 1 - 1e-6  # of it: the nearest that single precision tells from its wall
BLOCKS = 2  # of each coupling's residual network


class LibraryFlow(nn.Module):
    """Maps coordinates (B, S + K) or positions (B, N, 3) as `TransportFlow` does, for one pair.

    The pair's temperatures are not seen by its networks: between others it is not a map.

    Raises:
        InputError: another `init`, or normflows is not installed.
    """

    def __init__(
        self,
        molecule: Molecule,
        *,
        init: Literal["identity", "stretch"] = "identity",
        width: int = 128,
        couplings: int = 6,
        bins: int = 8,
    ):
        super().__init__()
        if init not in ("identity", "stretch"):
            raise InputError(f"expected model.init identity or stretch for normflows, got {init!r}")
        self.coordinates = coordinates = InternalCoordinates(molecule)
        self.power = 0.5 if init == "stretch" else 0.0
        stiff, torsions = coordinates.stiff, coordinates.torsions
        self.stiff, self.torsions = stiff, torsions
        self.register_buffer("centre", coordinates.rest[stiff:].float().clone())
        self.register_buffer("mean", coordinates.rest[:stiff].float().clone())
        self.register_buffer("scale", torch.full((stiff,), 0.05))
        bound = torch.full((stiff + torsions,), math.pi)
        bound[:stiff] = BOX
        self.layers = nn.ModuleList(
            _coupling()(
                stiff + torsions,
                BLOCKS,
                width,
                list(range(stiff, stiff + torsions)),
                num_bins=bins,
                tail_bound=bound,
                activation=nn.SiLU,
                reverse_mask=bool(n % 2),
            )
            for n in range(couplings)
        )

    transport = TransportFlow.transport
    fit = AffineFlow.fit
    _turn = TransportFlow._turn
    _centres = TransportFlow._centres

    def forward(
        self, z: Tensor, source: float, target: float, inverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Coordinates (B, D) at `source` kelvin to `target` kelvin; and log |dz'/dz| (B,).

        `inverse` undoes the map from `source` to `target`: it takes coordinates at `target`.
        """
        start, end = math.log(source / REFERENCE), math.log(target / REFERENCE)
        if inverse:
            start, end = end, start
        rho = (z[:, : self.stiff] - self.mean) / (self.scale * math.exp(self.power * start))
        place = (rho / BOX).tanh().clamp(-EDGE, EDGE)
        w = torch.cat([BOX * place, math.pi * self._turn(z[:, self.stiff :])], 1)
        log_det = self.power * (end - start) * self.stiff + _slope(place)
        for layer in reversed(self.layers) if inverse else self.layers:
            w, log = layer.inverse(w) if inverse else layer(w)
            log_det = log_det + log
        place = (w[:, : self.stiff] / BOX).clamp(-EDGE, EDGE)
        u = self.mean + self.scale * math.exp(self.power * end) * BOX * place.atanh()
        phi = self.centre + w[:, self.stiff :] / math.pi * self.coordinates.period / 2
        return torch.cat([u, phi], 1), log_det - _slope(place)


def _slope(place: Tensor) -> Tensor:
    """Log-derivative (B,) of tanh where it is `place` (B, S)."""
    return torch.log1p(-place.square()).sum(1)


def _coupling() -> type[nn.Module]:
    try:
        from normflows.flows import CircularCoupledRationalQuadraticSpline
    except ImportError as error:
        raise InputError(
            "model.family=normflows needs that library: pip install normflows"
        ) from error
    return CircularCoupledRationalQuadraticSpline
