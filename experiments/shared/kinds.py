"""Types of constructor arguments: what a value may be stands once, in the signature that takes it.

`experiments.running.schema` reads these from the constructors that a configuration names, and
refuses what does not fit before anything is built. A model outside this repository gets the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt, MinLen

PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
Share = Annotated[float, Gt(0), Lt(1)]
Fraction = Annotated[float, Ge(0), Le(1)]
Widths = Annotated[tuple[PositiveInt, ...], MinLen(1)]  # of one layer or stage after the other
Weights = dict[str, NonNegativeFloat]  # loss term: weight


@dataclass(frozen=True)
class ArgumentsOf:
    """Marks a mapping as keyword arguments of `callee`, by whose signature they are checked."""

    callee: Callable
