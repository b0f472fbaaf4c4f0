"""What the shared map starts from, in closed form: centres, means, scales and first splines.

All by chemical names, from all training peptides together, so that an unseen one needs no frames.

Axes: `M` frames, `C` columns of a regression, `Q` stiff coordinates of one residue.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from molecular_flow.flow import basins
from molecular_flow.flow.transport import REFERENCE
from molecular_flow.transfer.flow import SharedFlow, TransferWeights

RIDGE = 1e-3  # a share of the frames
NEAR = ("phi", "psi", "omega", "side0")  # what a residue's means see of its neighbours' torsions
Frames = Mapping[float, Tensor]  # coordinates (M, D) by temperature in kelvin


class Mean(NamedTuple):
    """Of a residue in its place: names of what its means hang on, (C, Q) and deviations (Q,)."""

    columns: list[str]
    coefficients: Tensor
    deviations: Tensor


def fit(
    flows: Sequence[SharedFlow], frames: Sequence[Frames], weights: TransferWeights
) -> dict[str, dict]:
    """What `place` puts into any peptide's map; and the first splines, into `weights`."""
    found: dict[str, dict] = {"centres": _centres(flows, frames), "means": {}}
    for flow in flows:
        place(flow, found)
    found["means"] = {name: tuple(mean) for name, mean in _means(flows, frames).items()}
    for flow in flows:
        place(flow, found)
    _begin(flows, frames, weights)
    return found


def place(flow: SharedFlow, found: Mapping[str, dict]) -> None:
    """Give a peptide's map its centres, means and scales."""
    for k, own in enumerate(flow.layout.turning):
        name = flow.layout.named(*own)[-1]
        flow.centre[k] = found["centres"].get(name, flow.centre[k])
    for residue, (name, where) in enumerate(flow.layout.residues):
        if f"{name} {where}" in found["means"]:
            _set(flow, residue, Mean(*found["means"][f"{name} {where}"]))


def _set(flow: SharedFlow, residue: int, mean: Mean) -> None:
    number = {name: n for n, name in enumerate(mean.columns)}
    stiff = _stiff(flow, residue)
    flow.regression[:, stiff] = 0
    for name, column in _columns(flow, residue).items():
        if name in number:
            flow.regression[column, stiff] = mean.coefficients[number[name]].to(flow.scale)
    for name in _beside(flow, residue):
        if name in number:
            flow.regression[0, stiff] += mean.coefficients[number[name]].to(flow.scale)
    flow.scale[stiff] = mean.deviations.to(flow.scale)


def _centres(flows: Sequence[SharedFlow], frames: Sequence[Frames]) -> dict[str, float]:
    """By a torsion's name the angle opposite to where fewest are, in radians."""
    counts: dict[str, Tensor] = {}
    for flow, rows in zip(flows, frames, strict=True):
        for k, own in enumerate(flow.layout.turning):
            if flow.coordinates.period[k] > 6:  # the homes of turning groups are ideal angles
                name = flow.layout.named(*own)[-1]
                more = basins.circle(torch.cat([z[:, flow.stiff + k] for z in rows.values()]))
                counts[name] = counts[name] + more if name in counts else more
    return {name: basins.centre(count).item() for name, count in counts.items()}


def _stiff(flow: SharedFlow, residue: int) -> list[int]:
    return [s for s, (where, _) in enumerate(flow.layout.stiff) if where == residue]


def _columns(flow: SharedFlow, residue: int) -> dict[str, int]:
    """Names of the torsion terms that a residue's means hang on: columns of the regressor."""
    size, start = flow.torsions, 1
    names: list[str | None] = []
    for where, slot in flow.layout.turning:
        away = where - residue
        seen = away == 0 or (abs(away) == 1 and slot in NEAR)
        names.append(f"{away:+d} {slot}" if seen else None)
    found = {"one": 0}
    for harmonic in (1, 2):
        for k, name in enumerate(names):
            if name:
                found |= {f"{name} {harmonic} {n}": start + 2 * k + n for n in range(2)}
        start += 2 * size
    for pair, (i, j) in enumerate(flow.near.T.tolist()):
        if names[i] and names[j]:
            found |= {f"{names[i]} x {names[j]} {n}": start + 4 * pair + n for n in range(4)}
    return found


