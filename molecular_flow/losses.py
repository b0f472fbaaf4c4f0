"""Loss terms, one function each, named as their keys in conf/loss/molecular_flow.yaml; in nats.

All are built on the work of a map from temperature a to b, with the Jacobian in positions:

    work(x) = beta_b U(T x) - log |det J(x)| - beta_a U(x)

Its mean is that direction's published loss minus the floor beta_a <U_a>; the means of both
directions sum to the excess, which is 0 for a perfect map and positive otherwise.
"""

from torch import Tensor


def forward(work: Tensor, reduced: Tensor) -> Tensor:
    """E_{x ~ source}[beta_t U(T x) - log |det J|] of works (B,) and beta_s U(x) (B,)."""
    return (work + reduced).mean()


def inverse(work: Tensor, reduced: Tensor) -> Tensor:
    """E_{y ~ target}[beta_s U(T^-1 y) - log |det J|] of works (B,) and beta_t U(y) (B,)."""
    return (work + reduced).mean()


def variance(forward_work: Tensor, inverse_work: Tensor) -> Tensor:
    """Sum of both works' variances: 0 for a perfect map (log-variance divergence, Richter 2020)."""
    return forward_work.var() + inverse_work.var()


def excess(forward_work: Tensor, inverse_work: Tensor) -> Tensor:
    """Loss minus floor: the Kullback-Leibler divergences of both directions."""
    return forward_work.mean() + inverse_work.mean()


def with_path_gradient(value: Tensor, moved: Tensor, pull: Tensor) -> Tensor:
    """`value` whose gradient is that of mean_b <pull, moved(theta)>, for moved, pull (B, D).

    `pull` is the gradient of log q(y) - log p(y) at y = moved with the density q of the map held
    fixed. The part left out has mean zero; without it the noise of the gradient vanishes at a
    perfect map, frame by frame, which is what keeps a flow from fitting the frames themselves.
    Roeder, Wu, Duvenaud 2017; Vaitl, Nicoli, Nakajima, Kessel 2022.
    """
    surrogate = (pull.detach() * moved).sum(1).mean()
    return value.detach() + surrogate - surrogate.detach()
