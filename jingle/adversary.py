"""The game between generator and adversary: who is told what is real, and what each then minimises.

Axes: B batch, C latent channels, T frames (75 a second).
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from jingle import losses
from jingle.networks.cascade import Discriminator
from jingle.networks.generator import check
from jingle.networks.published import PublishedDiscriminator

NETWORKS = {"conditional": Discriminator, "published": PublishedDiscriminator}


class Adversary(nn.Module):
    """A discriminator and its rules.

    Args:
        name: "conditional" (hinge, hears both sources; real is the blend) or "published"
            (cross-entropy, hears the piece alone; real is the target).

    Raises:
        InputError: another name.
    """

    def __init__(self, name: str):
        super().__init__()
        check("adversary", name, NETWORKS)
        self.network = NETWORKS[name]()
        self.published = name == "published"

    def forward(self, piece: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Scores (B, N) of a piece (B, C, T) with its sources: positive is real."""
        return self.network(piece, a, b)

    def real(self, b: Tensor, blend: Tensor) -> Tensor:
        """What counts as real."""
        return b if self.published else blend

    def loss(
        self, fake: Tensor, a: Tensor, b: Tensor, blend: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The adversary's loss on a generated piece, and what is logged of it."""
        # scored together: half the launches, and one spectral power iteration
        real = self.real(b, blend)
        scores = self(*(torch.cat(x) for x in ((real, fake.detach()), (a, a), (b, b))))
        real_score, fake_score = scores.chunk(2)
        value = (losses.bce if self.published else losses.hinge)(real_score, fake_score)
        return value, {
            "train/adversary": value.detach(),
            "train/real_accuracy": (real_score.detach() > 0).float().mean(),
            "train/fake_accuracy": (fake_score.detach() < 0).float().mean(),
        }

    def learn(
        self, module, optimizer, fake: Tensor, a: Tensor, b: Tensor, blend: Tensor
    ) -> dict[str, Tensor]:
        """One update of `module`'s adversary on a generated piece; what is logged of it."""
        module.toggle_optimizer(optimizer)
        loss, logged = self.loss(fake, a, b, blend)
        optimizer.zero_grad()
        module.manual_backward(loss)
        clip_grad_norm_(self.parameters(), module.hparams.clip)
        optimizer.optimizer.step()  # not counted: global_step is the number of generator updates
        module.untoggle_optimizer(optimizer)
        return logged

    def gan(self, fake: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """The generator's side."""
        return (losses.gan_published if self.published else losses.gan)(self(fake, a, b))
