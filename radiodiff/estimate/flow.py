"""Conditional flow matching in the autoencoder's latents, from the regressor's map to maps.

Axes: B batch, K channels of `fields.CHANNELS`, H W map, Z latent channels, h w latent. Gray maps
are in [0, 1] here; the autoencoder has them in [-1, 1].
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.shared import checkpoints
from experiments.shared.errors import InputError
from experiments.shared.kinds import ArgumentsOf, Fraction, PositiveFloat, PositiveInt
from radiodiff.autoencoder.network import Autoencoder
from radiodiff.estimate.fields import CHANNELS
from radiodiff.estimate.network import UNet, cut

OWNER = "radiodiff.module.RadioDiffVAE"  # of the checkpoint that the first stage comes from


class LatentFlow(nn.Module):
    """Maps that could be, around one estimate: an ODE from its latents, with noise, to theirs.

    Lipman et al. 2023, with a source that depends on the condition: paths go straight from
    `regressed + noise * N(0, 1)` to the true map's latents, so that few steps suffice. The network
    says where a path ends, as what the true latents have beyond the regressed ones (Karras et al.
    2022 say why one predicts what is clean); the velocity follows. Untrained, every path ends at
    the regressed map. Latents have mean 0 and standard deviation 1 a channel, as measured when the
    autoencoder was trained.

    Args:
        autoencoder: sizes of the first stage, arguments of `Autoencoder`; as it was trained.
        widths: channels of each level of the U-Net, the first at h x w.
        groups: of its norms.
        noise: standard deviation of what is added to the source.
        steps: of Euler's method, one evaluation of the network each.
        window: pixels a side that are trained on; what lies beyond, the estimate has seen.
        share: of the flow's map in an estimate, the rest being the regressor's: the mean of two
            that err differently errs less (stacking, Wolpert 1992).
    """

    def __init__(
        self,
        autoencoder: Annotated[dict, ArgumentsOf(Autoencoder)] | None = None,
        widths: tuple[PositiveInt, ...] = (64, 96, 128),
        groups: PositiveInt = 8,
        noise: PositiveFloat = 0.5,
        steps: PositiveInt = 4,
        window: PositiveInt = 96,
        share: Fraction = 0.25,
    ):
        super().__init__()
        self.autoencoder = Autoencoder(**(autoencoder or {})).requires_grad_(False)
        latent, fold = self.autoencoder.latent, self.autoencoder.factor
        self.noise, self.steps, self.window, self.share = noise, steps, window, share
        self.multiple = fold * 2 ** (len(widths) - 1)
        self.register_buffer("mean", torch.zeros(latent, 1, 1))
        self.register_buffer("std", torch.ones(latent, 1, 1))
        inputs = 2 * latent + (len(CHANNELS) + 1) * fold**2 + 1
        self.network = UNet(inputs, latent, tuple(widths), groups)

    def take_first_stage(self, run_or_file: str) -> None:
        """The autoencoder's weights and its latents' moments from a run of radiodiff_vae.

        Raises:
            InputError: no such checkpoint, or one of other sizes.
        """
        path = checkpoints.resolve(run_or_file)
        checkpoint = checkpoints.read(path)
        if checkpoint.get("class") != OWNER:
            raise InputError(f"{path} is no checkpoint of radiodiff_vae; train one first")
        state, own = checkpoint["state_dict"], "autoencoder."
        weights = {k.removeprefix(own): v for k, v in state.items() if k.startswith(own)}
        try:
            self.autoencoder.load_state_dict(weights)
        except RuntimeError as error:
            sizes = checkpoint["hyper_parameters"].get("network")
            raise InputError(
                f"{path}: its autoencoder has other sizes; set model.flow.autoencoder to {sizes}"
            ) from error
        for name in ("mean", "std"):
            getattr(self, name).copy_(state[f"measured.{name}"][:, None, None])

    def encode(self, maps: Tensor) -> Tensor:
        """Gray maps (B, 1, H, W) -> standardised latents (B, Z, h, w)."""
        return (self.autoencoder.encode(2 * maps - 1)[0] - self.mean) / self.std

    def decode(self, latents: Tensor) -> Tensor:
        """Standardised latents -> gray maps."""
        return (self.autoencoder.decode(latents * self.std + self.mean).float() + 1) / 2

    def condition(self, known: Tensor, regressed: Tensor) -> Tensor:
        """What the network is told, at the latents' places, but for the latents."""
        both = torch.cat([known, regressed.to(known)], 1)
        return F.pixel_unshuffle(both, self.autoencoder.factor)

    def beyond(self, latents: Tensor, source: Tensor, told: Tensor, time: Tensor) -> Tensor:
        """What the path through `latents` (B, Z, h, w) ends at, less `source` without its noise.

        `time` (B,) is in [0, 1].
        """
        clock = time[:, None, None, None].expand(-1, 1, *latents.shape[-2:])
        return self.network(torch.cat([latents, source, told, clock], 1)).float()

    def ends(self, known: Tensor, regressed: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, Z, h, w) from random times on straight paths, in a window: found, and true."""
        window = self.window, self.autoencoder.factor
        known, regressed, maps = cut(*window, known, regressed, maps)
        with torch.no_grad():
            source, target = self.encode(regressed.clamp(0, 1)), self.encode(maps)
        start = source + self.noise * torch.randn_like(source)
        time = torch.rand(len(maps), device=maps.device)
        share = time[:, None, None, None]
        latents = (1 - share) * start + share * target
        return self.beyond(latents, source, self.condition(known, regressed), time), target - source

    def forward(self, known: Tensor, regressed: Tensor, noise: Tensor | None = None) -> Tensor:
        """Gray maps (B, 1, H, W): from the middle of the source, or with `noise` (B, Z, h, w)."""
        height, width = known.shape[-2:]
        beyond = (0, -width % self.multiple, 0, -height % self.multiple)
        known, regressed = F.pad(known, beyond), F.pad(regressed.clamp(0, 1), beyond)
        source, told = self.encode(regressed), self.condition(known, regressed)
        latents = source if noise is None else source + self.noise * noise
        for step in range(self.steps):
            time = torch.full((len(known),), step / self.steps, device=known.device)
            end = source + self.beyond(latents, source, told, time)
            latents = latents + (end - latents) / (self.steps - step)
        # Adding what the decoder makes of the change alone to the regressed map kept blurred rims:
        # NMSE 0.0021 instead of 0.0007 where the change was the true one.
        return self.decode(latents).clamp(0, 1)[..., :height, :width]

    def draws(
        self, known: Tensor, regressed: Tensor, count: int, generator: torch.Generator
    ) -> Tensor:
        """(count, B, 1, H, W): maps that could be, from noise of `generator`."""
        sides = (-(-n // self.multiple) * self.multiple for n in known.shape[-2:])
        shape = (self.autoencoder.latent, *(n // self.autoencoder.factor for n in sides))
        noises = torch.randn((count, len(known), *shape), generator=generator).to(known.device)
        return torch.stack([self(known, regressed, noise) for noise in noises])