def _beside(flow: SharedFlow, residue: int) -> list[str]:
    """Names of the residues on either side, on which its means hang, too."""
    chain = flow.layout.residues
    return [
        f"{away:+d} {chain[residue + away][0]}"
        for away in (-1, 1)
        if 0 <= residue + away < len(chain)
    ]


def _means(flows: Sequence[SharedFlow], frames: Sequence[Frames]) -> dict[str, Mean]:
    """Least squares over all peptides that have a residue in a place, frames weighted by 1/T."""
    groups = defaultdict(list)
    for n, flow in enumerate(flows):
        for residue, (name, where) in enumerate(flow.layout.residues):
            groups[f"{name} {where}"].append((flow, frames[n], residue))
    return {name: _mean(members) for name, members in groups.items()}


def _mean(members: Sequence[tuple[SharedFlow, Frames, int]]) -> Mean:
    names: dict[str, int] = {}
    for flow, _, residue in members:
        for name in (*_columns(flow, residue), *_beside(flow, residue)):
            names.setdefault(name, len(names))
    normal, cross, square, total = 0.0, 0.0, 0.0, 0
    for flow, rows, residue in members:
        x, y = _rows(flow, rows, residue, names)
        normal, cross = normal + x.T @ x, cross + x.T @ y
        square, total = square + y.square().sum(0), total + len(x)
    ridge = RIDGE * total * torch.eye(len(names), dtype=torch.float64, device=normal.device)
    ridge[0, 0] = 0
    fitted = torch.linalg.solve(normal + ridge, cross)
    left = square - 2 * (fitted * cross).sum(0) + (fitted * (normal @ fitted)).sum(0)
    return Mean(list(names), fitted, (left / total).clamp_min(1e-12).sqrt())


def _rows(
    flow: SharedFlow, frames: Frames, residue: int, names: Mapping[str, int]
) -> tuple[Tensor, Tensor]:
    """Regressors (M, C) and a residue's stiff coordinates (M, Q), of all temperatures."""
    columns, stiff = _columns(flow, residue), _stiff(flow, residue)
    xs, ys = [], []
    for temperature, z in frames.items():
        weight = (REFERENCE / temperature) ** 0.5
        seen = flow.features(flow._turn(z[:, flow.stiff :])).double()
        x = torch.zeros(len(z), len(names), dtype=torch.float64, device=z.device)
        x[:, [names[name] for name in columns]] = flow._regressor(seen)[:, list(columns.values())]
        x[:, [names[name] for name in _beside(flow, residue)]] = 1
        xs.append(weight * x)
        ys.append(weight * z[:, stiff].double())
    return torch.cat(xs), torch.cat(ys)


@torch.no_grad()
def _begin(flows: Sequence[SharedFlow], frames: Sequence[Frames], weights: TransferWeights) -> None:
    """Let the first spline of each torsion begin as a stretch of its basins (see `basins`).

    Splines that have been trained stay as they are.
    """
    turns = defaultdict(list)
    for flow, rows in zip(flows, frames, strict=True):
        ends = [flow._turn(rows[t][:, flow.stiff :]) for t in (min(rows), max(rows))]
        for k, own in enumerate(flow.layout.turning):
            name = flow.layout.named(*own)[-1], flow.layout.sets[k]
            turns[name].append([end[:, k] for end in ends])
    for (name, first), pairs in turns.items():
        if first < weights.couplings:
            cold, hot = (torch.cat(side) for side in zip(*pairs, strict=True))
            bias = weights.torsions.part(f"turning{first} last_bias")
            row = bias[weights.names.turning[name]]
            if not row.any():
                row.copy_(basins.start(cold, hot, weights.bins))
