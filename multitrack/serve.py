"""A run of multitrack over HTTP: an edit in, the edit continued or in-filled out, and its lanes."""

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from experiments.shared.errors import InputError
from experiments.shared.service import Answer, Made, Network, Request, Upload
from multitrack import infer, live
from multitrack.answer.output import summary
from multitrack.corpus import make_edit
from multitrack.cutting.settings import made_of
from multitrack.edit.timeline import SAMPLES_PER_SECOND
from multitrack.xmeml import files


class EditRequest(Request):
    """What `multitrack.infer` is told."""

    xml: Annotated[
        Path,
        Upload((".xml",), 64, "as Final Cut Pro XML from Premiere"),
        Field(title="Edit (XML)"),
    ]
    signals: Annotated[
        Path | None, Upload((".npz",), 64, "who speaks when, NAME.drivers.npz; if there is one")
    ] = None
    task: Annotated[Literal["forecast", "infill"], Field(description="go on, or fill a gap")] = (
        "forecast"
    )
    ahead: Annotated[
        float, Field(ge=0.1, le=60, title="Seconds to add", description="forecast: so much more")
    ] = 3.0
    begin: Annotated[
        float | None, Field(ge=0, le=36_000, title="From, s", description="in-fill: from here")
    ] = None
    end: Annotated[
        float | None, Field(ge=0, le=36_000, title="To, s", description="to here, 8 s at most")
    ] = None
    tracks: Annotated[
        str | None, Field(max_length=100, description="in-fill: such as 2,4; all if empty")
    ] = None
    sequence: Annotated[
        str | None, Field(max_length=200, description="its name, where a file holds several")
    ] = None


Seconds = Annotated[float | None, Field(ge=0, lt=1e6, description="s, before the settings'")]


class LiveRequest(Request):
    """What `multitrack.live` is told."""

    settings: Annotated[dict[str, Any], Field(description="speakers, wide, ... as in its YAML")]
    rule: Annotated[bool, Field(description="without the run's model")] = False
    lag: Seconds = None
    shortest: Seconds = None
    longest: Seconds = None


class EditService:
    """Continues edits, as the command line does."""

    title = "Video edits, continued"
    about = (
        "Reads a 20-track edit, tells what its next seconds look like or fills a gap in it, and "
        "writes an edit that Premiere opens. Every clip of yours stays."
    )
    request = EditRequest
    batch = 1
    opening = LiveRequest
    talk = (
        "Switches cameras while a recording runs. A line for each 0.1 s says who speaks, "
        '{"ANN": 0.9, "BOB": 0} or 0.9 0; "off": ["V2"] names cameras without a picture. Its '
        'answer is {"time": seconds, "camera": name, "cut": whether it has just been cut to}.'
    )

    def open(self, run: Path, module, data) -> None:
        """See `experiments.shared.service`."""
        self.network, self.head, self.data = module.network.eval(), module.hazard, data

    def openings(self) -> dict[str, dict[str, Any]]:
        """Two people at a table, each with a camera, and a wide one."""
        people = {"ANN": {"camera": "V1"}, "BOB": {"camera": "V2"}}
        return {"two people": {"settings": {"speakers": people, "wide": ["V3"]}}}

    def begin(self, opening: LiveRequest) -> tuple[dict[str, Any], Callable[[str], str | None]]:
        """The lines of `multitrack.live`."""
        if self.head is None and not opening.rule:
            raise InputError("rule: expected true, since this run tells no cuts")
        given = {name: getattr(opening, name) for name in ("lag", "shortest", "longest")}
        made = live.Live(made_of(opening.settings, given), None if opening.rule else self.head)
        answer = live.listener(made)

        def reply(line: str) -> str | None:
            decision = answer(line)
            return decision and live.said(decision)

        return {"speakers": made.speakers, "cameras": made.cameras}, reply

    def examples(self, folder: Path) -> dict[str, dict]:
        """Two edits of the corpus that no run trains on."""
        found = {}
        for number, label in ((0, "podcast"), (1, "second edit")):
            timeline, signals, about = make_edit(
                987, "heldout", number, styles=24, seconds=(40, 40)
            )
            stem = f"edit_{number}"
            files.write(timeline, folder / f"{stem}.xml")
            np.savez_compressed(folder / f"{stem}.drivers.npz", drivers=signals)
            given = {"xml": f"{stem}.xml", "signals": f"{stem}.drivers.npz"}
            found[about.get("scene", label)] = given
        gap = {**given, "task": "infill", "begin": 10.0, "end": 14.0}
        return found | {"a gap of 4 s": gap}

    def read(self, request: EditRequest) -> tuple[Path, argparse.Namespace]:
        """The XML, its signals beside it as the command line finds them, and the options."""
        tracks = infer._track_list(request.tracks) if request.tracks else None
        if request.task == "infill" and (request.begin is None or request.end is None):
            raise InputError("task infill: expected begin and end, in seconds")
        if request.signals:
            beside = request.xml.with_name(f"{request.xml.stem}.drivers.npz")
            shutil.move(request.signals, beside)
        return request.xml, argparse.Namespace(
            horizon=round(request.ahead * SAMPLES_PER_SECOND),
            infill=(request.begin, request.end) if request.task == "infill" else None,
            tracks=tracks if request.task == "infill" else None,
            sequence=request.sequence,
            rule="source",
            no_drivers=False,
        )

    def compute(self, items: list) -> list:
        """The files of the command line; a forecast lays frame on frame, so nothing is shared."""
        ((source, options),) = items
        return [infer.make(self.network, source, Path("out") / source.name, options)]

    def write(self, item: tuple, outcome: tuple, out: Path) -> Answer:
        """The files that are there."""
        (source, _), (timeline, length, first, last) = item, outcome
        return Answer(
            files=[
                Made(out / f"{source.stem}.png", "Lanes before and after; the new part is marked"),
                Made(out / source.name, "The edit, for Premiere"),
            ],
            numbers={
                "Length, s": length / SAMPLES_PER_SECOND,
                "New from, s": first / SAMPLES_PER_SECOND,
                "New to, s": last / SAMPLES_PER_SECOND,
            },
            notes=summary(timeline.notes),
        )

    def networks(self) -> dict[str, Network | str]:
        """The network on windows of test edits; the head of cuts is asked tick by tick."""
        self.data.prepare_data()
        self.data.setup("test")
        batch = next(iter(self.data.test_dataloader()))
        batch = batch[0] if isinstance(batch, list | tuple) else batch
        given = {name: batch[name][:2] for name in read_by(self.network, batch)}
        dynamic = {name: {0: "windows"} for name in given}
        found: dict[str, Network | str] = {
            "network": Network(Named(self.network, tuple(given)).eval(), given, dynamic)
        }
        return found


class Named(torch.nn.Module):
    """The network of a batch by names, as one of tensors in order."""

    def __init__(self, network: torch.nn.Module, names: tuple[str, ...]):
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Its outputs, ordered by name."""
        said = self.network(dict(zip(self.names, tensors, strict=True)))
        return tuple(said[name] for name in sorted(said))


class Watched(dict):
    """A batch that remembers what was read of it."""

    def __init__(self, batch: dict):
        super().__init__(batch)
        self.read: set[str] = set()

    def __getitem__(self, name: str):
        """Remembered."""
        self.read.add(name)
        return super().__getitem__(name)


def read_by(network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> list[str]:
    """What of a batch the network reads."""
    watched = Watched(batch)
    with torch.inference_mode():
        network(watched)
    return sorted(watched.read)
