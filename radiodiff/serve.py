"""Runs of radio_map and radiodiff_vae over HTTP: radio maps estimated; encoded and made again."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image
from pydantic import Field

from experiments.shared.errors import InputError
from experiments.shared.service import Answer, Made, Network, Place, Request, Upload
from radiodiff.autoencoder import files
from radiodiff.cities.city import draw_city, place_transmitters
from radiodiff.cities.propagation import FLOOR_DB, SPAN_DB, radio_map
from radiodiff.corpus import save
from radiodiff.estimate import predict
from radiodiff.estimate.plans import check_place, read_plan, read_samples
from radiodiff.metrics import psnr
from radiodiff.png import read_gray

LARGEST = 1024  # pixels a side that a server takes; the command line takes any
EXAMPLE = 256  # pixels a side


def check_picture(file: Path) -> None:
    """Raises InputError at a large picture before it is unpacked; says nothing of no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                check_size(file, image.size[::-1])
    except Image.DecompressionBombError as error:
        raise InputError(f"{file}: far more pixels than a map can have ({error})") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise


def check_size(file: Path, shape: tuple[int, int]) -> None:
    """Raises InputError at a picture that would take a server too long."""
    if max(shape) > LARGEST:
        raise InputError(
            f"{file}: {shape[0]} x {shape[1]} pixels, expected at most {LARGEST} a side here; the "
            "command line takes any size"
        )


