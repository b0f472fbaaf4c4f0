"""The kinds of map that can be trained: ours, and the field's usual one to compare with."""

from typing import Literal

from experiments.shared.errors import InputError
from molecular_flow.flow.affine import AffineFlow
from molecular_flow.flow.transport import TransportFlow
from molecular_flow.physics.molecule import Molecule

Family = Literal["splines", "realnvp"]


def make(molecule: Molecule, family: Family, init: str, options: dict) -> TransportFlow:
    """A map; `options` are those of `TransportFlow`, of which realnvp takes width and couplings.

    Raises:
        InputError: there is no such family, or no such start.
    """
    if family == "splines":
        return TransportFlow(molecule, init=init, **options)
    if family != "realnvp":
        raise InputError(f"expected model.family splines or realnvp, got {family!r}")
    sizes = {name: options[name] for name in ("width", "couplings") if name in options}
    return AffineFlow(molecule, init=init, **sizes)
