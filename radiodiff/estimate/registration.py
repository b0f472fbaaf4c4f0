"""How a data set's plans lie against its maps: half a pixel off, say, in every city alike.

Plans and maps of one data set were drawn by different programs. By how much is learned from cities
with both, and told to the network: turned and mirrored maps would hide it, and another data set's
plans lie otherwise.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

SMOOTH = 1.5  # pixels; a shift of less than a pixel then moves values along their slope
UNKNOWN = (0.0, 0.0)


def registration(plan: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """(2,): by how many pixels a plan (H, W) bool lies below and right of its map's buildings.

    Lucas and Kanade 1981, one step. Dark yards and places beyond the map's reach are left out.
    """
    near = gaussian_filter(plan.astype(float), SMOOTH) > 0.01
    walls = (gain == 0) & near
    here, there = (gaussian_filter(a.astype(float), SMOOTH) for a in (plan, walls))
    slopes = np.stack([axis.ravel() for axis in np.gradient((here + there) / 2)], 1)  # (HW, 2)
    return np.linalg.lstsq(slopes, (there - here).ravel(), rcond=None)[0]


def turned(shift: np.ndarray, which: int) -> np.ndarray:
    """`registration` after `data.turn`."""
    down, right = shift
    for _ in range(which % 4):
        down, right = -right, down
    return np.array((down, -right if which >= 4 else right))
