"""Which temperatures of a ladder a map makes swap, and how few of them are enough.

Axes: `T` temperatures, `M` frames of one, `D` internal coordinates, `N` atoms.
"""

from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor

from experiments.shared.errors import InputError
from molecular_flow.coordinates.internal import internal
from molecular_flow.metrics import acceptance
from molecular_flow.physics.dynamics import Ladders
from molecular_flow.works import Works

Rung = dict[str, Tensor]  # z (M, D), labels (M, N) and energy (M,) in kJ/mol
APART = 50  # time steps between the frames of a survey


@torch.no_grad()
def acceptances(works: Works, frames: dict[float, Rung], *, plain: bool = False) -> Tensor:
    """Acceptance (T, T) of swaps between any two temperatures (kelvin) of `frames`, rising.

    Frames of equal place are pairs. `plain`: of swaps without the map. The diagonal is 1.
    """
    found = torch.eye(len(frames), dtype=torch.float64)
    for (i, low), (j, high) in combinations(enumerate(frames), 2):
        one, two = frames[low], frames[high]
        ahead, back = works.ends(low, high, one, two, plain=plain)
        found[i, j] = found[j, i] = acceptance(ahead, back)
    return found


def between(
    works: Works, frames: dict[float, Rung], device: torch.device
) -> tuple[tuple[list[float], Tensor, Tensor], dict[str, float]]:
    """Temperatures, `acceptances` with the map and without; and these by name, for a log."""
    here = {
        temperature: {key: part.to(device) for key, part in rung.items()}
        for temperature, rung in frames.items()
    }
    tables = {"acceptance": acceptances(works, here), "plain": acceptances(works, here, plain=True)}
    named = {
        f"{kind}_{low:g}_{high:g}": table[i, j].item()
        for (i, low), (j, high) in combinations(enumerate(frames), 2)
        for kind, table in tables.items()
    }
    return (list(frames), *tables.values()), named


def fewest(found: Tensor, wanted: float) -> list[int]:
    """Places of the fewest rungs, first and last among them, whose neighbours all swap `wanted`.

    Of equally few those whose worst pair swaps best. `found`: (T, T) of `acceptances`.

    Raises:
        InputError: even all rungs are too few; says which pair is worst.
    """
    count = len(found)
    best: list[tuple[int, float, list[int]]] = [(0, 1.0, [0])]
    for end in range(1, count):
        ways = [
            (len(path), min(worst, found[start, end].item()), [*path, end])
            for start, (_, worst, path) in enumerate(best)
            if path and found[start, end] >= wanted
        ]
        best.append(min(ways, key=lambda way: (way[0], -way[1]), default=(count, 0.0, [])))
    if not best[-1][2]:
        steps = found.diagonal(1)
        raise InputError(
            f"expected temperatures of which some swap {wanted:g} of the time, got at best "
            f"{steps.min():.2f} between the neighbours {int(steps.argmin())} and "
            f"{int(steps.argmin()) + 1}: give temperatures between, or a lower --acceptance"
        )
    return best[-1][2]


def survey(
    works: Works,
    molecule,
    temperatures: list[float],
    *,
    ladders: int,
    seed: int,
    equilibrate_ps: float,
    rounds: int = 8,
    note: Callable[[str], None] = print,
) -> tuple[Tensor, Tensor]:
    """Acceptances (T, T) with the map and without, from a short plain exchange over all rungs."""
    state = Ladders(molecule, temperatures, ladders, seed)
    state.equilibrate(round(equilibrate_ps / state.step_ps))
    parts: list[list[tuple[Tensor, ...]]] = [[] for _ in temperatures]
    for _ in range(rounds):
        state.advance(APART)
        z, labels, _ = internal(works.flow.coordinates, state.x)
        blocks = (part.chunk(len(temperatures)) for part in (z, labels, state.u.clone()))
        for rung, block in zip(parts, zip(*blocks, strict=True), strict=True):
            rung.append(block)
    names = ("z", "labels", "energy")
    frames = {
        temperature: {
            name: torch.cat(part) for name, part in zip(names, zip(*rung, strict=True), strict=True)
        }
        for temperature, rung in zip(temperatures, parts, strict=True)
    }
    note(f"survey: {rounds * ladders} frames of each of {len(temperatures)} temperatures")
    return acceptances(works, frames), acceptances(works, frames, plain=True)
