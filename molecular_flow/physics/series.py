"""Reads a folder of trajectories in the field's formats, one or more files for each temperature.

`run_300K.dcd`, `run_450K.dcd`: a name says its temperature in kelvin. Several files of one are
independent ladders, in the order of their names. A PDB file without a temperature is the topology.
"""

import re
from pathlib import Path

import numpy as np

from experiments.shared.errors import InputError
from molecular_flow.physics import formats
from molecular_flow.physics.molecule import Molecule
from molecular_flow.physics.trajectory import Trajectory, check

KELVIN = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)K(?![A-Za-z])")


def files(folder: Path) -> dict[float, list[Path]]:
    """The folder's trajectory files by the temperature (kelvin) that their names say, rising.

    A structure that lies beside a trajectory of the same stem is only its topology.
    """
    found: dict[float, list[Path]] = {}
    names = sorted(file for file in folder.iterdir() if file.suffix in formats.SUFFIXES)
    frames = {file.stem for file in names if file.suffix not in (".pdb", ".cif")}
    for file in names:
        said = KELVIN.search(file.stem)
        if said and not (file.suffix in (".pdb", ".cif") and file.stem in frames):
            found.setdefault(float(said[1]), []).append(file)
    return dict(sorted(found.items()))


def contents(path: Path) -> list[Path]:
    """A file itself, a folder's trajectory files."""
    if not path.is_dir():
        return [path]
    return [file for parts in files(path).values() for file in parts]


def read(folder: Path, molecule: Molecule) -> Trajectory:
    """The frames of `molecule` in the folder's files, checked as those of any trajectory.

    Raises:
        InputError: fewer than two temperatures, or as many ladders or frames not at each.
    """
    found = files(folder)
    if len(found) < 2:
        raise InputError(
            f"{folder}: expected trajectories of two temperatures or more, got {list(found)} K: "
            "name them as run_300K.dcd and run_450K.dcd"
        )
    structures = [f for f in sorted(folder.glob("*.pdb")) if not KELVIN.search(f.stem)]
    topology = structures[0] if len(structures) == 1 else None
    notes: list[str] = []
    rows = []
    for parts in found.values():
        ladders = []
        for file in parts:
            frames, said = formats.load(
                file, molecule, topology if file.suffix in formats.WITHOUT else None
            )
            ladders.append(frames)
            notes += said
        rows.append(ladders)
    shapes = {(len(ladders), *{len(frames) for frames in ladders}) for ladders in rows}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        counts = {t: [len(f) for f in ladders] for t, ladders in zip(found, rows, strict=True)}
        raise InputError(
            f"{folder}: expected as many files and frames at each temperature, got {counts}: "
            "cut them to one length"
        )
    trajectory = Trajectory(np.array(rows), None, np.array(list(found)), notes=notes)
    check(trajectory, molecule, folder)
    return trajectory
