"""The published terms: of the model, of the baselines, and their floor, for the report.

`N` windows, `S` frames, `K` tracks. `columns`: mean and deviation (K, 7) of the training frames.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from multitrack import baselines, losses
from multitrack.examples.edits import Edit
from multitrack.optimum import additive_optimum

Columns = tuple[Tensor, Tensor]


@torch.no_grad()
def terms(
    output: dict[str, Tensor],
    batch: dict[str, Tensor],
    columns: Columns,
    keep: Tensor | None = None,
) -> dict[str, Tensor]:
    """The published terms and their sum `total`; of the frames `keep` (N, S) alone if given."""
    score = batch["score"] if keep is None else batch["score"] & keep[..., None]
    return _with_total(losses.published(output, batch["target"], score, *columns))


def baselines_terms(
    predictions: dict[str, Tensor], truth: tuple[Tensor, Tensor], columns: Columns
) -> Iterator[tuple[tuple[str, str], float]]:
    """((baseline, metric), value) of one edit. truth: targets (T, K, 9), which cells count."""
    known = {name: predictions[name] for name in baselines.NAMES}
    known["previous"] = baselines.previous(truth[0], predictions["prior"])
    for name, prediction in known.items():
        found = losses.published(baselines.as_output(prediction), *truth, *columns)
        for term, value in _with_total(found).items():
            yield (name, f"published_{term}"), float(value)


def floor(edits: Sequence[Edit], columns: Columns) -> dict[str, float]:
    """What no output of the published wiring goes below on these edits."""
    mean, std = (column.cpu().numpy() for column in columns)
    found = additive_optimum([edit.values for edit in edits], mean, std)
    return {f"published_{term}": value for term, value in found.items()}


def _with_total(found: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**found, "total": sum(found.values())}
