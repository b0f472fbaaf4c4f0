"""Both models put to use: maps predicted and completed; encoded, decoded, sampled from nothing."""

from pathlib import Path

import torch

from experiments.shared import arguments, checkpoints
from experiments.shared.errors import cli
from radiodiff.autoencoder import files
from radiodiff.estimate.module import RadioMapEstimator
from radiodiff.estimate.predict import complete, predict
from radiodiff.module import RadioDiffVAE


def add_estimation(commands) -> None:
    """The commands of a run of radio_map."""
    parser = arguments.Parser(add_help=False)
    parser.overwrite()
    parser.add_argument("--checkpoint", required=True, help="run folder or .ckpt of radio_map")
    parser.add_argument("--scale", help="of GeoJSON: metres a unit, or degrees")
    parser.add_argument("--invert", action="store_true", help="buildings are black in the PNG")
    parser.add_argument(
        "--registration",
        nargs=2,
        type=arguments.real(-1000, 1000),
        default=(0.0, 0.0),
        metavar=("DOWN", "RIGHT"),
        help="pixels by which such plans lie below and right of the maps, as a run's summary.json "
        "has it of its data (plan_lies_by); 0 0: unknown",
    )
    pair = {"nargs": 2, "type": arguments.whole(0, 100_000), "metavar": ("ROW", "COLUMN")}
    found = commands.add_parser(
        "predict", parents=[parser], help="plans and transmitters to radio maps"
    )
    found.add_argument(
        "source", type=arguments.source("a plan"), help="plan (.png, .geojson), or folder of plans"
    )
    found.add_argument(
        "--tx", action="append", help="a transmitter's pixel; may be given again", **pair
    )
    found.add_argument(
        "--antennas",
        type=arguments.source("antennas as JSON"),
        help="RadioMapSeer's antenna JSON, or folder of it",
    )
    power = arguments.real(-300, 300)
    found.add_argument("--power-dbm", type=power, default=23.0, help="for SINR (%(default)s)")
    found.add_argument(
        "--bandwidth-hz",
        type=arguments.real(0, 1e12, above=True),
        default=10e6,
        help="for SINR (%(default)g)",
    )
    found.add_argument("--noise-figure-db", type=power, default=0.0, help="for SINR (%(default)s)")
    found.add_argument("out", type=Path, help="folder")
    found = commands.add_parser(
        "complete", parents=[parser], help="a plan and measurements to a radio map"
    )
    found.add_argument("source", type=arguments.file("a plan"), help="plan (.png, .geojson)")
    found.add_argument(
        "--samples",
        type=arguments.file("samples as CSV", 1 << 28),
        required=True,
        help="CSV with row,column,db",
    )
    found.add_argument("--tx", help="the transmitter's pixel; else it is located", **pair)
    found.add_argument("out", type=Path, help="folder")


def main() -> None:
    parser = arguments.Parser(prog="python -m radiodiff.infer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_estimation(commands)
    for name, about in (
        ("encode", "PNG files to small files (.rdm), or to latents"),
        ("decode", "such files to PNG files"),
        ("reconstruct", "PNG files to PNG files, through the latents"),
        ("sample", "PNG files from the prior"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("--checkpoint", required=True, help="run folder or .ckpt file")
        if name == "sample":
            command.add_argument("--count", type=arguments.whole(1), default=4)
            size = arguments.whole(32, 4096)
            command.add_argument("--size", type=size, default=256, help="pixels a side")
            command.add_argument("--seed", type=arguments.seed, default=0)
        else:
            command.add_argument("source", type=arguments.source("a file"), help="file or folder")
        if name == "encode":
            coarse = arguments.real(0.1, 100)
            command.add_argument("--coarseness", type=coarse, default=1.0, help="2: smaller files")
            command.add_argument(
                "--latents", action="store_true", help=".npz for a diffusion stage"
            )
        command.add_argument("out", type=Path, help="folder, or file for a single file")
        command.overwrite()
    options = vars(parser.parse_args())
    command, checkpoint = options.pop("command"), options.pop("checkpoint")
    if command in ("predict", "complete"):
        module = checkpoints.load(RadioMapEstimator, checkpoint)
        if command == "predict":
            names = ("power_dbm", "bandwidth_hz", "noise_figure_db")
            options["radio"] = {name: options.pop(name) for name in names}
        {"predict": predict, "complete": complete}[command](module, **options)
        return
    module = checkpoints.load(RadioDiffVAE, checkpoint)
    with torch.inference_mode():
        known = [module.autoencoder]
        if command != "reconstruct":
            known.append(module.measured)
        getattr(files, command)(*known, **options)


if __name__ == "__main__":
    cli(main)
