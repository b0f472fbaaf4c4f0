"""One set of weights, and the map that it makes of each peptide.

Axes: `B` batch, `R` residues, `K` torsions, `S` stiff coordinates, `F` features of a torsion, `O`
outputs (coordinates to be set), `P` parameters of one.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from experiments.shared.errors import InputError
from experiments.shared.kinds import NonNegativeInt, PositiveInt
from molecular_flow.coordinates.internal import InternalCoordinates
from molecular_flow.flow import conditioner
from molecular_flow.flow.transport import TransportFlow
from molecular_flow.physics.molecule import Molecule
from molecular_flow.transfer import tables
from molecular_flow.transfer.layout import SETS, Layout, Vocabulary, backbone_root, ranks


class TransferWeights(nn.Module):
    """What molecules share. `layouts`: of peptides that hold every residue in every place."""

    def __init__(
        self,
        layouts: Sequence[Layout],
        *,
        width: PositiveInt = 48,
        message: PositiveInt = 24,
        bins: PositiveInt = 8,
        couplings: NonNegativeInt = 4,
        stiff_couplings: NonNegativeInt = 2,
    ):
        super().__init__()
        self.names = names = Vocabulary(layouts)
        self.bins, self.couplings, self.stiff_couplings = bins, couplings, stiff_couplings
        torsions = len(names.slots) * conditioner.FEATURES + 2
        self.turning = [f"turning{n}" for n in range(couplings)]
        self.bending = ["bending", "stretching", *(f"coupling{n}" for n in range(stiff_couplings))]
        parts, bounds = {}, {}
        for net in (*self.turning, *self.bending):
            inputs = torsions + (names.most if net.startswith("coupling") else 0)
            shapes, starts = tables.shapes(inputs, width, message)
            parts |= {f"{net} {name}": shape for name, shape in shapes.items()}
            bounds |= {f"{net} {name}": bound for name, bound in starts.items()}

        def last(nets: list[str], parameters: int) -> tables.Shapes:
            weights = {f"{net} last": (width, parameters) for net in nets}
            return weights | {f"{net} last_bias": (1, parameters) for net in nets}

        self.residues = tables.Table(names.residues, parts, bounds)
        self.torsions = tables.Table(names.turning, last(self.turning, 3 * bins))
        self.stiff = tables.Table(names.stiff, last(self.bending, 2))


class Reading(nn.Module):
    """A shared network put to one peptide: what `TransportFlow` calls a conditioner.

    `seen` and `stiff`: residue and place in its inputs of each visible torsion and stiff coordinate
    among `slots` and `most`; `moved`: numbers of the outputs among the peptide's torsions (or stiff
    coordinates), `residue`: of each.
    """

    def __init__(self, net: str, count: int, seen, moved, residue, stiff, slots: int, most: int):
        super().__init__()
        self.net, self.count = net, count
        self.weights: tables.Weights | None = None
        self._index("seen", _places(seen, count, slots))
        self.most = most if stiff else 0
        self._index("behind", _places(stiff, count, most))
        ranked = ranks([(residue[n], "") for n in moved])
        size = 1 + max(ranked)
        # Residues with fewer outputs have the first's weights once more, whose outcome is not read.
        take, place = torch.full((count * size,), moved[0]), []
        for n, rank in zip(moved, ranked, strict=True):
            place.append(residue[n] * size + rank)
            take[place[-1]] = n
        self._index("take", take)
        self._index("place", torch.tensor(place))

    def _index(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def hold(self, residues: dict[str, Tensor], outputs: dict[str, Tensor]) -> None:
        """Take this network's weights from those of the peptide's residues and coordinates."""
        own = {name: residues[f"{self.net} {name}"] for name in tables.Weights._fields[:5]}
        last, bias = (
            outputs[f"{self.net} {name}"].index_select(0, self.take).unflatten(0, (self.count, -1))
            for name in ("last", "last_bias")
        )  # (R, O, W, P)
        own |= {
            "last": last.transpose(1, 2).flatten(2),
            "last_bias": bias.transpose(1, 2).flatten(2),
        }
        self.weights = tables.Weights(**own)

    def forward(self, seen: Tensor, temperatures: Tensor, stiff: Tensor | None = None) -> Tensor:
        """Parameters (B, O, P) of features (B, V, F), (B, 2) temperatures, stiff coordinates."""
        count, batch = self.count, len(seen)
        padded = nn.functional.pad(seen, (0, 0, 0, 1)).index_select(1, self.seen)
        parts = [padded.view(batch, count, -1), temperatures[:, None].expand(-1, count, -1)]
        if self.most:
            rest = nn.functional.pad(stiff, (0, 1)).index_select(1, self.behind)
            parts.append(rest.view(batch, count, -1))
        found = tables.run(torch.cat(parts, 2).transpose(0, 1), self.weights)  # (R, B, O P)
        found = found.unflatten(2, (len(self.take) // count, -1)).transpose(0, 1)
        return found.flatten(1, 2).index_select(1, self.place)


def _places(visible: Sequence[tuple[int, int]], count: int, size: int) -> Tensor:
    """For each place (R size,) the number of what is there; one more than there are: nothing."""
    found = torch.full((count, size), len(visible))
    for n, (residue, place) in enumerate(visible):
        found[residue, place] = n
    return found.flatten()


class SharedFlow(TransportFlow):
    """The map of one peptide by shared weights; `TransportFlow` but for where its numbers are from.

    It has no parameters: what it learns belongs to `weights`, which it reads anew for every call,
    or once for all calls within `held()`.
    """

    def __init__(self, molecule: Molecule, weights: TransferWeights):
        nn.Module.__init__(self)
        self.coordinates = coordinates = InternalCoordinates(molecule, backbone_root(molecule))
        self.layout = layout = Layout.make(coordinates, molecule)
        self.weights = (weights,)  # not a part of this module
        self.names = names = weights.names
        self._check(molecule)
        self.features = conditioner.Features()
        self.init, self.power, self.bins, self.stiff_context = "stretch", 0.5, weights.bins, False
        self.stiff, self.torsions = coordinates.stiff, coordinates.torsions
        self.register_buffer("centre", coordinates.rest[self.stiff :].float().clone())
        self.register_buffer("scale", torch.full((self.stiff,), 0.05))
        axes = [{torsion.grand, torsion.parent} for torsion in coordinates.tree.torsions]
        near = [(i, j) for i, j in itertools.combinations(range(self.torsions), 2)
                if axes[i] & axes[j]]  # fmt: skip
        self.register_buffer("near", torch.tensor(near).view(-1, 2).T, persistent=False)
        columns = 1 + 4 * self.torsions + 4 * len(near)
        self.register_buffer("regression", torch.zeros(columns, self.stiff))
        self.regression[0] = coordinates.rest[: self.stiff].float()
        for name, known, rows in (
            ("keys", names.residues, [layout.keys(r) for r in range(len(layout.residues))]),
            ("turning_keys", names.turning, [layout.named(*place) for place in layout.turning]),
            ("stiff_keys", names.stiff, [layout.named(*place) for place in layout.stiff]),
        ):
            index = torch.tensor([[known[key] for key in row] for row in rows])
            self.register_buffer(name, index, persistent=False)
        self._read()

    def _read(self) -> None:
        """Make the conditioners."""
        layout, names, (weights,) = self.layout, self.names, self.weights
        every = [(residue, names.slots.index(slot)) for residue, slot in layout.turning]
        ranked = list(zip([r for r, _ in layout.stiff], ranks(layout.stiff), strict=True))
        count = len(layout.residues)

        def read(net: str, seen, moved: list[int], places, stiff=()) -> Reading:
            residue = [r for r, _ in places]
            return Reading(net, count, seen, moved, residue, stiff, len(names.slots), names.most)

        sets = [[k for k, own in enumerate(layout.sets) if own == n] for n in range(SETS)]
        turns = zip(weights.turning, itertools.cycle(sets), strict=False)
        turns = [(net, moved) for net, moved in turns if moved]
        self.masks = self._sides("mask", [moved for _, moved in turns], self.torsions)
        self.turning = nn.ModuleList(
            read(net, [every[k] for k in range(self.torsions) if k not in moved], moved, every)
            for net, moved in turns
        )
        all_stiff = list(range(self.stiff))
        self.bending = read("bending", every, all_stiff, ranked)
        self.stretching = read("stretching", every, all_stiff, ranked)
        halves = [
            [s for s, (_, rank) in enumerate(ranked) if rank % 2 == n % 2]
            for n in range(weights.stiff_couplings)
        ]
        self.halves = self._sides("half", halves, self.stiff)
        self.coupling = nn.ModuleList(
            read(f"coupling{n}", every, half, ranked,
                 [ranked[s] for s in all_stiff if s not in set(half)])
            for n, half in enumerate(halves)
        )  # fmt: skip

    def _check(self, molecule: Molecule) -> None:
        """Stop on a residue, or one in a place, that the weights do not know."""
        for n, (name, place) in enumerate(self.layout.residues):
            if f"{name} {place}" not in self.names.residues:
                known = sorted(key for key in self.names.residues if key.endswith(f" {place}"))
                raise InputError(
                    f"{molecule.label}: residue {n + 1} is {name} {place} in the chain, which no "
                    f"training sequence has (known: {', '.join(known) or 'none'}): give another "
                    "sequence, or train with one that has it"
                )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Read the weights once for all calls within."""
        (weights,) = self.weights
        residues = weights.residues(self.keys)
        for nets, table, keys in (
            (self.turning, weights.torsions, self.turning_keys),
            ([self.bending, self.stretching, *self.coupling], weights.stiff, self.stiff_keys),
        ):
            outputs = table(keys)
            for net in nets:
                net.hold(residues, outputs)
        try:
            yield
        finally:
            for net in (*self.turning, self.bending, self.stretching, *self.coupling):
                net.weights = None

    def forward(
        self, z: Tensor, source: float, target: float, inverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """As `TransportFlow.forward`."""
        if self.bending.weights is not None:
            return super().forward(z, source, target, inverse)
        with self.held():
            return super().forward(z, source, target, inverse)
