"""The hand of tetrahedral centres, which dynamics at any usual temperature keeps.

Axes: `C` centres, `N` atoms; leading axes are free.
"""

import numpy as np


def centres(neighbours: list[list[int]], elements: list[int]) -> np.ndarray:
    """Atoms with four neighbours and three of these, heavy ones first: (C, 4) indices."""
    found = []
    for atom, around in enumerate(neighbours):
        if len(around) == 4:
            ranked = sorted(around, key=lambda other: (elements[other] == 1, other))
            found.append([atom, *ranked[:3]])
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def hands(positions: np.ndarray, places: np.ndarray) -> np.ndarray:
    """True (..., C) where the three neighbours turn right-handed, of positions (..., N, 3)."""
    middle, *arms = (positions[..., places[:, k], :] for k in range(4))
    one, two, three = (arm - middle for arm in arms)
    return (np.cross(one, two) * three).sum(-1) > 0
