"""python -m jingle.codec: a run's codec put to use.

`export RUN OUT` writes it into one weights file; `trip RUN SONG OUT.wav` sends a song through it.
"""

import hashlib
from pathlib import Path

import torch

from experiments.shared import arguments, writing
from experiments.shared.errors import InputError, cli
from jingle.codec.model import from_file, write_weights
from jingle.codec.noise import NoiseDecoder
from jingle.codec.trip import ENDINGS, make, of_run, trained
from jingle.sound import audio


def export(run: str | Path, out: Path, noise: float = 1.0) -> Path:
    """Write the codec of a training run (or checkpoint) into one weights file.

    Args:
        run: run folder or checkpoint.
        out: the file.
        noise: times the trained level of the decoder's noise. The loss of the waveform, which noise
            never meets, has pulled it down.

    Raises:
        InputError: the run holds no codec.
    """
    encoder, decoder, architecture = trained(run)
    if noise != 1:
        scale_noise(decoder, noise)
    write_weights(out, encoder, decoder, architecture)
    return out


@torch.no_grad()
def scale_noise(decoder: NoiseDecoder, factor: float) -> None:
    """Multiply what the decoder's last layer says of the level of its noise."""
    if not isinstance(decoder, NoiseDecoder):
        raise InputError("--noise: this codec has no noise bands (noise_bands: 0); leave it out")
    last = [m for m in decoder.modules() if isinstance(m, torch.nn.Conv1d)][-1]
    last.weight[1:] *= factor
    last.bias[1:] *= factor


def main() -> None:
    """Command line: write a run's codec into one file, or send a song through it."""
    parser = arguments.Parser(prog="python -m jingle.codec", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export", help="write a run's codec into one weights file")
    exporting.add_argument("run", type=Path, help="run folder or checkpoint of +exp=codec")
    exporting.add_argument("out", type=Path, help="the .safetensors file to write")
    exporting.add_argument(
        "--noise", type=arguments.real(0, 1000), default=1.0, help="times its level of noise (1)"
    )
    exporting.overwrite()
    hearing = commands.add_parser("trip", help="encode a song, decode it, say what was kept")
    hearing.add_argument("run", type=Path, help="run folder or checkpoint of +exp=codec")
    hearing.add_argument("song", type=arguments.file("a song"), help="wav, flac, ogg, mp3, ...")
    hearing.add_argument("out", type=Path, help="OUT.wav; .npz, .png and .json stand beside it")
    hearing.add_argument(
        "--seconds", type=arguments.real(0, 86_400, above=True), help="use only so much of it"
    )
    hearing.overwrite()
    given = parser.parse_args()
    if given.command == "trip":
        trip(given.run, given.song, given.out, given.seconds, given.overwrite)
        return
    writing.check_file(given.out, inputs=(given.run,), overwrite=given.overwrite)
    out = export(given.run, given.out, given.noise)
    codec = from_file(out)
    sha = hashlib.sha256(out.read_bytes()).hexdigest()
    print(f"{out}: {out.stat().st_size / 2**20:.2f} MiB, identity {codec.identity}, sha256 {sha}")


def trip(run: Path, song: Path, out: Path, seconds: float | None, overwrite: bool) -> None:
    """Send a song through a run's codec; say in a line what was kept."""
    if out.suffix.lower() not in audio.WRITTEN:
        raise InputError(
            f"{out}: expected a file name that ends in one of {', '.join(audio.WRITTEN)}"
        )
    for file in (out, *(out.with_suffix(ending) for ending in ENDINGS)):
        writing.check_file(file, inputs=(run, song), overwrite=overwrite)
    encoder, decoder, _ = trained(run)
    report = make(of_run(encoder, decoder, run), song, out, seconds)
    for note in report["notes"]:
        print(f"note: {note}")
    kept = report["metrics"]
    print(
        f"{out}: {report['seconds']:.1f} s, SI-SDR {kept['si_sdr']:.1f} dB, mel distance "
        f"{kept['mel_distance']:.3f}, onset F1 {kept['onset_f1']:.2f}"
    )


if __name__ == "__main__":
    cli(main)
