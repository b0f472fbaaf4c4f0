"""What a batch asks of the generator: the blend to write, and every loss term by name.

Axes: B batch, C latent channels, T frames (75 a second).
"""

from dataclasses import replace

import torch
from torch import Tensor

from jingle import losses
from jingle.networks.generator import Generator, Made
from jingle.networks.loudness import of_separated
from jingle.pieces import listening

ADDS_UP = 0.95  # share of a mix's power that the sum of its parts explains


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


def anchored(made: Made, seen: dict[str, Tensor], batch: dict[str, Tensor]) -> Made:
    """`made` as loud as its songs' HPSS mix, and where nothing was changed that mix itself.

    An agent that changes nothing adds up what HPSS found, and the codec's errors with it, once for
    each part; the mix has been through the codec once. As it is where no levels are known.

    Args:
        made: of the batch.
        seen: `hpss_mix`, `input_hpss` and `target_hpss` (B, C, T), as the networks see them.
        batch: perhaps with levels.
    """
    known, parts, mix = levels(batch), both(seen, "hpss"), seen["hpss_mix"]
    if known is None or parts is None:
        return made
    gains = of_separated(*known)
    plain = gains[0] * parts[0] + gains[1] * parts[1]
    down = turned_down(plain, mix)
    missing = (1 - made.done) * (mix - down * plain)
    return replace(made, outputs=[down * z + missing for z in made.outputs])


def turned_down(plain: Tensor, mix: Tensor) -> Tensor:
    """By how much a blend was turned down for a peak somewhere in the file: (B, 1, 1), at most 1.

    Latents that add up tell it. A piece of the same songs peaks there, too, and is turned down
    alike. 1 where they do not add up.

    Args:
        plain: the sum of the blend's parts (B, C, T), as loud as its rule has them.
        mix: the blend (B, C, T).
    """
    shared, power, of_mix = (
        (x * y).sum((1, 2), keepdim=True) for x, y in ((plain, mix), (plain, plain), (mix, mix))
    )
    alike = shared.square() > ADDS_UP * power * of_mix
    return torch.where(alike, shared / power, 1.0).clamp(0.0, 1.0)


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
