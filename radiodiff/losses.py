"""The loss terms, all on the scale of one pixel of maps in [-1, 1].

The published total is a sum over the pixels of an image: 65,536 times this one at 256 x 256. The
factor is the same for each term, so the weights are the published ones: `kl` 1e-6 here is 1e-6 x
nats an image there.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TERMS = ("l1", "l2", "perceptual", "kl", "adversarial")
PIXELS = 256 * 256  # of the published image, whose units `published` has


def l1(made: Tensor, maps: Tensor) -> Tensor:
    return F.l1_loss(made, maps)


def l2(made: Tensor, maps: Tensor) -> Tensor:
    return F.mse_loss(made, maps)


def kl_nats(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(logvar)) from N(0, 1), each latent number, in nats."""
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar)


def kl(mean: Tensor, logvar: Tensor, maps: Tensor) -> Tensor:
    """Nats a pixel: the sum over the latents (B, Z, h, w), over the pixels of `maps`."""
    return kl_nats(mean, logvar).sum() / maps.numel()


def perceptual(made: Tensor, maps: Tensor, distance: nn.Module) -> Tensor:
    """Distance in the features of a frozen network, of `autoencoder.perceptual`."""
    return distance(made, maps)


def adversarial(game: Tensor, pull: Tensor, weight: Tensor) -> Tensor:
    """The adaptive weight times the generator's loss `game`, as a value.

    Its gradient is that of `pull`, the reconstructions times the slope of `game` at them: so the
    discriminator is gone through once.
    """
    return weight * (game.detach() + pull - pull.detach())


def generator(fake: Tensor) -> Tensor:
    """What the discriminator's logits of reconstructions should do: rise."""
    return -fake.mean()


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss: logits of maps above 1, of reconstructions below -1."""
    return 0.5 * (F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean())


def adaptive_weight(
    reconstruction: Tensor, adversarial: Tensor, *, cap: float
) -> tuple[Tensor, Tensor]:
    """Ratio of two gradients' norms, at most `cap`; and whether the cap was hit (0 or 1).

    Esser et al. 2021. Detached: a weight, not a term.
    """
    ratio = (reconstruction.norm() / (adversarial.norm() + 1e-4)).detach()
    return ratio.clamp(0.0, cap), (ratio > cap).float()


def published(terms: dict[str, Tensor], total: Tensor) -> dict[str, Tensor]:
    """The scalars of the published log in its units: of an image of 256 x 256 pixels."""
    rec = terms["l1"] + terms["l2"] + terms.get("perceptual", torch.zeros_like(total))
    return {
        "rec_loss": rec,
        "nll_loss": PIXELS * rec,
        "kl_loss": PIXELS * terms["kl"],
        "total_loss": PIXELS * total,
    }
