"""What a user would do instead: free space, our own propagation, and what completes samples.

Axes: N samples, H W map. Maps are gray in [0, 1].
"""

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from pykrige.ok import OrdinaryKriging
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator, RBFInterpolator
from scipy.spatial.distance import cdist
from torch import Tensor

from radiodiff.cities.propagation import radio_map
from radiodiff.estimate.fields import FREE_SPACE, PLAN, along_way_round

THUMBNAIL = 16  # pixels a side, of what the nearest training map is found by


def free_space(known: Tensor) -> Tensor:
    return known[:, FREE_SPACE : FREE_SPACE + 1]


def free_space_in_plan(known: Tensor) -> Tensor:
    """Free space, 0 where the plan has buildings."""
    return free_space(known) * (1 - known[:, PLAN : PLAN + 1])


def way_round(known: Tensor) -> Tensor:
    """Free space along the shortest way round the buildings; 0 in the plan's buildings."""
    return along_way_round(known) * (1 - known[:, PLAN : PLAN + 1])


def propagation(known: Tensor, transmitters: Tensor) -> Tensor:
    """Our dominant-path model on the plan; of made-up maps it knows the law that made them."""
    made = []
    for plan, place in zip(known[:, PLAN].cpu().numpy() > 0.5, transmitters.tolist(), strict=True):
        plan[tuple(place)] = False  # on a rim the plan may claim where the transmitter stands
        made.append(radio_map(plan, *place).astype(np.float32))
    return torch.from_numpy(np.stack(made))[:, None].to(known)


PLAIN = {
    "free_space": free_space,
    "free_space_in_plan": free_space_in_plan,
    "way_round": way_round,
}


class NearestMap:
    """The training map whose free space between the buildings is most like the asked one's."""

    def __init__(self):
        self.thumbnails, self.maps = [], []

    def add(self, known: Tensor, maps: Tensor) -> None:
        """Remember examples (B, K, H, W) and their maps (B, 1, H, W)."""
        self.thumbnails.append(self.thumbnail(known))
        self.maps.append((maps * 255).round().byte())

    @staticmethod
    def thumbnail(known: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(free_space_in_plan(known), THUMBNAIL).flatten(1).cpu()

    def __call__(self, known: Tensor) -> Tensor:
        found = torch.cdist(self.thumbnail(known), torch.cat(self.thumbnails)).argmin(1)
        return torch.cat(self.maps)[found].to(known) / 255


def fill(interpolate, places: np.ndarray, values: np.ndarray, plan: np.ndarray) -> np.ndarray:
    """`interpolate(places, values, wanted)` on all free pixels; 0 in the plan's buildings."""
    made, free = np.zeros(plan.shape, np.float32), np.argwhere(~plan)
    made[tuple(free.T)] = interpolate(places.astype(float), values.astype(float), free)
    return made.clip(0, 1)


def nearest(places: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return NearestNDInterpolator(places, values)(wanted)


def linear(places: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """On a triangulation; outside of it the nearest sample."""
    if len(places) < 4 or np.ptp(places, axis=0).min() == 0:
        return nearest(places, values, wanted)
    found = LinearNDInterpolator(places, values)(wanted)
    return np.where(np.isnan(found), nearest(places, values, wanted), found)


def rbf(places: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Radial basis functions, linear: the smoothest kernel overshoots at shadows' edges."""
    places, first = np.unique(places, axis=0, return_index=True)
    return RBFInterpolator(places, values[first], kernel="linear")(wanted)


def kriging(places: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Ordinary kriging with an exponential variogram that PyKrige fits to the samples.

    Solved in its dual form, once for all wanted pixels: PyKrige's own solution has the variances,
    too, and takes twenty times as long.
    """
    places, first = np.unique(places, axis=0, return_index=True)
    values = values[first]
    if len(values) < 3 or np.ptp(values) == 0:
        return np.full(len(wanted), values.mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the fit's first steps
        model = OrdinaryKriging(places[:, 1], places[:, 0], values, variogram_model="exponential")

    def against(points: np.ndarray) -> np.ndarray:
        """Semivariances to the samples, and the column that makes the weights sum to 1."""
        apart = cdist(points, places)
        found = model.variogram_function(model.variogram_model_parameters, apart)
        return np.c_[np.where(apart == 0, 0.0, found), np.ones(len(points))]

    system = np.r_[against(places), [[1.0] * len(places) + [0.0]]]
    return against(wanted) @ np.linalg.solve(system, np.r_[values, 0.0])


COMPLETIONS = {"nearest": nearest, "linear": linear, "rbf": rbf, "kriging": kriging}


def complete(name: str, known: Tensor, maps: Tensor, places: Tensor, count: int) -> Tensor:
    """Maps (B, 1, H, W) completed from the first `count` of `places` by one of `COMPLETIONS`."""
    made = []
    for inputs, whole, where in zip(known.cpu(), maps.cpu(), places.cpu(), strict=True):
        taken = where[:count].numpy()
        plan = inputs[PLAN].numpy() > 0.5
        made.append(fill(COMPLETIONS[name], taken, whole[0].numpy()[tuple(taken.T)], plan))
    return torch.from_numpy(np.stack(made))[:, None].to(maps)
