"""Small requests of every experiment, each with the command that does the same."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from jingle.songs.song import render_song
from jingle.sound import audio
from molecular_flow.physics.trajectory import Trajectory, write
from multitrack.corpus import make_edit
from multitrack.xmeml import files

# Experiment -> module and words of its command, told of the run, of the request and of `out`.
COMMANDS = {
    "codec": ("jingle.codec", "trip {run} {song} {out}/again.wav"),
    "creative_agent": (
        "jingle.infer",
        "--checkpoint {run} --input {input} --target {target} --output {out}/piece.wav",
    ),
    "molecular_flow": (
        "molecular_flow.infer",
        "transport --checkpoint {run} {frames} {out}/f_450K.npz",
    ),
    "multitrack": ("multitrack.infer", "--checkpoint {run} {xml} {out}/e.xml --ahead {ahead}"),
    "radio_map": (
        "radiodiff.infer",
        "predict --checkpoint {run} {plan} --tx {row} {column} {out}",
    ),
    "radiodiff_vae": ("radiodiff.infer", "reconstruct --checkpoint {run} {map} {out}/m_again.png"),
}


def songs(folder: Path, number: int, *names: str) -> dict[str, str]:
    """Songs of 0.15 s under these names."""
    for index, name in enumerate(names):
        song = render_song((number, index), 1.0)["audio"][2400:6000]
        audio.write(folder / f"{name}.wav", song)
    return {name: f"{name}.wav" for name in names}


def little(experiment: str, number: int, folder: Path, frames: Path | None) -> dict[str, str]:
    """The values of a small request; files of `folder` that it names are written."""
    rng = np.random.default_rng(number)
    if experiment == "codec":
        return songs(folder, number, "song")
    if experiment == "creative_agent":
        return songs(folder, number, "input", "target")
    if experiment == "molecular_flow":
        with np.load(frames) as whole:
            positions = whole["positions_nm"][:, number : number + 1, :4]
            write(folder / "f.npz", Trajectory(positions, None, whole["temperatures_kelvin"]))
        return {"frames": "f.npz"}
    if experiment == "multitrack":
        timeline, _, _ = make_edit(987, "heldout", number, styles=24, seconds=(6, 6))
        files.write(timeline, folder / "e.xml")
        return {"xml": "e.xml", "ahead": "0.3"}
    if experiment == "radio_map":
        plan = np.zeros((64, 64), np.uint8)
        y, x = rng.integers(0, 40, 2)
        plan[y : y + 12, x : x + 20] = 255
        row, column = np.argwhere(plan == 0)[rng.integers(1000)]
        Image.fromarray(plan).save(folder / "p.png")
        return {"plan": "p.png", "row": str(row), "column": str(column)}
    map_ = Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).resize((64, 64))
    map_.save(folder / "m.png")
    return {"map": "m.png"}


def form(values: dict[str, str], folder: Path) -> tuple[dict, dict]:
    """Files and other values, as a client sends them."""
    named = {k: v for k, v in values.items() if (folder / v).is_file()}
    return (
        {k: (v, io.BytesIO((folder / v).read_bytes())) for k, v in named.items()},
        {k: v for k, v in values.items() if k not in named},
    )
