"""The losses have the floor they claim; the path gradient is the plain one without its noise."""

import math

import torch

from molecular_flow import losses

BETAS = (1.0, 0.5)  # of U = x^2 / 2 in one dimension


def works(x, log_scale):
    """Forward works (B,) of the scaling exp(log_scale), for x (B, 1) at the first temperature."""
    return (
        BETAS[1] * (x * log_scale.exp()).square()[:, 0] / 2
        - log_scale
        - BETAS[0] * x[:, 0] ** 2 / 2
    )


def path(x, log_scale):
    moved = x * log_scale.exp()
    y = moved.detach().requires_grad_(True)
    ratio = BETAS[1] * y.square() / 2 - BETAS[0] * (y * (-log_scale).exp()).square() / 2
    (pull,) = torch.autograd.grad(ratio.sum(), y)
    value = losses.forward(works(x, log_scale), BETAS[0] * x[:, 0] ** 2 / 2)
    return losses.with_path_gradient(value, moved, pull)


def gradients(log_scale, size, estimator):
    torch.manual_seed(0)
    found = []
    for _ in range(200):
        x = torch.randn(size, 1, dtype=torch.float64)
        if estimator == "path":
            loss = path(x, log_scale)
        else:
            loss = losses.forward(works(x, log_scale), BETAS[0] * x[:, 0] ** 2 / 2)
        found.append(torch.autograd.grad(loss, log_scale)[0])
    return torch.stack(found)


def test_path_gradient_has_the_same_mean():
    log_scale = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    plain, path_ = gradients(log_scale, 500, "plain"), gradients(log_scale, 500, "path")
    exact = BETAS[1] * math.exp(0.2) - 1
    for found in (plain, path_):
        assert abs(found.mean().item() - exact) < 4 * found.std().item() / 200**0.5


def test_path_gradient_has_no_noise_at_the_optimum():
    best = torch.tensor(math.log(2) / 2, dtype=torch.float64, requires_grad=True)
    assert gradients(best, 20, "path").abs().max() < 1e-12
    assert gradients(best, 20, "plain").std() > 0.1


def test_excess_is_zero_for_the_perfect_map_and_positive_otherwise():
    x = torch.randn(4000, 1, dtype=torch.float64)
    y = torch.randn(4000, 1, dtype=torch.float64) * math.sqrt(2)

    def back(y, log_scale):
        x = y * (-log_scale).exp()
        return BETAS[0] * x[:, 0] ** 2 / 2 + log_scale - BETAS[1] * y[:, 0] ** 2 / 2

    best = torch.tensor(math.log(2) / 2, dtype=torch.float64)
    assert losses.excess(works(x, best), back(y, best)).abs() < 1e-12
    assert losses.variance(works(x, best), back(y, best)).abs() < 1e-12
    for off in (-0.3, 0.3):
        assert losses.excess(works(x, best + off), back(y, best + off)) > 0.05


def test_loss_is_excess_above_the_floor():
    ahead, back = torch.tensor([0.5, 1.5]), torch.tensor([-0.25, 0.25])
    reduced = torch.tensor([-140.0, -142.0]), torch.tensor([-190.0, -194.0])
    total = losses.forward(ahead, reduced[0]) + losses.inverse(back, reduced[1])
    floor = reduced[0].mean() + reduced[1].mean()
    assert torch.isclose(total - floor, losses.excess(ahead, back))
