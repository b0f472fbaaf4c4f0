"""Bounds what is allocated while a model is built: its sizes may come from a file of elsewhere."""

import math
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from experiments.shared.errors import InputError

MAKERS = ("empty", "zeros", "ones", "full", "rand", "arange", "linspace", "eye", "new_", "repeat")
MOST_TENSORS = 20_000  # a model of a thousand layers has fewer


class Bounded(TorchDispatchMode):
    """`with Bounded(elements, source): build()` stops a tensor that is too large before it is made.

    Args:
        elements: numbers that may be allocated in all.
        source: whose sizes they are, for the message.
        tensors: how many tensors they may be.
    """

    def __init__(self, elements: float, source: str, tensors: int = MOST_TENSORS):
        super().__init__()
        self.left, self.elements, self.source = elements, elements, source
        self.tensors, self.most = 0, tensors

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = func.__name__
        if name.startswith(MAKERS):
            self.left -= asked(name, args)
            self.tensors += 1
            if self.left < 0 or self.tensors > self.most:
                raise InputError(
                    f"{self.source}: its sizes ask for more than {self.elements:,.0f} numbers, or "
                    f"{self.most:,} tensors: expected a model that fits; give smaller sizes"
                )
        return func(*args, **(kwargs or {}))


def asked(name: str, args: tuple) -> float:
    """How many numbers the call of a factory would allocate."""
    for value in args:
        if isinstance(value, list | tuple) and all(isinstance(n, int) for n in value):
            return math.prod(value)
    numbers = [abs(n) for n in args if isinstance(n, int | float)]
    return max(numbers, default=0.0) if name.startswith(("arange", "linspace", "eye")) else 0.0
