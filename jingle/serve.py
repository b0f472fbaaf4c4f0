"""A run of creative_agent over HTTP: two songs in, a new piece out, to be heard beside them."""

import argparse
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from experiments.shared.arguments import SEED
from experiments.shared.service import Answer, Made, Network, Request, Upload
from jingle import infer
from jingle.codec.serve import check_length, networks
from jingle.corpus import render_pair
from jingle.pieces.requests import Request as Piece
from jingle.sound import audio, intake

MOST_TAKES = 8  # that a server makes; the command line makes any number
EXAMPLE = 8.0  # seconds
SONG = Upload(intake.SUFFIXES, 64, "song: wav, flac, ogg, mp3, ...; at most 10 minutes")


class PieceRequest(Request):
    """What `jingle.infer` is told."""

    input: Annotated[Path, SONG, Field(title="Song A: its rhythm is kept")]
    target: Annotated[Path, SONG, Field(title="Song B: its harmony is used")]
    align: Annotated[
        Literal["none", "tempo", "beat"], Field(description="bring B to A's tempo, or beats")
    ] = "none"
    key: Annotated[bool, Field(description="shift B by up to 3 semitones to A's key")] = False
    stereo: Annotated[bool, Field(description="two channels, with the places of the songs")] = False
    rate: Annotated[
        Literal["input", "codec"], Field(description="sample rate: that of A, or 24 kHz")
    ] = "input"
    takes: Annotated[
        int, Field(ge=1, le=MOST_TAKES, description="so many pieces, in other balances")
    ] = 1
    seed: Annotated[int, Field(ge=0, le=SEED, description="of the takes after the first")] = 0


class PieceService:
    """Makes pieces, as the command line does."""

    title = "A new piece of two songs"
    about = (
        "The rhythm of one song with the harmony of another. Listen to both and to the run's "
        "piece; piece.html, to keep, also plays what plain separation and mixing make of them."
    )
    request = PieceRequest
    batch = 1

    def open(self, run: Path, module, data) -> None:
        """See `experiments.shared.service`."""
        self.module, self.data = module, data
        self.given = argparse.Namespace(
            checkpoint=run,
            codec=None,
            window=None,
            overlap=None,
            batch=4,
            seconds=None,
            takes=1,  # each request says its own
            seed=0,
        )
        self.codec, self.options, self.told = infer.prepare(self.given, module.device)
        self.told["checkpoint"] = run.name  # where it lies is nothing to those who ask

    def examples(self, folder: Path) -> dict[str, dict]:
        """Two pairs of rendered songs, one of them at one tempo."""
        found = {}
        for index, aligned in enumerate((1.0, 0.0)):
            names = [f"pair_{index}_{side}.wav" for side in ("a", "b")]
            songs = render_pair(987, "test", index, EXAMPLE, aligned)
            for name, song in zip(names, songs, strict=True):
                audio.write(folder / name, song["audio"])
            given = {"input": names[0], "target": names[1], "align": "none"}
            if aligned:
                found["two songs at one tempo"] = given
            else:
                found["two tempi, the second aligned"] = {**given, "align": "tempo"}
        return found

    def read(self, request: PieceRequest) -> PieceRequest:
        """The request, the songs' lengths checked by their headers."""
        for file in (request.input, request.target):
            check_length(file)
        return request

    def compute(self, items: list[PieceRequest]) -> list[tuple[dict, dict[str, Tensor]]]:
        """The files of the command line in `out`; its report and masks."""
        (item,) = items
        given = argparse.Namespace(
            **vars(self.given), align=item.align, key=item.key, stereo=item.stereo, rate=item.rate
        )
        piece = Piece(item.input, item.target, Path("out/piece.wav"), item.takes)
        options = self.options | {"count": item.takes, "seed": item.seed}
        return [infer.make(piece, self.module, self.codec, given, options, self.told)]

    def write(self, item: PieceRequest, outcome: tuple, out: Path) -> Answer:
        """The files that are there, the masks, and the metrics beside the baselines'."""
        report, masks = outcome
        np.savez_compressed(
            out / "masks.npz", **{name: mask.cpu().numpy() for name, mask in masks.items()}
        )
        takes = [f"take_{number}" for number in range(2, item.takes + 1)]
        others = {name: report["takes"][name] for name in takes} | report["baselines"]
        rows = {"ours": report["metrics"]} | {
            name.replace("_", " "): values for name, values in others.items()
        }
        shown = ("rhythm_correlation", "rhythm_f1", "harmony", "blend_distance", "mel_distance")
        table = {
            row: {name.replace("_", " "): values.get(name) for name in shown}
            for row, values in rows.items()
        }
        return Answer(
            files=[
                Made(out / "piece.wav", "The new piece"),
                *(Made(out / f"piece_{t}.wav", t.replace("_", " ").capitalize()) for t in takes),
                Made(out / "piece_input.wav", "Song A, as the model hears it"),
                Made(out / "piece_target.wav", "Song B, as the model hears it"),
                Made(out / "piece.png", "Spectrograms and masks"),
                Made(out / "piece.html", "A page with all sounds, to keep"),
                Made(out / "piece.json", "All metrics"),
                Made(out / "masks.npz", "Both masks, channels x frames"),
            ],
            numbers={"Length, s": report["seconds"], "Sample rate, Hz": report["rate_hz"]},
            tables={"Beside what one would do instead": table},
            notes=report["warnings"] + report["notes"],
        )

    def networks(self) -> dict[str, Network | str]:
        """The agent on latents of test pairs, and the codec on their sound."""
        self.data.prepare_data()
        self.data.setup("test")
        batch = next(iter(self.data.test_dataloader()))
        names = ["input", "target"]
        if self.module.generator.decomposes:
            names += ["input_hpss", "target_hpss", "input_levels", "target_levels"]
        songs = {name: batch[name][:1] for name in names}
        agent = Network(Writing(self.module, names).eval(), songs, {}, tolerance=1e-3)
        return {"agent": agent, **networks(self.codec)}


class Writing(torch.nn.Module):
    """Raw latents (B, C, T) of two songs to a piece's latents and both masks.

    Args:
        module: the agent.
        names: of what it takes: `input`, `target` and, of the compositional agent, what separation
            finds, `input_hpss`, percussive, and `target_hpss`, harmonic, and levels (LUFS) of both,
            `input_levels`, `target_levels` (B, 5, 1), see `jingle.pairs.levels`.
    """

    def __init__(self, module: torch.nn.Module, names: list[str]):
        super().__init__()
        self.module, self.names = module, names

    def forward(self, *songs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """See the class."""
        made = self.module.generate(dict(zip(self.names, songs, strict=True)))
        return made["output"], made["input_mask"], made["target_mask"]
