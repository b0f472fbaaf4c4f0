"""A run of codec over HTTP: a song in, what the codec makes of it out, its latents beside it."""

from pathlib import Path
from typing import Annotated

import soundfile
import torch
from pydantic import Field

from experiments.shared.errors import InputError
from experiments.shared.service import Answer, Made, Network, Request, Upload
from jingle.codec import trip
from jingle.songs.song import render_song
from jingle.sound import audio, intake

LONGEST = 600.0  # seconds of a song that a server takes
EXAMPLE = 8.0  # seconds
SHOWN = {
    "si_sdr": "SI-SDR, dB", "mel_distance": "mel distance", "onset_f1": "onset F1",
    "chroma": "chroma cosine", "buzz": "buzz",
}  # fmt: skip


class SongRequest(Request):
    """What `jingle.codec trip` is told."""

    song: Annotated[
        Path, Upload(intake.SUFFIXES, 64, "song: wav, flac, ogg, mp3, ...; at most 10 minutes")
    ]
    seconds: Annotated[
        float | None, Field(gt=0, le=600, description="use only so much of it; all if empty")
    ] = None


class CodecService:
    """Sends songs through the codec, as the command line does."""

    title = "A song through the codec"
    about = (
        "What is left of a song as latents, 75 frames a second: hear it beside the song. The "
        "creative agent writes in these latents, so nothing that it makes sounds better."
    )
    request = SongRequest
    batch = 1

    def open(self, run: Path, module, data) -> None:
        """See `experiments.shared.service`."""
        self.codec, self.data = trip.of_run(module.encoder, module.decoder, run), data

    def examples(self, folder: Path) -> dict[str, dict]:
        """Two rendered songs that no run trains on."""
        found = {}
        for index in range(2):
            file = f"song_{index}.wav"
            audio.write(folder / file, render_song((987, index), EXAMPLE)["audio"])
            found[f"song {index + 1}"] = {"song": file}
        return found

    def read(self, request: SongRequest) -> SongRequest:
        """The request, the song's length checked by its header."""
        check_length(request.song)
        return request

    def compute(self, items: list[SongRequest]) -> list[dict]:
        """The files of the command line in `out`; its report."""
        (item,) = items
        with torch.inference_mode():
            return [trip.make(self.codec, item.song, Path("out/again.wav"), item.seconds)]

    def write(self, item: SongRequest, outcome: dict, out: Path) -> Answer:
        """The files that are there, the song as the codec hears it, metrics beside baselines'."""
        audio.write(out / "song.wav", audio.read(item.song, 0.0, item.seconds))
        rows = {"ours": outcome["metrics"]} | {
            name.replace("_", " "): values for name, values in outcome["baselines"].items()
        }
        channels, frames = outcome["latents"]
        return Answer(
            files=[
                Made(out / "song.wav", "The song, as the codec hears it"),
                Made(out / "again.wav", "Made again of its latents"),
                Made(out / "again.png", "Spectrograms: before, after, difference"),
                Made(out / "again.npz", "Latents, channels x frames"),
                Made(out / "again.json", "All metrics"),
            ],
            numbers={
                "Length, s": outcome["seconds"],
                "Latents, channels x frames": f"{channels} x {frames}",
                "Numbers a second in them, of 24,000 in the sound": channels * frames
                / outcome["seconds"],
            },
            tables={
                "Beside trivial codecs": {
                    row: {label: values[name] for name, label in SHOWN.items()}
                    for row, values in rows.items()
                }
            },
            notes=outcome["notes"],
        )  # fmt: skip

    def networks(self) -> dict[str, Network | str]:
        """Both halves, on a song of two seconds."""
        return networks(self.codec)


def networks(codec) -> dict[str, Network | str]:
    """A codec's encoder and decoder, on a rendered song of two seconds."""
    # Latents reach 47 where half are below 0.25: of the quiet ones eager itself is 1e-4 from what
    # double precision says, and runtimes that add up in another order are some 5e-3 from it.
    sound = torch.from_numpy(render_song((987, 0), 2.0)["audio"])[None, None].float()
    with torch.inference_mode():
        z = codec.encode(sound).clone()
    return {
        "codec_encoder": Network(Coding(codec, "encode").eval(), {"sound": sound}, {}, 1e-2),
        "codec_decoder": Network(
            Coding(codec, "decode").eval(), {"latents": z}, {"latents": {2: "frames"}}, 1e-3
        ),
    }


class Coding(torch.nn.Module):
    """`encode` or `decode` of the codec as a module."""

    def __init__(self, codec: torch.nn.Module, call: str):
        super().__init__()
        self.codec, self.call = codec, call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return getattr(self.codec, self.call)(x)


def check_length(file: Path) -> None:
    """Raises InputError at a song that is longer than a server takes; says nothing of others."""
    try:
        with soundfile.SoundFile(file) as song:
            seconds, channels = song.frames / max(1, song.samplerate), song.channels
    except (soundfile.LibsndfileError, RuntimeError):
        return  # what reads it says what is wrong
    if seconds > LONGEST or seconds * channels * song.samplerate > LONGEST * 2 * 48_000:
        raise InputError(
            f"{file}: {seconds / 60:.0f} min in {channels} channels, expected at most "
            f"{LONGEST / 60:.0f} min in stereo here; the command line takes any length"
        )
