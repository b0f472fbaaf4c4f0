"""Puts a batch of pairs through a map, both ways, and gives the outcome to the metrics."""

from torch import Tensor

from molecular_flow.baselines import Map
from molecular_flow.fresh import ENDS
from molecular_flow.metrics import TransportMetrics
from molecular_flow.works import Works


def score(
    works: Works, scores: TransportMetrics, move: Map, batch: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Give a batch of pairs, moved both ways by `move`, to `scores`."""
    decode, before = works.flow.coordinates.decode, works.flow.coordinates.log_volume
    done, moved, energies, over = [], [], [], []
    for start, name in enumerate(ENDS):
        z, end = batch[name], works.betas[1 - start]
        there, log_det = move(z, start == 1)
        level, volume, cap = works.reduced(there, batch[f"{name}_labels"], end)
        reduced = works.betas[start] * batch[f"{name}_energy"]
        done.append(level - volume - log_det - reduced + before(z))
        moved.append(there)
        energies.append(level / end)
        over.append(cap)
    again, _ = move(moved[0], True)
    error = (decode(again) - decode(batch["source"])).norm(dim=-1).amax(1)
    scores.update(
        forward_work=done[0],
        inverse_work=done[1],
        moved_energy=energies[0],
        energy=batch["target_energy"],
        moved=moved[0],
        target=batch["target"],
        round_trip=error,
        capped=0.5 * (over[0] + over[1]),
        ladder=batch["ladder"],
    )
    return {"moved": moved[0], "moved_energy": energies[0], "moved_back": moved[1]}
