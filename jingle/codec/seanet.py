"""Our own codec's networks: encodec's SEANet at the shipped codec's size, or at a file's."""

import warnings
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from experiments.shared.bounds import Bounded
from experiments.shared.errors import InputError, first_line
from experiments.shared.kinds import NonNegativeInt, PositiveInt
from experiments.shared.signatures import misfits, unknown
from jingle.codec.noise import NoiseDecoder

DIMENSION = 128
RATIOS = (8, 5, 4, 2)


def small(
    *,
    n_filters: PositiveInt = 8,
    n_residual_layers: PositiveInt = 1,
    kernel_size: PositiveInt = 7,
    last_kernel_size: PositiveInt = 7,
    residual_kernel_size: PositiveInt = 3,
    lstm: NonNegativeInt = 0,
    true_skip: bool = True,
    norm: Literal["none", "weight_norm", "spectral_norm", "time_group_norm"] = "none",
    causal: bool = False,
    noise_bands: NonNegativeInt = 4,
) -> dict:
    """What our own codec is built of: SEANet's options, not causal, no LSTM, and bands of noise.

    `noise_bands`: see `jingle.codec.noise`; with 0 the decoder makes all of its sound itself.
    """
    return locals()


SMALL = small()


def build_seanet(architecture: dict) -> tuple[nn.Module, nn.Module]:
    """A SEANet encoder and decoder at 24 kHz mono, ratios 8-5-4-2, 128 latent channels.

    Args:
        architecture: SEANet's options beyond `SMALL`'s, and `noise_bands` (without it, none).
    """
    from encodec.modules.seanet import SEANetDecoder, SEANetEncoder

    wrong = [*unknown(small, architecture, "architecture")]
    wrong += misfits(small, architecture, "architecture")
    if wrong:
        raise InputError(f"{'; '.join(wrong)}: expected a codec's own sizes, as they were written")
    options = {**SMALL, "noise_bands": 0, **architecture}
    options |= {"dimension": DIMENSION, "ratios": list(RATIOS)}
    bands = options.pop("noise_bands")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the old weight_norm, at construction
        encoder, decoder = SEANetEncoder(**options), SEANetDecoder(**options, channels=1 + bands)
    return encoder, NoiseDecoder(decoder) if bands else decoder


def build_as(
    weights: dict[str, Tensor], architecture: object, file: Path
) -> tuple[nn.Module, nn.Module]:
    """`build_seanet` for an architecture from outside: in little more room than `weights` take.

    Raises:
        InputError: it is none, or none of these weights.
    """
    if not isinstance(architecture, dict) or not all(isinstance(k, str) for k in architecture):
        raise InputError(f"{file}: expected its architecture as a mapping; export the codec again")
    numbers = sum(tensor.numel() for tensor in weights.values())
    try:
        with Bounded(8 * numbers + (1 << 22), str(file), 1000 + 20 * len(weights)):
            return build_seanet(architecture)
    except Exception as error:  # the layers raise whatever an odd size provokes
        raise InputError(
            f"{file}: no codec can be made of its architecture ({first_line(error)}): expected "
            "the file as it was written; export the codec again"
        ) from error
