"""How much made-up maps look like real ones: statistics of a map, and what real cities have."""

import io

import numpy as np
from PIL import Image
from scipy.ndimage import label

from radiodiff.cities.propagation import SPAN_DB, TOP_DB, in_sight

# Mean and standard deviation over maps of 51 cities of RadioMapSeer (DPM), one map each.
REAL = {
    "zero_share": (0.230, 0.090),
    "outdoor_median": (86.0, 21.0),
    "outdoor_slope": (0.80, 0.23),
    "png_bits_per_pixel": (1.59, 0.34),
    "log_power": (1.90, 0.43),
    "footprint": (611.0, 754.0),
    "exponent": (2.519, 0.038),
}
REAL_RESIDUAL_DB = 0.95  # of the fit that gives the exponent; its spread was not measured


def statistics(gain: np.ndarray) -> dict[str, float]:
    """Of one map (H, W) uint8, from the map alone, as for real ones whose plan is not at hand.

    `zero_share`; `outdoor_median` gray, where it is not 0; `outdoor_slope`, mean step between
    neighbours in a row; `png_bits_per_pixel`; `log_power`, mean log10 of the spectrum at
    wavelengths from 4 to 8 pixels; `footprint`, mean area of connected zeros from 20 pixels on;
    `exponent` and `residual_db` of the fit of loss to log distance, in sight of the brightest
    pixel.
    """
    outdoor = gain > 0
    steps = np.abs(np.diff(gain.astype(float), axis=1))[outdoor[:, 1:] & outdoor[:, :-1]]
    with io.BytesIO() as stream:
        Image.fromarray(gain).save(stream, "PNG", optimize=True)
        bits = 8 * len(stream.getvalue()) / gain.size
    exponent, residual = distance_fit(gain)
    return {
        "zero_share": 1 - outdoor.mean(),
        "outdoor_median": float(np.median(gain[outdoor])),
        "outdoor_slope": steps.mean(),
        "png_bits_per_pixel": bits,
        "log_power": log_power(gain),
        "footprint": footprint(~outdoor),
        "exponent": exponent,
        "residual_db": residual,
    }


def log_power(gain: np.ndarray) -> float:
    """Log10 of the mean power between 1/8 and 1/4 cycles a pixel, under a Hann window."""
    window = np.hanning(gain.shape[0])[:, None] * np.hanning(gain.shape[1])
    power = np.abs(np.fft.fft2((gain - gain.mean()) * window)) ** 2 / gain.size
    rows, columns = (np.fft.fftfreq(side) for side in gain.shape)
    radius = np.hypot(rows[:, None], columns)
    return float(np.log10(power[(radius >= 1 / 8) & (radius < 1 / 4)].mean()))


def footprint(mask: np.ndarray, least: int = 20) -> float:
    """Mean area of the connected pieces of `mask` that have at least `least` pixels; 0 of none."""
    areas = np.bincount(label(mask)[0].ravel())[1:]
    return float(areas[areas >= least].mean()) if (areas >= least).any() else 0.0


def distance_fit(gain: np.ndarray) -> tuple[float, float]:
    """Path-loss exponent in sight of the brightest pixel, and the fit's residual (dB)."""
    y, x = np.argwhere(gain == gain.max()).mean(0).round().astype(int)
    rows, columns = np.mgrid[: gain.shape[0], : gain.shape[1]]
    distance = np.hypot(rows - y, columns - x)
    seen = in_sight(gain == 0, y, x) & (distance >= 3)
    loss = -(TOP_DB + SPAN_DB * (gain[seen] / 255.0 - 1))
    slope, level = np.polyfit(10 * np.log10(distance[seen]), loss, 1)
    return float(slope), float(np.std(loss - slope * 10 * np.log10(distance[seen]) - level))
