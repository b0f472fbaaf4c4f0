"""What frames must be before anything is learned from them: whole, of one hand, rising in energy.

Axes: `T` temperatures, `L` ladders, `F` frames, `N` atoms; nm, kJ/mol, kelvin.
"""

from pathlib import Path

import numpy as np

from experiments.shared.errors import InputError
from molecular_flow.physics import chirality
from molecular_flow.physics.energy import BOLTZMANN
from molecular_flow.physics.molecule import Molecule

LONGEST = 2.5  # times its length at the minimum: no bond at 1000 K comes near


def check_whole(positions: np.ndarray, molecule: Molecule, path: Path) -> None:
    """Stop on frames (T, L, F, N, 3) whose molecule a periodic box cut.

    Raises:
        InputError: names the first frame and bond.
    """
    first, second = np.array(molecule.bonds).T
    rest = np.linalg.norm(molecule.positions[first] - molecule.positions[second], axis=-1)
    cut = []
    for row in positions:  # one temperature at a time: memory
        lengths = np.linalg.norm(row[..., first, :] - row[..., second, :], axis=-1)
        cut.append(lengths > LONGEST * rest)
    bad = np.stack(cut)
    if bad.any():
        *place, bond = np.argwhere(bad)[0].tolist()
        i, j = (molecule.atoms[atom] for atom in molecule.bonds[bond])
        raise InputError(
            f"{path}: {bad.any(-1).sum()} of {bad[..., 0].size} frames have a bond more than "
            f"{LONGEST} times its length (first at temperature, ladder, frame {place}: {i.name} - "
            f"{j.name} of residue {i.residue + 1}): broken over a periodic box; make the molecule "
            "whole (mdtraj's make_molecules_whole, gmx trjconv -pbc whole)"
        )


def check_hands(positions: np.ndarray, molecule: Molecule, path: Path) -> None:
    """Stop on frames (T, L, F, N, 3) with centres of the other hand than the molecule's.

    Raises:
        InputError: says whether whole molecules are mirrored or atoms exchanged.
    """
    places = chirality.centres(molecule.neighbours, [atom.element for atom in molecule.atoms])
    if not len(places):
        return
    ours = chirality.hands(molecule.positions, places)
    wrong = np.stack([chirality.hands(row, places) != ours for row in positions])
    if not wrong.any():
        return
    *place, centre = np.argwhere(wrong)[0].tolist()
    atom = molecule.atoms[places[centre, 0]]
    mirrored = wrong.mean(-1) > 0.9
    what = (
        f"{mirrored.sum()} are mirror images: change the sign of one axis"
        if mirrored.any()
        else "two of its neighbours are exchanged, or it is a D-amino acid: mend the order of "
        "atoms or data.pdb"
    )
    raise InputError(
        f"{path}: {wrong.any(-1).sum()} of {mirrored.size} frames have centres of the other hand "
        f"than {molecule.label} (first at temperature, ladder, frame {place}: {atom.name} of "
        f"residue {atom.residue + 1}); {what}"
    )


def check_copies(positions: np.ndarray, path: Path) -> list[str]:
    """Notes on frames (T, L, F, N, 3) that are copies of others of their ladder.

    Raises:
        InputError: half of a ladder or more are copies, or they stand in several ladders or at
            several temperatures, so that held-out frames would be training frames.
    """
    temperatures, ladders, frames = positions.shape[:3]
    flat = np.ascontiguousarray(positions).reshape(temperatures * ladders * frames, -1)
    keys = np.array([hash(row.tobytes()) for row in flat])
    _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
    ladder = np.arange(len(flat)) // frames
    least, most = np.full(len(counts), len(flat)), np.zeros(len(counts), dtype=int)
    np.minimum.at(least, group, ladder)
    np.maximum.at(most, group, ladder)
    shared = least != most
    if shared.any():
        n = int(np.argmax(shared))
        one, two = (
            f"temperature {row // ladders}, ladder {row % ladders}" for row in (least[n], most[n])
        )
        raise InputError(
            f"{path}: {counts[shared].sum()} frames stand in several ladders or temperatures "
            f"(first in {one} and in {two}): held-out frames would be training frames; give each "
            "once"
        )
    copies = len(flat) - len(counts)
    for row in range(temperatures * ladders if copies else 0):
        distinct = len(np.unique(keys[ladder == row]))
        if frames > 1 and 2 * distinct <= frames:
            raise InputError(
                f"{path}: temperature {row // ladders}, ladder {row % ladders} has {distinct} "
                f"different frames among {frames}: it stood still; leave the copies out"
            )
    return [f"{path}: {copies} of {len(flat)} frames are copies of others"] if copies else []


def check_energies(energies: np.ndarray, temperatures: np.ndarray, atoms: int, path: Path) -> None:
    """Stop on energies (T, L, F) that hold clashes, or do not rise with the temperatures (T,).

    A clash is a frame more than 20 + 12 sqrt(D / 2) kT above its temperature's median, D = 3 N - 6.

    Raises:
        InputError: names the rows or the first frame, and what is likely wrong.
    """
    bound = 20 + 12 * ((3 * atoms - 6) / 2) ** 0.5
    height = energies - np.median(energies, axis=(1, 2), keepdims=True)
    limit = bound * BOLTZMANN * temperatures[:, None, None]
    clash = ~(height < limit)
    if clash.any():
        place = np.argwhere(clash)[0].tolist()
        raise InputError(
            f"{path}: {clash.sum()} of {clash.size} frames clash, {bound:.0f} kT or more above the "
            f"median of their temperature (first at temperature, ladder, frame {place}, by "
            f"{height[tuple(place)]:.3g} kJ/mol): cut them out, or minimise and equilibrate first"
        )
    order = np.argsort(temperatures)
    means = energies.mean((1, 2))[order]
    # Frames of a ladder are not independent; its means are.
    spread = energies.mean(2) if energies.shape[1] > 2 else energies.reshape(len(energies), -1)
    error = (spread.var(1) / spread.shape[1])[order]
    fall = means[1:] + 3 * np.sqrt(error[1:] + error[:-1]) < means[:-1]
    if fall.any():
        n = int(np.argmax(fall))
        low, high = temperatures[order][n : n + 2]
        backwards = len(fall) > 1 and fall.all()
        what = "the ladder's labels are reversed" if backwards else "the two rows are exchanged"
        raise InputError(
            f"{path}: the mean energy falls from {means[n]:.1f} kJ/mol at {low:g} K to "
            f"{means[n + 1]:.1f} at {high:g} K, which cannot be: {what}; mend temperatures_kelvin"
        )