def example_city(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Walls and plan of a made-up city that no run trains on, its map, and its transmitter."""
    rng = np.random.default_rng((987, number))
    walls, plan = draw_city(rng, EXAMPLE)
    ((y, x),) = place_transmitters(rng, walls | plan, 1)
    return walls, plan, radio_map(walls, y, x), (int(y), int(x))


class MapRequest(Request):
    """What `radiodiff.infer predict` and `complete` are told."""

    plan: Annotated[
        Path, Upload((".png", ".geojson"), 16, "plan, 1 m a pixel, buildings white; or GeoJSON")
    ]
    row: Annotated[
        int | None,
        Field(ge=0, lt=LARGEST, title="Row", description="of the transmitter, pixels from above"),
        Place("row", "plan"),
    ] = None
    column: Annotated[
        int | None,
        Field(ge=0, lt=LARGEST, title="Column", description="of the transmitter, from the left"),
        Place("column", "plan"),
    ] = None
    samples: Annotated[
        Path | None, Upload((".csv",), 4, "measurements: row,column,db; the map heeds them")
    ] = None
    scale: Annotated[
        str | None, Field(max_length=20, description="GeoJSON: metres a unit, or degrees")
    ] = None
    invert: Annotated[bool, Field(description="buildings are black")] = False


@dataclass
class Asked:
    """A request as it was read."""

    file: Path
    plan: np.ndarray
    place: tuple[int, int]
    measured: tuple[np.ndarray, np.ndarray] | None
    located: bool
    inputs: np.ndarray


class RadioMapService:
    """Predicts and completes radio maps, as the command line does."""

    title = "Radio map of a city"
    about = (
        "Path gain at every place of a plan, from one transmitter; click on the plan to place it. "
        "With a few measurements the map heeds them, and finds the transmitter if you do not say."
    )
    request = MapRequest
    batch = 8

    def open(self, run: Path, module, data) -> None:
        """See `experiments.shared.service`."""
        self.module, self.data = module, data

    def examples(self, folder: Path) -> dict[str, dict]:
        """Two cities, one of them with measurements and no transmitter."""
        found = {}
        for number in (0, 1):
            _, plan, gray, (y, x) = example_city(number)
            save(plan, folder / f"city_{number}.png")
            given = {"plan": f"city_{number}.png", "row": y, "column": x}
            found[f"city {number + 1}"] = given
        rng = np.random.default_rng(987)
        free = np.argwhere(~plan & (gray > 0))
        places = free[rng.choice(len(free), 50, replace=False)]
        rows = [f"{r},{c},{FLOOR_DB + SPAN_DB * gray[r, c]:.2f}" for r, c in places]
        (folder / "samples.csv").write_text("\n".join(["row,column,db", *rows]) + "\n")
        found["city 2, transmitter unknown, 50 measurements"] = {
            "plan": "city_1.png",
            "samples": "samples.csv",
        }
        return found

    def read(self, request: MapRequest) -> Asked:
        """The plan as channels, the transmitter given or located."""
        if request.plan.suffix.lower() == ".png":
            check_picture(request.plan)
        plan = read_plan(request.plan, request.scale, request.invert)
        check_size(request.plan, plan.shape)
        measured = read_samples(request.samples, plan) if request.samples else None
        given = (request.row, request.column)
        if None in given and (given != (None, None) or measured is None):
            raise InputError("say where the transmitter is: row and column, or give samples")
        located = None in given
        place = predict.locate(plan, *measured) if located else given
        check_place(plan, *place, "transmitter")
        inputs = predict.inputs_of(plan, place, measured)
        return Asked(request.plan, plan, place, measured, located, inputs)

    def compute(self, items: list[Asked]) -> list[dict[str, np.ndarray]]:
        """Path gain in dB of each, and a flow's intervals."""
        return predict.estimate_all(self.module, [item.inputs for item in items])

    def write(self, item: Asked, outcome: dict[str, np.ndarray], out: Path) -> Answer:
        """The files of the command line; how far the map is off at the samples."""
        stem, samples = item.file.stem, item.measured and item.measured[0]
        predict.write(out, stem, outcome, item.plan, [item.place], samples)
        decibels = outcome["path_gain_db"]
        free = decibels[~item.plan]
        numbers: dict = {"Transmitter, row": item.place[0], "Transmitter, column": item.place[1]}
        numbers |= {
            "Median path gain outdoors, dB": float(np.median(free)),
            "Covered above -120 dB, %": float(100 * (free > -120).mean()),
        }
        if item.measured is not None:
            off = decibels[tuple(item.measured[0].T)] - item.measured[1]
            numbers["Off at the samples, dB (RMS)"] = float(np.sqrt(np.square(off).mean()))
        width = (
            [Made(out / f"{stem}_90.png", "Width of the 90 % interval")]
            if "low_90_db" in outcome
            else []
        )
        return Answer(
            files=[
                Made(out / f"{stem}_db.png", "Path gain"),
                *(width if "low_90_db" in outcome else []),
                Made(out / f"{stem}.png", "The map as gray PNG, RadioMapSeer's scale"),
                Made(out / f"{stem}.npz", "The map in dB, buildings, transmitter"),
            ],
            numbers=numbers,
            notes=["The transmitter was located by the samples."] if item.located else [],
        )

    def networks(self) -> dict[str, Network | str]:
        """The network on test maps; what samples change afterwards is a solve, not a network."""
        batch = first_batch(self.data)
        height, width = batch["known"].shape[-2:]
        multiple = self.module.network.multiple
        if height % multiple or width % multiple:
            return {"network": f"test maps of {height} x {width} are no multiple of {multiple}"}
        return {
            "network": Network(
                self.module.network.eval(), {"known": batch["known"][:2]}, {"known": {0: "maps"}}
            )
        }


def first_batch(data) -> dict[str, torch.Tensor]:
    """The first batch of the run's test data, made if it is not there."""
    data.prepare_data()
    data.setup("test")
    return next(iter(data.test_dataloader()))


class VaeRequest(Request):
    """What `radiodiff.infer encode` and `reconstruct` are told."""

    map: Annotated[Path, Upload((".png",), 16, "radio map, 8-bit gray PNG")]
    coarseness: Annotated[
        float, Field(ge=0.1, le=100, description="of the small file: 2 is smaller, 0.5 finer")
    ] = 1.0


class VaeService:
    """Encodes a map and makes it again, as the command line does."""

    title = "Radio maps, compressed"
    about = (
        "A map becomes latents, of which a diffusion stage learns, and a small file; and is made "
        "again from the latents, to be compared."
    )
    request = VaeRequest
    batch = 1

    def open(self, run: Path, module, data) -> None:
        """See `experiments.shared.service`."""
        self.data = data
        self.module = module.cpu()  # the range coder wants the very same numbers everywhere

    def examples(self, folder: Path) -> dict[str, dict]:
        """Maps of two cities."""
        found = {}
        for number in (0, 1):
            save(example_city(number)[2], folder / f"map_{number}.png")
            found[f"map {number + 1}"] = {"map": f"map_{number}.png"}
        return found

    def read(self, request: VaeRequest) -> VaeRequest:
        """The request, its map checked."""
        check_picture(request.map)
        return request

    def compute(self, items: list[VaeRequest]) -> list[Path]:
        """The command's files in a folder of their own."""
        (item,) = items
        made, stem = Path("out"), item.map.stem
        parts = (self.module.autoencoder, self.module.measured)
        with torch.inference_mode():
            files.encode(*parts, item.map, made / f"{stem}.rdm", item.coarseness)
            files.encode(*parts, item.map, made / f"{stem}.npz", latents=True)
            files.reconstruct(self.module.autoencoder, item.map, made / f"{stem}_again.png")
        return [made]

    def write(self, item: VaeRequest, outcome: Path, out: Path) -> Answer:
        """The files that are there, and what they are worth."""
        stem = item.map.stem
        given, again = (
            torch.from_numpy(read_gray(file).astype(np.float32) / 255)[None, None]
            for file in (item.map, outcome / f"{stem}_again.png")
        )
        small = outcome / f"{stem}.rdm"
        with np.load(outcome / f"{stem}.npz") as latents:
            shape = latents["mean"].shape
        return Answer(
            files=[
                Made(item.map, "The map that was sent"),
                Made(outcome / f"{stem}_again.png", "Made again from its latents"),
                Made(outcome / f"{stem}.npz", "Latents, with each channel's shift and scale"),
                Made(small, "The small file; `radiodiff.infer decode` opens it"),
            ],
            numbers={
                "PSNR, dB": float(psnr(again, given)),
                "Bits a pixel in the small file": 8 * small.stat().st_size / given.numel(),
                "Latents, channels x rows x columns": " x ".join(map(str, shape)),
            },
        )

    def networks(self) -> dict[str, Network | str]:
        """Both halves, on test maps and their latents."""
        maps = first_batch(self.data)["map"][:2]
        halves = {"encoder": "encode", "decoder": "decode"}
        with torch.inference_mode():
            latents = self.module.autoencoder.encode(maps)[0].clone()
        inputs = {"encoder": {"maps": maps}, "decoder": {"latents": latents}}
        return {
            name: Network(
                Half(self.module.autoencoder, call).eval(),
                inputs[name],
                {key: {0: "maps"} for key in inputs[name]},
            )
            for name, call in halves.items()
        }


class Half(torch.nn.Module):
    """`encode` or `decode` of an autoencoder as a module."""

    def __init__(self, autoencoder: torch.nn.Module, call: str):
        super().__init__()
        self.autoencoder, self.call = autoencoder, call

    def forward(self, x: torch.Tensor):
        """See the class."""
        return getattr(self.autoencoder, self.call)(x)
