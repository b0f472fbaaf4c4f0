"""How far a written network is from the one that was trained, and how fast each is."""

import statistics
import time
from dataclasses import dataclass

import torch

from experiments.exporting.formats import Runner


@dataclass
class Row:
    """One line of the table; `difference` as the function of that name has it."""

    name: str
    kind: str
    megabytes: float | None = None
    milliseconds: float | None = None
    difference: float | None = None
    note: str = ""

    def cells(self) -> list[str]:
        numbers = (
            "" if self.megabytes is None else f"{self.megabytes:.2f}",
            "" if self.milliseconds is None else f"{self.milliseconds:.2f}",
            "" if self.difference is None else f"{self.difference:.1e}",
        )
        return [self.name, self.kind, *numbers, self.note]


HEADER = ("network", "format", "MB", "ms", "difference", "")


def difference(found: tuple[torch.Tensor, ...], wanted: tuple[torch.Tensor, ...]) -> float:
    """The largest of all |a - b| / (|b| + the output's median |b|); inf where shapes differ."""
    if [tuple(x.shape) for x in found] != [tuple(x.shape) for x in wanted]:
        return float("inf")
    most = 0.0
    for one, other in zip(found, wanted, strict=True):
        if not torch.equal(one.isfinite(), other.isfinite()):
            return float("inf")
        good = other.isfinite()
        if good.any():
            right = other[good].double()
            scale = (right.abs() + right.abs().median()).clamp_min(1e-6)
            most = max(most, float(((one[good].double() - right).abs() / scale).max()))
    return most


@torch.inference_mode()
def latency(run: Runner, seconds: float = 1.0) -> float:
    """Median time in ms, of as many calls as fit into `seconds`, five at least."""
    run()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 5:
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


def table(rows: list[Row]) -> str:
    """The rows as Markdown, which also reads well as it is."""
    lines = [HEADER, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    printed = [" | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
    printed.insert(1, " | ".join("-" * max(3, width) for width in widths))
    return "\n".join(f"| {line} |" for line in printed)
