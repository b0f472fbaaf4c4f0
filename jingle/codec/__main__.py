"""python -m jingle.codec export RUN OUT: a training run's codec as one weights file."""

import argparse
import hashlib
from pathlib import Path

from experiments.shared import checkpoints
from experiments.shared.errors import InputError, cli
from jingle.codec.model import build_seanet, from_file, load_strictly, write_weights


def export(run: str | Path, out: Path) -> Path:
    """Write the codec of a training run (or checkpoint) into one weights file.

    Raises:
        InputError: the run holds no codec.
    """
    file = checkpoints.resolve(run)
    state = checkpoints.read(file)
    architecture = state.get("hyper_parameters", {}).get("architecture")
    if architecture is None:
        raise InputError(f"{file} holds no codec: expected a run of +exp=codec")
    encoder, decoder = build_seanet(architecture)
    for part, module in (("encoder", encoder), ("decoder", decoder)):
        prefix = f"{part}."
        weights = {
            name.removeprefix(prefix): tensor
            for name, tensor in state["state_dict"].items()
            if name.startswith(prefix)
        }
        load_strictly(module, weights, file)
    write_weights(out, encoder, decoder, architecture)
    return out


def main() -> None:
    """Command line: `export RUN OUT` writes the weights file of a training run."""
    parser = argparse.ArgumentParser(prog="python -m jingle.codec", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export", help="write a run's codec into one weights file")
    exporting.add_argument("run", type=Path, help="run folder or checkpoint of +exp=codec")
    exporting.add_argument("out", type=Path, help="the .safetensors file to write")
    arguments = parser.parse_args()
    out = export(arguments.run, arguments.out)
    codec = from_file(out)
    sha = hashlib.sha256(out.read_bytes()).hexdigest()
    print(f"{out}: {out.stat().st_size / 2**20:.2f} MiB, identity {codec.identity}, sha256 {sha}")


if __name__ == "__main__":
    cli(main)
