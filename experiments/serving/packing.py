"""What the server and its workers tell each other: a job is a folder, its outcome lies in it."""

import base64
import json
import mimetypes
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.shared.folder import plain
from experiments.shared.service import Answer

ANSWER = {"application/json": "answer.json", "application/zip": "answer.zip"}
# What a browser must know of a file to show it; the system's own table need not name these.
KINDS = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".xml": "application/xml",
    ".npz": "application/x-npz",
    ".rdm": "application/octet-stream",
    ".geojson": "application/geo+json",
}


@dataclass
class Job:
    """A request on its way to a worker: its folder, its values, and what answer is wanted."""

    folder: str
    values: dict[str, Any]
    kind: str = "application/json"


@dataclass
class Outcome:
    """How it went: an HTTP status, and a message where that is no 200.

    Seconds of all jobs that were answered together: `work` of the service, as it takes without a
    server; `packed`, of its files into one; and of this job, how long it `waited` for a worker.
    """

    status: int
    message: str = ""
    work: float = 0.0
    packed: float = 0.0
    waited: float = 0.0

    def timing(self) -> str:
        """As the header Server-Timing has it, in milliseconds."""
        parts = {"wait": self.waited, "work": self.work, "pack": self.packed}
        return ", ".join(f"{name};dur={1e3 * seconds:.3f}" for name, seconds in parts.items())


def kind_of(path: Path) -> str:
    return KINDS.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or (
        "application/octet-stream"
    )  # fmt: skip


def pack(answer: Answer, folder: Path, kind: str) -> None:
    """Write the answer as one file into `folder`, below which its files lie."""
    said = {"numbers": answer.numbers, "tables": answer.tables, "notes": answer.notes}
    said = plain(said)
    files = [
        {"name": made.path.name, "title": made.title, "type": kind_of(made.path)}
        for made in answer.files
    ]
    target = folder / ANSWER[kind]
    if kind == "application/zip":
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("answer.json", json.dumps({**said, "files": files}, indent=1))
            for made in answer.files:
                archive.write(folder / made.path, made.path.name)
        return
    for entry, made in zip(files, answer.files, strict=True):
        entry["data"] = base64.b64encode((folder / made.path).read_bytes()).decode()
    target.write_text(json.dumps({**said, "files": files}), encoding="utf-8")
