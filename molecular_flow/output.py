"""Writes what `infer` makes: frames in a format of the user's choice, energies and weights beside.

Axes: `T` temperatures, `L` ladders, `F` frames, `N` atoms; nm, kJ/mol.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from experiments.shared import writing
from experiments.shared.errors import InputError
from molecular_flow.physics import formats
from molecular_flow.physics.dynamics import Ladders
from molecular_flow.physics.molecule import Molecule
from molecular_flow.physics.trajectory import Trajectory, write


def check(path: Path, inputs: Iterable[Path | None] = (), overwrite: bool = False) -> None:
    """Stop, before anything is computed, on a file that cannot be written.

    Raises:
        InputError: an unknown format, or its library is absent; or as `writing.check_file`.
    """
    if path.suffix != ".npz" and path.suffix not in formats.SUFFIXES:
        raise InputError(
            f"expected an output file ending in .npz or {', '.join(formats.SUFFIXES)}, got {path}"
        )
    if path.suffix != ".npz":
        formats.mdtraj()
    beside = [path.with_suffix(s) for s in (".csv", ".pdb") if path.suffix in formats.SUFFIXES]
    for file in (path, *beside):
        writing.check_file(file, inputs=inputs, overwrite=overwrite)


def moved_frames(
    path: Path,
    molecule: Molecule,
    positions: np.ndarray,
    energies: np.ndarray,
    log_weights: np.ndarray,
    pair: tuple[float, float],
) -> list[Path]:
    """Frames (L, F, N, 3) carried from pair[0] to pair[1] kelvin; energies, log-weights (L, F).

    Formats but .npz hold ladder after ladder; a row of `<stem>.csv` belongs to each frame.
    Returns the files written.
    """
    if path.suffix != ".npz":
        files = formats.save(path, positions.reshape(-1, *positions.shape[2:]), molecule)
        table = path.with_suffix(".csv")
        rows = np.stack([np.arange(energies.size), energies.ravel(), log_weights.ravel()], 1)
        with writing.replacing(table) as scratch:
            np.savetxt(scratch, rows, fmt=("%d", "%.6g", "%.6g"), delimiter=",", comments="",
                       header="frame,energy_kj_per_mol,log_weight")  # fmt: skip
        return [*files, table]
    with writing.replacing(path) as scratch:
        np.savez(
            scratch,
            positions_nm=positions[None],
            energies_kj_per_mol=energies[None],
            log_weights=log_weights[None],
            temperatures_kelvin=np.array([pair[1]]),
            from_temperature_kelvin=np.array(pair[0]),
        )
    return [path]


class Recording:
    """Collects the frames of an exchange, as `exchange.run`'s `watch`."""

    def __init__(self) -> None:
        self.frames: list[tuple[torch.Tensor, ...]] = []

    def __call__(self, state: Ladders) -> None:
        """Keep the positions, energies and walkers that `state` has now."""
        positions = state.x.view(*state.shape, *state.x.shape[1:])
        energies = state.u.view(state.shape)
        self.frames.append(tuple(v.cpu().clone() for v in (positions, energies, state.walkers)))

    def write(self, path: Path, module) -> list[Path]:
        """Frames (T, L, F, N, 3) as .npz, or ladder after ladder in `<stem>_<T>K<suffix>`.

        Every frame is of its temperature's Boltzmann distribution: no weights. Returns the files.
        """
        positions, energies, walkers = (
            torch.stack(part, 2).numpy() for part in zip(*self.frames, strict=True)
        )
        if path.suffix == ".npz":
            write(
                path,
                Trajectory(
                    positions=positions,
                    energies=energies,
                    temperatures=np.array(module.pair),
                    walkers=walkers.astype(np.int16),
                    atom_names=tuple(atom.name for atom in module.molecule.atoms),
                    fingerprint=module.molecule.fingerprint,
                ),
            )
            return [path]
        files = []
        for temperature, frames in zip(module.pair, positions, strict=True):
            here = path.with_name(f"{path.stem}_{temperature:g}K{path.suffix}")
            files += formats.save(here, frames.reshape(-1, *frames.shape[2:]), module.molecule)
        return files
