"""python -m jingle.codec export RUN OUT: a training run's codec as one weights file."""

import hashlib
from pathlib import Path

import torch

from experiments.shared import arguments, checkpoints, writing
from experiments.shared.errors import InputError, cli
from jingle.codec.model import from_file, load_strictly, write_weights
from jingle.codec.noise import NoiseDecoder
from jingle.codec.seanet import build_as


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
    """Command line: `export RUN OUT` writes the weights file of a training run."""
    parser = arguments.Parser(prog="python -m jingle.codec", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export", help="write a run's codec into one weights file")
    exporting.add_argument("run", type=Path, help="run folder or checkpoint of +exp=codec")
    exporting.add_argument("out", type=Path, help="the .safetensors file to write")
    exporting.add_argument(
        "--noise", type=arguments.real(0, 1000), default=1.0, help="times its level of noise (1)"
    )
    exporting.overwrite()
    given = parser.parse_args()
    writing.check_file(given.out, inputs=(given.run,), overwrite=given.overwrite)
    out = export(given.run, given.out, given.noise)
    codec = from_file(out)
    sha = hashlib.sha256(out.read_bytes()).hexdigest()
    print(f"{out}: {out.stat().st_size / 2**20:.2f} MiB, identity {codec.identity}, sha256 {sha}")


if __name__ == "__main__":
    cli(main)
