"""Several takes of one piece: how loud each band of either part is changes slowly, by chance.

Axes: C latent channels, T frames (75 a second). Where neighbouring channels are neighbours in
pitch, as in the embedded codec, a take is another balance of registers that comes and goes, drums
and harmony each by themselves: onsets and notes stay where they are.
"""

from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jingle.sound import features, spectral

SPREAD_DB = 5.0  # standard deviation of a band's level
MOST_DB = 10.0
BANDS, SECONDS = 8, 2.0  # one level a band and two seconds, interpolated
RATE = 75


def variation(take: int, channels: int, frames: int, *, seed: int = 0) -> dict[str, Tensor]:
    """Factors (C, T) on what passes of input and target in a take; none for the first, plain one.

    They follow from seed and take alone; a longer song begins as a shorter one does.
    """
    if take == 0:
        return {}
    found = {}
    for number, side in enumerate(("input", "target")):
        knots = int(np.ceil(frames / RATE / SECONDS)) + 1
        rng = np.random.default_rng((seed, take, number))
        levels = torch.from_numpy(rng.standard_normal((knots, BANDS))).float().T
        levels = (SPREAD_DB * levels).clamp(-MOST_DB, MOST_DB)
        size = (channels, round((knots - 1) * SECONDS * RATE) + 1)
        smooth = F.interpolate(levels[None, None], size, mode="bilinear", align_corners=True)
        found[f"{side}_variation"] = 10 ** (smooth[0, 0, :, :frames] / 20)
    return found


def compared(
    waves: dict[str, np.ndarray], songs: tuple[features.Features, features.Features]
) -> dict[str, dict]:
    """What is measured of each take: rhythm and harmony, and the mel distance to the others.

    Args:
        waves: `output`, the first take, and `take_2`, ... (samples,) among others.
        songs: of A and B.
    """
    made = {n: w for n, w in waves.items() if n == "output" or n.startswith("take_")}
    found: dict[str, dict] = {
        name: features.compare(features.analyse(wave), *songs) | {"mel_distance_to": {}}
        for name, wave in made.items()
    }
    for one, two in combinations(made, 2):
        pair = (torch.from_numpy(made[name])[None, None] for name in (one, two))
        distance = float(spectral.mel_distance(*pair))
        found[one]["mel_distance_to"][two] = found[two]["mel_distance_to"][one] = distance
    return found
