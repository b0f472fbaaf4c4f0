"""The good things of the shelf: files of each package, and a run of each experiment, untrained."""

import json
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

from experiments.shared.checkpoints import class_name
from tests.bad_input.shelf import MAKERS, Shelf, maker
from tests.report_runs import make_run
from tests.suite import SHIPPED, configuration


def make_untrained(name: str, place: Path) -> Path:
    """A run folder of `+exp=smoke/NAME` as it would be, had it been trained for no step."""
    words = [f"+exp=smoke/{name}"]
    config = configuration(*words, folder=place)
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    torch.manual_seed(0)
    module = instantiate(config.model, _convert_="all")
    (place / ".hydra").mkdir()
    OmegaConf.save(config, place / ".hydra" / "config.yaml")
    OmegaConf.save(words, place / ".hydra" / "overrides.yaml")
    saved = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "class": class_name(module),
        "pytorch-lightning_version": "2.6.4",
        "epoch": 0,
        "global_step": 0,
    }
    module.on_save_checkpoint(saved)
    (place / "checkpoints").mkdir()
    torch.save(saved, place / "checkpoints" / "best.ckpt")
    return place


for _name in SHIPPED:
    MAKERS[f"{_name}_run"] = lambda shelf, place, name=_name: make_untrained(name, place)


@maker
def song_wav(shelf: Shelf, place: Path) -> Path:
    from tests.jingle.fakes import music

    return sound(place / "song.wav", music(2.0, 0))


@maker
def target_wav(shelf: Shelf, place: Path) -> Path:
    from tests.jingle.fakes import music

    return sound(place / "target.wav", music(2.0, 1))


def sound(path: Path, samples: np.ndarray) -> Path:
    import soundfile

    soundfile.write(path, samples, 24_000)
    return path


@maker
def songs(shelf: Shelf, place: Path) -> Path:
    (place / "songs").mkdir()
    for name in ("song_wav", "target_wav"):
        (place / "songs" / f"{name}.wav").write_bytes(shelf[name].read_bytes())
    return place / "songs"


@maker
def codec_safetensors(shelf: Shelf, place: Path) -> Path:
    from jingle.codec.model import EMBEDDED

    path = place / "codec.safetensors"
    path.write_bytes(EMBEDDED.read_bytes())
    return path


@maker
def map_png(shelf: Shelf, place: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    Image.fromarray(values).save(place / "1_0.png")
    return place / "1_0.png"


@maker
def plan_png(shelf: Shelf, place: Path) -> Path:
    from radiodiff.cities.city import draw_city

    Image.fromarray(draw_city(np.random.default_rng(1), 96)[0]).save(place / "plan.png")
    return place / "plan.png"


@maker
def maps(shelf: Shelf, place: Path) -> Path:
    """A data root in RadioMapSeer's layout."""
    from radiodiff.corpus import make_corpus

    make_corpus(place / "maps", maps=3, transmitters=2, size=64)
    return place / "maps"


@maker
def samples_csv(shelf: Shelf, place: Path) -> Path:
    plan = np.asarray(Image.open(shelf["plan_png"]))
    rows = [f"{y},{x},-90" for y, x in np.argwhere(plan == 0)[::400]]
    (place / "samples.csv").write_text("\n".join(["row,column,db", *rows]))
    return place / "samples.csv"


@maker
def edit_xml(shelf: Shelf, place: Path) -> Path:
    from multitrack.corpus import make_edit
    from multitrack.xmeml import files

    files.write(make_edit(0, "test", 0, styles=4, seconds=(20, 20))[0], place / "edit.xml")
    return place / "edit.xml"


@maker
def stack(shelf: Shelf, place: Path) -> Path:
    """A folder with cameras, microphones, diarisation and settings."""
    from multitrack.corpus import make_stacks

    make_stacks(place / "stacks", 1, seconds=(20, 20))
    return place / "stacks" / "stack_0000"


@maker
def molecule_pdb(shelf: Shelf, place: Path) -> Path:
    from molecular_flow.physics.peptide import peptide_pdb

    (place / "molecule.pdb").write_text(peptide_pdb("AA"))
    return place / "molecule.pdb"


@maker
def frames_npz(shelf: Shelf, place: Path) -> Path:
    from molecular_flow.simulate import Plan, simulate

    plan = Plan(temperatures=(300.0, 450.0), ladders=4, frames=4, spacing_ps=0.04,
                equilibrate_ps=0.1)  # fmt: skip
    simulate(plan, place / "frames.npz")
    return place / "frames.npz"


@maker
def script_xml(shelf: Shelf, place: Path) -> Path:
    """A force field that makes a folder when it is opened carelessly."""
    program = f"import os; os.mkdir({str(place / 'executed')!r})"
    text = f"<ForceField><InitializationScript>{program}</InitializationScript></ForceField>"
    (place / "script.xml").write_text(text)
    return place / "script.xml"


@maker
def reported_run(shelf: Shelf, place: Path) -> Path:
    return make_run(place / "run")


def damaged_summary(**changes: object):
    def make(shelf: Shelf, place: Path) -> Path:
        run = make_run(place / "run")
        file = run / "summary.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
        return run

    return make
