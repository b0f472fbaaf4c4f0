"""What a batch asks of the generator: the blend to write, and every loss term by name.

Axes: B batch, C latent channels, T frames (75 a second).
"""

import torch
from torch import Tensor

from jingle import losses
from jingle.networks.generator import Generator, Made
from jingle.networks.loudness import of_separated
from jingle.pieces import listening


def both(batch: dict[str, Tensor], what: str) -> tuple[Tensor, Tensor] | None:
    """`what` belongs to input and target in a batch, or None where it is not there."""
    names = f"input_{what}", f"target_{what}"
    return (batch[names[0]], batch[names[1]]) if names[0] in batch else None


def levels(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """LUFS (B, 5) of input and target and their parts, or None where they are not there."""
    found = both(batch, "levels")
    return (found[0][:, :, 0], found[1][:, :, 0]) if found else None


def blend_of(generator: Generator, batch: dict[str, Tensor]) -> Tensor:
    """The blend (B, C, T): the batch's own, or else of its true parts; all as seen."""
    if "blend" in batch:
        return batch["blend"]
    parts = batch["input_percussive"], batch["target_harmonic"]
    gains = generator.gains(parts, batch["input"], batch["target"], levels(batch))
    return gains[0] * parts[0] + gains[1] * parts[1]


@torch.no_grad()
def turned_down(module, batch: dict[str, Tensor]) -> Tensor | float:
    """By how much the blend of HPSS's parts was turned down for a peak somewhere in the file.

    A factor (B, 1, 1), at most 1, which latents that add up tell: of the sum of the parts, as loud
    as the rule of the blend has them, and the blend itself. A piece of the same songs peaks there,
    too, and is turned down alike. 1.0 where `hpss_mix`, HPSS's parts or the levels are not known.

    Args:
        module: the `CreativeAgent`.
        batch: raw latents (B, C, T).
    """
    found, known = both(batch, "hpss"), levels(batch)
    if found is None or known is None or "hpss_mix" not in batch:
        return 1.0
    gains = of_separated(*known)
    mixed = gains[0] * module.seen(found[0]) + gains[1] * module.seen(found[1])
    shared = (mixed * module.seen(batch["hpss_mix"])).sum((1, 2), keepdim=True)
    power = mixed.square().sum((1, 2), keepdim=True)
    return torch.where(power > 0, shared / power.clamp_min(1e-9), 1.0).clamp(0.0, 1.0)


def terms_of(
    module, made: Made, batch: dict[str, Tensor], blend: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What is logged beside, and every term of `losses.TERMS` that is computed in this update.

    Args:
        module: the `CreativeAgent`.
        made: of the batch.
        batch: latents as seen.
        blend: likewise.
    """
    a, b = batch["input"], batch["target"]
    details, terms = losses.of_masks(*made.masks, each=module.hparams.mask_terms == "each")
    terms |= losses.of_piece(made.outputs, a, b, blend, early=module.generator.early)
    terms |= decoded_terms(module, made.outputs[-1], blend)
    if module.adversary is not None:
        terms["gan"] = module.adversary.gan(made.outputs[-1], a, b)
    if module.hparams.loss_weights["parts"] and made.parts and made.parts.keys() <= batch.keys():
        truth = {name: batch[name] for name in made.parts}
        gains = module.generator.part_gains(truth, a, b, levels(batch))
        terms["parts"] = losses.parts(made.parts, truth, gains)
    return details, terms


def decoded_terms(module, fake: Tensor, blend: Tensor) -> dict[str, Tensor]:
    """`mel` and `spectral` of a decoded crop, in their turn, on which all ranks agree."""
    wanted = [name for name in losses.DEAR if module.hparams.loss_weights[name]]
    if not wanted or module.global_step % module.hparams.decode_every:
        return {}
    codec, seconds = module.trainer.datamodule.codec, module.hparams.decode_seconds
    made, real = listening.crop(codec, module.raw(fake), module.raw(blend), seconds=seconds)
    return {name: getattr(losses, name)(made, real) for name in wanted}
