"""Writes what `infer` makes: frames in a format of the user's choice, energies and weights beside.

Axes: `T` temperatures, `L` ladders, `F` frames, `N` atoms; nm, kJ/mol.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from experiments.shared import writing
from experiments.shared.errors import InputError
from molecular_flow import figures
from molecular_flow.coordinates import torsions
from molecular_flow.coordinates.internal import InternalCoordinates, dihedral
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

    def __init__(self, temperatures: list[float]) -> None:
        self.temperatures = temperatures  # kelvin
        self.frames: list[tuple[torch.Tensor, ...]] = []

    def __call__(self, state: Ladders) -> None:
        """Keep the positions, energies and walkers that `state` has now."""
        positions = state.x.view(*state.shape, *state.x.shape[1:])
        energies = state.u.view(state.shape)
        self.frames.append(tuple(v.cpu().clone() for v in (positions, energies, state.walkers)))

    def write(self, path: Path, molecule: Molecule) -> list[Path]:
        """Frames (T, L, F, N, 3) as .npz, or ladder after ladder in `<stem>_<T>K<suffix>`.

        Every frame is of its temperature's Boltzmann distribution: no weights. Of a peptide also
        the free-energy surface over phi and psi, `<stem>_surface.png` and `.csv`.

        Returns the files written.
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
                    temperatures=np.array(self.temperatures),
                    walkers=walkers.astype(np.int16),
                    atom_names=tuple(atom.name for atom in molecule.atoms),
                    fingerprint=molecule.fingerprint,
                ),
            )
            return [path, *self._surface(path, positions, molecule)]
        files = []
        for temperature, frames in zip(self.temperatures, positions, strict=True):
            here = path.with_name(f"{path.stem}_{temperature:g}K{path.suffix}")
            files += formats.save(here, frames.reshape(-1, *frames.shape[2:]), molecule)
        return files + self._surface(path, positions, molecule)

    def _surface(self, path: Path, positions: np.ndarray, molecule: Molecule) -> list[Path]:
        """Write the free-energy surface of frames (T, L, F, N, 3); the files, if a peptide's."""
        coordinates = InternalCoordinates(molecule)
        plane = torsions.ramachandran(coordinates, molecule)
        if plane is None:
            return []
        atoms = coordinates.dihedral_atoms[coordinates.free][[plane.phi, plane.psi]]
        x = torch.from_numpy(positions).flatten(1, 2)
        angles = torch.stack([dihedral(frames, *atoms.T) for frames in x])
        figure = figures.free_energy_surface(angles, plane, self.temperatures)
        picture, table = (path.with_name(f"{path.stem}_surface{kind}") for kind in (".png", ".csv"))
        figure.savefig(picture)
        rows = []
        for temperature, values in zip(self.temperatures, angles, strict=True):
            height, edges = figures.surface(values)
            middle = torch.tensor(edges[:-1]) + 180 / len(height)
            phi, psi = torch.meshgrid(middle, middle, indexing="ij")
            kelvin = torch.full_like(phi, temperature)
            rows.append(torch.stack([kelvin, phi, psi, height.float()], -1).flatten(0, 1))
        np.savetxt(table, torch.cat(rows).numpy(), fmt="%.6g", delimiter=",", comments="",
                   header="temperature_kelvin,phi_degrees,psi_degrees,free_energy_kt")  # fmt: skip
        return [picture, table]
