"""What a batch asks of the generator: the blend to write, and every loss term by name.

Axes: B batch, C latent channels, T frames (75 a second).
"""

from torch import Tensor

from jingle import losses
from jingle.networks.generator import Generator, Made
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
