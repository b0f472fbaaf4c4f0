"""The loss terms of a batch, with the gradient that training follows."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from molecular_flow import losses
from molecular_flow.works import Direction, Works

Estimator = Literal["path", "plain"]
TERMS = ("forward", "inverse", "variance")


def objective(
    works: Works, batch: dict[str, Tensor], estimator: Estimator, weights: Mapping[str, float]
) -> tuple[Direction, Direction, dict[str, Tensor]]:
    """Both directions of a batch, and its `TERMS` with their gradients as `estimator` says."""
    plain: tuple = ()
    if estimator == "plain" or weights["variance"]:
        plain = works.one_way(batch, False), works.one_way(batch, True)
    ahead, back = plain if estimator == "plain" else works.both_ways(batch)
    terms = {
        "forward": losses.forward(ahead.work, ahead.reduced),
        "inverse": losses.inverse(back.work, back.reduced),
        "variance": losses.variance(*(way.work for way in plain or (ahead, back))),
    }
    if estimator == "path":
        for name, way in (("forward", ahead), ("inverse", back)):
            terms[name] = losses.with_path_gradient(terms[name], way.moved, way.pull)
    return ahead, back, terms
