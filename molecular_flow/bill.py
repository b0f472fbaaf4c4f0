"""What a map has cost: energy evaluations of its data and its training, and processor seconds."""

import time
from dataclasses import asdict, dataclass


@dataclass
class Bill:
    """Evaluations of the energy, with or without gradient; `data` None where nobody counted them.

    `seconds`: of the processor, from the first training to now, validation included.
    """

    data: int | None = None
    training: int = 0
    seconds: float = 0.0

    def start(self, data: int | None) -> None:
        """Training on data that cost `data` evaluations begins, or goes on."""
        self.data, self._since = data, time.process_time()

    def total(self) -> dict:
        """All so far, as plain numbers."""
        more = time.process_time() - self._since if hasattr(self, "_since") else 0.0
        return {**asdict(self), "seconds": self.seconds + more}

    def line(self, ours: float, rival: float) -> str:
        """From how many evaluations on the map pays: `ours` and `rival`'s effective samples each.

        Both by a million evaluations.
        """
        if self.data is None:
            return (
                "what the map's data cost was not counted: a file of your own, fresh frames, or a "
                "map for many peptides"
            )
        cost = (self.data + self.training) / 1e6
        said = (
            f"the map cost {self.data / 1e6:.3g} million evaluations of data, "
            f"{self.training / 1e6:.3g} million of training and {self.seconds:.0f} s of the "
            "processor for that"
        )
        if ours <= rival:
            return f"{said}: it does not pay"
        return (
            f"{said}: it pays from {cost * ours / (ours - rival):.3g} million evaluations on, its "
            "own counted"
        )
