"""Reads and writes trajectories: our .npz, a table [temperature, replica, step, 69], and `formats`.

Axes: `T` temperatures, `L` independent ladders (replicas), `F` frames, `N` atoms.
"""

from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile

import numpy as np
import torch

from experiments.shared import writing
from experiments.shared.errors import InputError
from experiments.shared.reading import read_npz, regular
from molecular_flow.physics import formats, sanity
from molecular_flow.physics.energy import BOLTZMANN, TorchEnergy
from molecular_flow.physics.molecule import Molecule

LADDER = (300.0, 450.0, 670.0, 1000.0)  # of a table, which does not name its own


@dataclass
class Trajectory:
    """Frames of replica exchange; frames of equal ladder and time at two temperatures are a pair.

    positions (T, L, F, N, 3) nm; energies (T, L, F) kJ/mol; temperatures (T,) kelvin; walkers
    (T, L, F), the walker found at each temperature; swap counts (T - 1,).
    """

    positions: np.ndarray
    energies: np.ndarray | None
    temperatures: np.ndarray
    walkers: np.ndarray | None = None
    swap_attempts: np.ndarray | None = None
    swap_accepts: np.ndarray | None = None
    spacing_ps: float | None = None
    atom_names: tuple[str, ...] | None = None
    fingerprint: str | None = None
    weighted: bool = False  # frames that a map moved: of no weight where they clash
    notes: list[str] = field(default_factory=list)  # what was done to the file's frames

    def row(self, temperature: float) -> int:
        """The row of `temperature` (kelvin).

        Raises:
            InputError: it is not there.
        """
        near = np.flatnonzero(np.abs(self.temperatures - temperature) < 0.01)
        if not len(near):
            raise InputError(
                f"expected a temperature of {self.temperatures.tolist()} K, got {temperature} K: "
                "take one of these, or simulate it"
            )
        return int(near[0])


def write(path: Path, trajectory: Trajectory) -> None:
    """One .npz whose keys name the units."""
    named = {
        "positions_nm": trajectory.positions,
        "energies_kj_per_mol": trajectory.energies,
        "temperatures_kelvin": trajectory.temperatures,
        "walkers": trajectory.walkers,
        "swap_attempts": trajectory.swap_attempts,
        "swap_accepts": trajectory.swap_accepts,
        "spacing_ps": trajectory.spacing_ps,
        "atom_names": trajectory.atom_names,
        "fingerprint": trajectory.fingerprint,
    }
    with writing.replacing(path) as scratch:
        np.savez(scratch, **{key: value for key, value in named.items() if value is not None})


def read(
    path: Path,
    molecule: Molecule,
    temperature: float | None = None,
    topology: Path | None = None,
) -> Trajectory:
    """The trajectory of `molecule` in `path`: .npz of ours, a .pt/.npy table, or one of `formats`.

    The last hold one `temperature`, which has to be given, and may want a `topology`. Energies are
    always those of our own force field, so a file of another system is noticed.

    Raises:
        InputError: unreadable; another molecule, unit or shape; NaN frames; absurd energies.
    """
    path = regular(path, "a trajectory file")
    if path.suffix in formats.SUFFIXES:
        if temperature is None:
            raise InputError(
                f"{path}: expected a file that names its temperatures (.npz), or a command that "
                "says which temperature the frames have"
            )
        positions, notes = formats.load(path, molecule, topology)
        found = Trajectory(positions[None, None], None, np.array([temperature]), notes=notes)
    else:
        found = _read_own(path)
    check(found, molecule, path)
    return found


def _read_own(path: Path) -> Trajectory:
    try:
        return _read_npz(path) if path.suffix == ".npz" else _read_table(path)
    except (
        *(OSError, ValueError, KeyError, RuntimeError, EOFError),
        *(UnpicklingError, BadZipFile),
    ) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).partition("(1)")[0].strip()  # torch goes on to say how to run it
        raise InputError(
            f"{path} cannot be read as a trajectory ({reason}): expected .npz with positions_nm "
            "and temperatures_kelvin, .pt/.npy of shape [temperatures, replicas, steps, 3 N], or "
            f"one of {', '.join(formats.SUFFIXES)}"
        ) from error


