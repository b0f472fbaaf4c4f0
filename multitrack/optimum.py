"""The floor of the published wiring: the best g(frame) + c(track), fitted to the truth itself.

`F` frames, `K` tracks, `J` classes. Whatever its encoder learns, every output of that wiring is the
sum of a signal that all tracks share and a constant of the track. So it errs at least as much as
the sum that is fitted to the very edits that are scored; each term has the whole freedom here.
"""

import numpy as np
from scipy.optimize import minimize

from multitrack.edit.timeline import ASSETS

STEPS = 2000  # of the solver: some hundred are needed


def additive_optimum(
    edits: list[np.ndarray], mean: np.ndarray, std: np.ndarray
) -> dict[str, float]:
    """The least published terms and the sum of these, as means over edits.

    edits: (F, K, 9) each, as `timeline.sample` gives it; mean, std: (K, 7) of the training frames.
    """
    values = np.concatenate(edits).astype(np.float64)
    on = values[..., 0] > 0.5
    z = (values[..., 2:] - mean) / std
    each = np.repeat(np.arange(len(edits)), [len(edit) for edit in edits])
    scored = np.bincount(each) * values.shape[1]
    active = np.bincount(each, on.sum(1))
    cells, shown = (1 / (len(edits) * count.clip(1)[each]) for count in (scored, active))
    columns = [least_squares(z[..., column], on, shown) for column in range(z.shape[-1])]
    terms = {
        "active": least_entropy(on.astype(int), 2, cells),
        "asset": least_entropy(values[..., 1].astype(int), len(ASSETS), cells),
        "scale": columns[0],
        "position": sum(columns[1:3]),
        "crop": sum(columns[3:]),
    }
    return {**terms, "total": sum(terms.values())}


def least_squares(z: np.ndarray, on: np.ndarray, weight: np.ndarray) -> float:
    """The least weighted sum of (z - g - c)^2 over the cells that are on.

    z: (F, K); on: (F, K) booleans; weight: (F,). The best g for given c is the frame's mean of
    z - c, which leaves normal equations for c alone.
    """
    there = on.any(1)
    z, on, weight = np.where(on, z, 0)[there], on[there].astype(float), weight[there]
    share = on / on.sum(1, keepdims=True)
    rest = on * (z - (share * z).sum(1, keepdims=True))
    matrix = np.diag(weight @ on) - (on * weight[:, None]).T @ share
    c = np.linalg.lstsq(matrix, weight @ rest)[0]
    rest -= on * (c - (share @ c)[:, None])
    return float(weight @ (rest**2).sum(1))


def least_entropy(kind: np.ndarray, classes: int, weight: np.ndarray) -> float:
    """The least weighted sum of cross entropies (nats) of softmax(g + c), g and c J logits each.

    kind: (F, K) classes from 0; weight: (F,). The likelihood knows a frame's own g only with how
    many tracks are of each class, so frames alike in that share one g. What is found is the lowest
    point to about 1e-5: where a class is certain, the lowest lies at infinity.
    """
    tracks = kind.shape[1]
    chosen = np.eye(classes)[kind]  # (F, K, J)
    counts, group = np.unique(chosen.sum(1), axis=0, return_inverse=True)
    mass = np.bincount(group.ravel(), weight)  # of each group of frames
    wanted = np.einsum("f,fkj->kj", weight, chosen)
    # In these units all unknowns curve alike.
    unit = np.sqrt(np.concatenate([mass, np.full(tracks, mass.sum())]))[:, None]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        logits = flat.reshape(-1, classes) / unit
        g, c = logits[: len(mass)], logits[len(mass) :]
        both = g[:, None] + c
        top = both.max(-1, keepdims=True)
        powers = np.exp(both - top)
        total = powers.sum(-1, keepdims=True)
        said = powers / total
        high = (np.log(total) + top)[..., 0].sum(1)
        value = mass @ (high - (counts * g).sum(1)) - (wanted * c).sum()
        slope_g = mass[:, None] * (said.sum(1) - counts)
        slope_c = np.einsum("u,ukj->kj", mass, said) - wanted
        return float(value), (np.concatenate([slope_g, slope_c]) / unit).ravel()

    start = np.zeros((len(mass) + tracks) * classes)
    options = {"maxiter": STEPS, "maxfun": 2 * STEPS, "ftol": 1e-12, "gtol": 1e-9, "maxcor": 30}
    return float(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).fun)
