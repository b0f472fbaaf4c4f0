"""The kinds of map that can be trained: ours, and two of the field's to compare with."""

from typing import Literal

from experiments.shared.errors import InputError
from molecular_flow.flow.affine import AffineFlow
from molecular_flow.flow.library import LibraryFlow
from molecular_flow.flow.transport import TransportFlow
from molecular_flow.physics.molecule import Molecule

Family = Literal["splines", "realnvp", "normflows"]


def make(molecule: Molecule, family: Family, init: str, options: dict) -> TransportFlow:
    """A map; `options` are those of `TransportFlow`, of which the others take some sizes.

    Raises:
        InputError: there is no such family, or no such start.
    """
    if family == "splines":
        return TransportFlow(molecule, init=init, **options)
    if family == "realnvp":
        return AffineFlow(molecule, init=init, **_of(options, "width", "couplings"))
    if family == "normflows":
        return LibraryFlow(molecule, init=init, **_of(options, "width", "couplings", "bins"))
    raise InputError(f"expected model.family splines, realnvp or normflows, got {family!r}")


def _of(options: dict, *names: str) -> dict:
    return {name: options[name] for name in names if name in options}
