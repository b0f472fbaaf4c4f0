"""A song through a codec and back: what it becomes, its latents, and what was kept of it."""

import json
from pathlib import Path

import numpy as np
import torch

from experiments.shared import checkpoints, writing
from experiments.shared.errors import InputError
from jingle import figures
from jingle.codec.metrics import BASELINES, compare
from jingle.codec.model import HOP, RATE, Codec, load_strictly
from jingle.codec.seanet import build_as
from jingle.pairs import latents
from jingle.sound import audio

SHORTEST = 0.1  # seconds; of less no rhythm or harmony can be told
ENDINGS = (".npz", ".png", ".json")  # of the files beside OUT.wav


def trained(run: str | Path) -> tuple[torch.nn.Module, torch.nn.Module, dict]:
    """Encoder, decoder and architecture of a training run (or checkpoint).

    Raises:
        InputError: the run holds no codec.
    """
    file = checkpoints.resolve(run)
    state = checkpoints.read(file)
    given = state.get("hyper_parameters")
    architecture = given.get("architecture") if isinstance(given, dict) else None
    if architecture is None:
        raise InputError(f"{file} holds no codec: expected a run of +exp=codec")
    encoder, decoder = build_as(state["state_dict"], architecture, file)
    for part, module in (("encoder", encoder), ("decoder", decoder)):
        prefix = f"{part}."
        weights = {
            name.removeprefix(prefix): tensor
            for name, tensor in state["state_dict"].items()
            if name.startswith(prefix)
        }
        load_strictly(module, weights, file)
    return encoder, decoder, architecture


def of_run(encoder: torch.nn.Module, decoder: torch.nn.Module, run: Path) -> Codec:
    """A run's codec, frozen."""
    return Codec(encoder, decoder, name=run.name, note=f"codec: of the run {run.name}")


def make(codec: Codec, song: Path, out: Path, seconds: float | None = None) -> dict:
    """Encode and decode a song; write OUT.wav, and beside it .npz, .png and .json.

    Args:
        codec: frozen.
        song: any file that `audio.read` takes; it is heard in mono at 24 kHz.
        out: the WAV.
        seconds: of the song; None: all.

    Returns:
        The report that OUT.json holds: "metrics" of the round trip, those of "baselines", how long
        the song is, the shape of its latents, notes on what was changed.

    Raises:
        InputError: a song that cannot be read or is too short.
    """
    notes: list[str] = []
    wave = torch.from_numpy(audio.read(song, 0.0, seconds, notes))[None, None]  # (1, 1, S)
    if wave.shape[-1] < SHORTEST * RATE:
        raise InputError(
            f"{song}: {wave.shape[-1] / RATE:.3f} s, expected at least {SHORTEST:g} s; give more "
            "of the song"
        )
    z = latents.encode(codec, wave)  # (1, 128, T)
    again = latents.decode(codec, z)[..., : wave.shape[-1]]
    found = {"metrics": again} | {name: trivial(wave) for name, trivial in BASELINES.items()}
    metrics = {
        name: {key: float(value[0]) for key, value in compare(sound, wave).items()}
        for name, sound in found.items()
    }
    report = {
        "song": str(song), "codec": {"name": codec.name, "identity": codec.identity},
        "seconds": wave.shape[-1] / RATE, "latents": list(z.shape[1:]),
        "metrics": metrics.pop("metrics"), "baselines": metrics, "notes": notes,
    }  # fmt: skip
    audio.write(out, again[0, 0].numpy())
    with writing.replacing(out.with_suffix(".npz")) as scratch:
        arrays = {"latents": z[0].numpy(), "frames_per_second": np.array(RATE / HOP)}
        with scratch.open("wb") as stream:
            np.savez_compressed(stream, **arrays, codec=np.array(codec.identity))
    pieces = {"the song": wave[0, 0], "made again": again[0, 0], "difference": (wave - again)[0, 0]}
    with writing.replacing(out.with_suffix(".png")) as scratch:
        figures.spectrograms(pieces, RATE).savefig(scratch)
    writing.write_text(out.with_suffix(".json"), json.dumps(report, indent=1))
    return report
