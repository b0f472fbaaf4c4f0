"""The codec between sound and latents: pretrained, shipped, a user's own, or random weights.

Axes: `B` batch, `S` samples at 24 kHz, `D` 128 latent channels, `T` frames, 75 a second.
"""

import hashlib
import json
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments.shared import writing
from experiments.shared.errors import InputError
from experiments.shared.reading import regular
from jingle.codec import download
from jingle.codec.noise import NoiseDecoder
from jingle.codec.seanet import DIMENSION, SMALL, build_as, build_seanet

RATE = 24_000
HOP = 320
MOST_BYTES = 8 << 30  # of a file of weights
CHOICES = ("auto", "pretrained", "embedded", "random")
EMBEDDED = Path(__file__).parent / "weights" / "embedded_codec.safetensors"
FORMATS = ("jingle-codec-1", "jingle-codec-2")  # the first knew no bands of noise


class Codec(nn.Module):
    """A frozen encoder and decoder; latents are continuous, no quantizer takes part.

    Attributes:
        name: "pretrained", "embedded", "random" or the path of the weights.
        identity: hash of the weights, part of every cache key.
        meaningful: False where the weights are random, so that its sound says nothing.
        note: one line on what was chosen and why, to print and to record.
    """

    sample_rate = RATE
    hop = HOP
    dimension = DIMENSION

    def __init__(self, encoder: nn.Module, decoder: nn.Module, *, name: str, note: str):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.name, self.note = name, note
        self.meaningful = name != "random"
        self.identity = weights_hash(self)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "Codec":
        """Stay in eval mode, but for the decoder: cuDNN refuses an LSTM's backward in eval mode."""
        super().train(False)
        self.decoder.train()
        return self

    @torch.no_grad()
    def encode(self, audio: Tensor) -> Tensor:
        """Latents of 24 kHz mono sound: (B, 1, S) -> (B, 128, ceil(S / 320))."""
        if audio.dim() != 3 or audio.shape[1] != 1:
            raise ValueError(f"expected audio (B, 1, S), got {tuple(audio.shape)}")
        return self.encoder(audio)

    def decode(self, latents: Tensor, start: int = 0) -> Tensor:
        """Sound of latents, differentiable in them: (B, 128, T) -> (B, 1, 320 T).

        Args:
            latents: (B, 128, T).
            start: which frame of a piece the first one is, where a piece is decoded in parts.
        """
        if latents.dim() != 3 or latents.shape[1] != DIMENSION:
            raise ValueError(f"expected latents (B, {DIMENSION}, T), got {tuple(latents.shape)}")
        if isinstance(self.decoder, NoiseDecoder):
            return self.decoder(latents, start)
        return self.decoder(latents)


