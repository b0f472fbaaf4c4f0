"""Measures what a codec keeps of songs it never heard, and how fast it is."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.shared import arguments
from experiments.shared.errors import InputError, cli
from experiments.shared.progress import progress
from jingle.codec.data import padded
from jingle.codec.metrics import BASELINES, SongTable, buzz
from jingle.codec.model import HOP, RATE, Codec, load_codec
from jingle.songs.song import render_song
from jingle.sound import audio, intake

COLUMNS = {
    "si_sdr": "SI-SDR, dB, median",
    "si_sdr_worst": "worst",
    "mel_distance": "mel distance",
    "stft_distance": "STFT distance",
    "onset_f1": "onset F1",
    "chroma": "chroma cosine",
    "harmony": "chroma, centred",
    "buzz": "buzz",
}
NOISE = 0.1  # relative to each latent channel's deviation


def held_out(count: int, seconds: float, seed: int, folder: Path | None) -> list[Tensor]:
    """Songs (1, 1, S): rendered ones of streams that no corpus uses, or the files of a folder."""
    if folder is None:
        rendered = (render_song((seed, 104_729, index), seconds) for index in range(count))
        return [torch.from_numpy(song["audio"])[None, None] for song in rendered]
    files, _ = intake.songs_in(folder)
    if not files:
        raise InputError(f"{folder}: expected a folder with songs, got none")
    sounds = [padded(audio.read(file, 0.0, seconds), seconds) for file in files[:count]]
    return [torch.from_numpy(sound)[None, None] for sound in sounds]


@torch.no_grad()
def quality(codec: Codec, songs: list[Tensor]) -> dict[str, dict[str, float]]:
    """Rows of the quality table: the codec, the codec under latent noise, the baselines."""
    generator = torch.Generator().manual_seed(0)

    def trip(sound: Tensor, noise: float = 0.0) -> Tensor:
        latents = codec.encode(sound)
        if noise:
            size = noise * latents.std(dim=2, keepdim=True)
            latents = latents + size * torch.randn(latents.shape, generator=generator)
        return codec.decode(latents)[..., : sound.shape[-1]]

    rows = {"round trip": trip, f"with {NOISE:.0%} latent noise": lambda x: trip(x, NOISE)}
    rows |= BASELINES | {"the songs themselves": lambda x: x}
    tables = {name: SongTable() for name in rows}
    for song in progress(songs, "listening", "song"):
        for name, make in rows.items():
            tables[name].update(make(song), song)
    return {name: table.compute() for name, table in tables.items()}


@torch.no_grad()
def buzz_of_noise(codec: Codec, seconds: float = 8.0) -> tuple[float, float]:
    """Buzz (see `metrics.buzz`) of white noise before and after the codec."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(1, 1, round(seconds * RATE), generator=generator)
    return float(buzz(noise)), float(buzz(codec.decode(codec.encode(noise))))


@torch.no_grad()
def speed(codec: Codec, seconds: float = 16.0, repeats: int = 5) -> dict[str, float]:
    """How many times faster than real time, by processor time on one thread; the best of some."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    sound = torch.randn(1, 1, round(seconds * RATE) // HOP * HOP) * 0.1
    latents = codec.encode(sound)
    found = {}
    for name, work in (
        ("encode", lambda: codec.encode(sound)),
        ("decode", lambda: codec.decode(latents)),
    ):
        times = []
        for _ in range(repeats):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        found[name] = seconds / min(times)
    torch.set_num_threads(threads)
    return found


def table(rows: dict[str, dict[str, float]]) -> str:
    """The quality table in Markdown."""
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, values in rows.items():
        cells = [
            f"{values[key]:.{1 if key.startswith('si_sdr') else 4}f}".replace("-0.0000", "0.0000")
            for key in COLUMNS
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure a codec's round trip on songs it never heard, beside trivial codecs; its speed."""
    parser = arguments.Parser(prog="python -m jingle.codec.quality", description=main.__doc__)
    parser.add_argument("--codec", default="embedded", help="auto, pretrained, embedded or a file")
    parser.add_argument(
        "--songs", type=arguments.whole(1, 10_000), default=40, help="how many (40)"
    )
    parser.add_argument("--seconds", type=arguments.real(1, 600), default=16.0, help="of each (16)")
    parser.add_argument(
        "--seed", type=arguments.seed, default=2024, help="of the rendered songs (2024)"
    )
    parser.add_argument(
        "--folder",
        type=arguments.folder("songs"),
        help="songs of one's own instead of rendered ones",
    )
    given = parser.parse_args()
    codec = load_codec(given.codec)
    print(codec.note)
    songs = held_out(given.songs, given.seconds, given.seed, given.folder)
    print(table(quality(codec, songs)))
    power = torch.cat([codec.encode(song).square().mean(dim=(0, 2))[None] for song in songs]).mean(
        0
    )
    low, middle, high = np.quantile(power.sqrt().numpy(), [0.0, 0.5, 1.0])
    print(f"latent RMS by channel: {low:.2f} to {high:.2f}, median {middle:.2f}")
    before, after = buzz_of_noise(codec)
    print(f"buzz of white noise: {after:.2f} ({before:.2f} before the codec)")
    times = speed(codec)
    print(f"one thread: encodes {times['encode']:.0f}x, decodes {times['decode']:.0f}x real time")


if __name__ == "__main__":
    cli(main)
