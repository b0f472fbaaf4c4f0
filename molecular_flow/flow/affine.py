"""The field's usual flow, to compare with: affine couplings over all internal coordinates.

RealNVP (Dinh, Sohl-Dickstein, Bengio 2017), as flows between two temperatures are commonly built.
Each coupling scales and shifts one half of the coordinates, given the other. Torsions take part as
the logit of their place on the circle, which is cut where nobody is.

Axes: `B` batch, `S` stiff coordinates, `K` torsions.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from experiments.shared.errors import InputError
from molecular_flow.coordinates.internal import InternalCoordinates
from molecular_flow.flow import conditioner
from molecular_flow.flow.transport import REFERENCE, UNIT_GAP, TransportFlow
from molecular_flow.physics.molecule import Molecule

EDGE = 1 - 1e-6  # of a half turn: the nearest to the cut that single precision tells from it


class AffineFlow(nn.Module):
    """Maps coordinates (B, S + K) or positions (B, N, 3) as `TransportFlow` does.

    With zero networks it is the identity, or the stretch of stiff coordinates about their mean.
    """

    def __init__(
        self,
        molecule: Molecule,
        *,
        init: Literal["identity", "stretch"] = "identity",
        width: int = 256,
        couplings: int = 6,
    ):
        super().__init__()
        if init not in ("identity", "stretch"):
            raise InputError(f"expected model.init identity or stretch for realnvp, got {init!r}")
        self.coordinates = coordinates = InternalCoordinates(molecule)
        self.features = conditioner.Features()
        self.power = 0.5 if init == "stretch" else 0.0
        stiff, torsions = coordinates.stiff, coordinates.torsions
        self.stiff, self.torsions = stiff, torsions
        self.register_buffer("centre", coordinates.rest[stiff:].float().clone())
        self.register_buffer("mean", coordinates.rest[:stiff].float().clone())
        self.register_buffer("scale", torch.full((stiff,), 0.05))
        shuffled = torch.Generator().manual_seed(0)
        self.networks = nn.ModuleList()
        for n in range(couplings):
            if n % 2 == 0:
                order = torch.randperm(stiff + torsions, generator=shuffled)
                halves = [half.sort().values for half in order.tensor_split(2)]
            moved, seen = halves[n % 2], halves[1 - n % 2]
            bent, turned = seen[seen < stiff], seen[seen >= stiff] - stiff
            for name, places in (("moved", moved), ("bent", bent), ("turned", turned)):
                self.register_buffer(f"{name}{n}", places, persistent=False)
            self.networks.append(
                conditioner.MLP(turned.tolist(), moved.tolist(), 2, width=width, stiff=bent)
            )

    transport = TransportFlow.transport
    _turn = TransportFlow._turn
    _centres = TransportFlow._centres

    @torch.no_grad()
    def fit(self, frames: dict[float, Tensor]) -> None:
        """Set centres, means, scales from canonical coordinates (M, D) by temperature (kelvin)."""
        together = torch.cat([*frames.values()])
        self._centres(together[:, self.stiff :])
        self.mean.copy_(together[:, : self.stiff].mean(0))
        self.scale.copy_(together[:, : self.stiff].std(0).clamp_min(1e-6))

    def forward(
        self, z: Tensor, source: float, target: float, inverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Coordinates (B, D) at `source` kelvin to `target` kelvin; and log |dz'/dz| (B,).

        `inverse` undoes the map from `source` to `target`: it takes coordinates at `target`.
        """
        start, end = math.log(source / REFERENCE), math.log(target / REFERENCE)
        gap = (end - start) / UNIT_GAP
        heat = z.new_tensor([start, end]).expand(len(z), 2)
        if inverse:
            start, end = end, start
        rise = self.power * (end - start)
        rho = (z[:, : self.stiff] - self.mean) / (self.scale * math.exp(self.power * start))
        turn = self._turn(z[:, self.stiff :]).clamp(-EDGE, EDGE)
        w, log_det = torch.cat([rho, 2 * turn.atanh()], 1), rise * self.stiff - _slope(turn)
        steps = list(enumerate(self.networks))
        for n, network in reversed(steps) if inverse else steps:
            moved, bent, turned = (getattr(self, f"{k}{n}") for k in ("moved", "bent", "turned"))
            turn = (w.index_select(1, turned + self.stiff) / 2).tanh()
            raw = network(self.features(turn), heat, w.index_select(1, bent))
            log_scale, shift = gap * raw[..., 0].tanh(), gap * raw[..., 1]
            part = w.index_select(1, moved)
            if inverse:
                part, log_scale = (part - shift) * (-log_scale).exp(), -log_scale
            else:
                part = part * log_scale.exp() + shift
            w, log_det = w.index_copy(1, moved, part), log_det + log_scale.sum(1)
        rho, turn = w[:, : self.stiff], (w[:, self.stiff :] / 2).tanh()
        u = self.mean + self.scale * math.exp(self.power * end) * rho
        phi = self.centre + turn * self.coordinates.period / 2
        return torch.cat([u, phi], 1), log_det + _slope(turn)


def _slope(turn: Tensor) -> Tensor:
    """Log-derivative (B,) of tanh(y / 2) by y where it is `turn` (B, K)."""
    return ((1 - turn.square()).clamp_min(1e-12) / 2).log().sum(1)