def _read_npz(path: Path) -> Trajectory:
    values = read_npz(path, None, "a trajectory: .npz with positions_nm, temperatures_kelvin")

    def text(key):
        return str(values[key]) if key in values else None

    return Trajectory(
        positions=values["positions_nm"].astype(np.float32),
        energies=values.get("energies_kj_per_mol"),
        temperatures=values["temperatures_kelvin"].astype(float),
        walkers=values.get("walkers"),
        swap_attempts=values.get("swap_attempts"),
        swap_accepts=values.get("swap_accepts"),
        spacing_ps=float(values["spacing_ps"]) if "spacing_ps" in values else None,
        atom_names=tuple(values["atom_names"].tolist()) if "atom_names" in values else None,
        fingerprint=text("fingerprint"),
        weighted="log_weights" in values,
    )


def _read_table(path: Path) -> Trajectory:
    if path.suffix == ".npy":
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    else:
        array = torch.load(path, map_location="cpu", weights_only=True)
        array = array.numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
    if array.ndim == 3:  # the script writes it without the axis of replicas
        array = array[:, None]
    if array.ndim != 4 or array.shape[-1] % 3 or array.shape[0] > len(LADDER):
        raise InputError(
            f"{path}: expected shape [temperatures (up to 4), replicas, steps, 3 N], got "
            f"{list(array.shape)}"
        )
    positions = array.reshape(*array.shape[:3], -1, 3).astype(np.float32)
    return Trajectory(positions, None, np.array(LADDER[: len(positions)]))


def check(trajectory: Trajectory, molecule: Molecule, path: Path) -> None:
    """Stop on frames that are not `molecule` in nm; fills in `energies`.

    Raises:
        InputError: says what is wrong with `path`, and the likely remedy.
    """
    positions, atoms = trajectory.positions, len(molecule.atoms)
    if positions.ndim != 5 or positions.shape[3:] != (atoms, 3) or 0 in positions.shape:
        raise InputError(
            f"{path}: expected positions (T, L, F, {atoms}, 3) of {molecule.label}, got "
            f"{list(positions.shape)}: give data.sequence or data.pdb of the molecule in the file"
        )
    if len(trajectory.temperatures) != len(positions):
        raise InputError(
            f"{path}: expected as many temperatures as rows of positions, got "
            f"{len(trajectory.temperatures)} and {len(positions)}"
        )
    bad = ~np.isfinite(positions).all((3, 4))
    if bad.any():
        raise InputError(
            f"{path}: {bad.sum()} of {bad.size} frames hold NaN or Inf (first at temperature, "
            f"replica, frame {np.argwhere(bad)[0].tolist()}): cut them out, they are from a run "
            "that blew up"
        )
    first, second = np.array(molecule.bonds).T
    sample = positions.reshape(-1, atoms, 3)[:: max(1, bad.size // 200)]
    lengths = np.linalg.norm(sample[:, first] - sample[:, second], axis=-1)
    rest = np.linalg.norm(molecule.positions[first] - molecule.positions[second], axis=-1)
    ratio = float(np.median(lengths / rest))
    if not 0.8 < ratio < 1.25:
        hint = "divide by 10, they look like angstrom" if 8 < ratio < 12.5 else "give nm"
        raise InputError(
            f"{path}: bonds are {ratio:.2f} times their length in {molecule.label}: {hint}, and "
            "check the order of the atoms"
        )
    sanity.check_whole(positions, molecule, path)
    sanity.check_hands(positions, molecule, path)
    trajectory.notes += sanity.check_copies(positions, path)
    energies = frame_energies(molecule, positions)
    thermal = BOLTZMANN * trajectory.temperatures * atoms * 3
    lowest = float(TorchEnergy(molecule).double()(torch.tensor(molecule.positions)[None]))
    middle = np.median(energies, axis=(1, 2)) - lowest
    for temperature, height, limit in zip(
        trajectory.temperatures, middle, 2 * thermal, strict=True
    ):
        if not -limit < height < limit:
            raise InputError(
                f"{path}: frames at {temperature:g} K lie {height:.3g} kJ/mol above the minimum of "
                f"{molecule.label}, expected about {limit / 4:.3g}: another order of atoms, "
                "another force field, or another unit"
            )
    if not trajectory.weighted:
        sanity.check_energies(energies, trajectory.temperatures, atoms, path)
    trajectory.energies = energies


def frame_energies(molecule: Molecule, positions: np.ndarray, chunk: int = 512) -> np.ndarray:
    """Energies (T, L, F) in kJ/mol of positions (T, L, F, N, 3) in nm, by our force field."""
    energy = TorchEnergy(molecule).float()
    flat = torch.from_numpy(positions.reshape(-1, *positions.shape[3:]))
    with torch.no_grad():
        found = torch.cat([energy(block) for block in flat.split(chunk)])
    return found.numpy().reshape(positions.shape[:3])