def load_codec(choice: str | Path = "auto", device: str | torch.device = "cpu") -> Codec:
    """The frozen codec that `data.codec` names.

    Args:
        choice: "pretrained" (the pretrained 24 kHz EnCodec weights), "embedded" (ours, shipped),
            "random" (ours, untrained: for speed and tests), a file that `export` wrote or the
            EnCodec `.th` file; "auto" is pretrained where it can be had, else embedded.
        device: where to put it.

    Raises:
        InputError: the weights cannot be had, or are not a codec's.
    """
    choice = str(choice)
    if choice == "auto":
        codec = _auto()
    elif choice == "pretrained":
        codec = _pretrained()
    elif choice == "embedded":
        codec = _embedded()
    elif choice == "random":
        codec = _random("codec: random weights, its sound means nothing")
    else:
        codec = from_file(Path(choice))
    return codec.to(device)


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over the names and bytes of all weights, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def write_weights(file: Path, encoder: nn.Module, decoder: nn.Module, architecture: dict) -> None:
    """Write a codec's weights in half precision, with its architecture, as safetensors."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {
        f"{part}.{name}": tensor.detach().cpu().half().contiguous()
        for part, module in (("encoder", encoder), ("decoder", decoder))
        for name, tensor in module.state_dict().items()
    }
    metadata = {"format": FORMATS[-1], "architecture": json.dumps(architecture)}
    with writing.replacing(file) as scratch:
        try:
            save_file(tensors, scratch, metadata=metadata)
        except SafetensorError as error:
            raise writing.cannot(file, error) from error


def _auto() -> Codec:
    reason = download.unreachable()
    if reason is None:
        try:
            return _pretrained()
        except InputError as error:
            reason = str(error)
    codec = _embedded()
    codec.note = (
        f"codec: WARNING auto fell back from the pretrained weights to {codec.name}: {reason}. "
        f"{codec.note}"
    )
    return codec


def _embedded() -> Codec:
    if not EMBEDDED.is_file():
        return _random("codec: WARNING no embedded weights are shipped, so these are random")
    codec = from_file(EMBEDDED)
    codec.name = "embedded"
    codec.note = f"codec: embedded weights {codec.identity} (small, trained on rendered songs)"
    return codec


def _random(note: str) -> Codec:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder, decoder = build_seanet(SMALL)
    return Codec(encoder, decoder, name="random", note=note)


def from_file(file: Path) -> Codec:
    if not os.path.lexists(file):
        raise InputError(
            f"codec weights {file}: no such file; expected one of {', '.join(CHOICES)}, or a file "
            "written by `python -m jingle.codec export`, or EnCodec's .th file"
        )
    if file.suffix == ".th":
        return _from_pretrained(_read_pretrained(file), str(file))
    tensors, architecture = _read_weights(file)
    encoder, decoder = build_as(tensors, architecture, file)
    for part, module in (("encoder", encoder), ("decoder", decoder)):
        state = {
            name.removeprefix(f"{part}."): tensor.float()
            for name, tensor in tensors.items()
            if name.startswith(f"{part}.")
        }
        load_strictly(module, state, file)
    return Codec(encoder, decoder, name=str(file), note=f"codec: weights of {file}")


def _read_weights(file: Path) -> tuple[dict[str, Tensor], dict]:
    from safetensors import SafetensorError, safe_open

    regular(file, "a codec's weights (.safetensors)", MOST_BYTES)
    try:
        with safe_open(file, framework="pt") as stream:
            metadata = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        architecture = json.loads(metadata.get("architecture", "null"))
    except (SafetensorError, OSError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"codec weights {file} cannot be read ({error}); copy it again") from error
    if metadata.get("format") not in FORMATS:
        raise InputError(f"{file} holds no codec: write one with `python -m jingle.codec export`")
    return tensors, architecture


def load_strictly(module: nn.Module, state: dict, file: Path) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{file} does not fit the codec's architecture ({reason})") from error


def _pretrained() -> Codec:
    file = download.location()
    if not file.is_file():
        reason = download.unreachable()
        if reason is None:
            reason = download.download(file)
        if reason is not None:
            raise InputError(
                f"the pretrained EnCodec weights cannot be had ({reason}): put {download.FILE} "
                f"into {file.parent}, or give its path as codec, or choose codec: embedded"
            )
    codec = _from_pretrained(_read_pretrained(file), "pretrained")
    codec.note = f"codec: the pretrained 24 kHz EnCodec weights {codec.identity}"
    return codec


def _read_pretrained(file: Path) -> dict[str, Tensor]:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a broken archive
        raise InputError(f"{file} cannot be read ({error}); delete it and try again") from error


def _from_pretrained(state: dict[str, Tensor], name: str) -> Codec:
    from encodec import EncodecModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = EncodecModel.encodec_model_24khz(pretrained=False)
    load_strictly(model, state, Path(name))
    for part in (model.encoder, model.decoder):
        for module in part.modules():
            if hasattr(module, "weight_g"):  # without it the codec can be copied and compiled
                nn.utils.remove_weight_norm(module)
    note = f"codec: EnCodec 24 kHz weights of {name}"
    return Codec(model.encoder, model.decoder, name=name, note=note)
