"""The two sides of a measurement: a client of a server of its own, and the same work without."""

import contextlib
import http.client
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from experiments.shared.errors import InputError
from experiments.shared.service import Service


def form(values: dict[str, Any], folder: Path) -> tuple[bytes, str]:
    """A request as multipart/form-data; values that name a file of `folder` are sent as files."""
    boundary, parts = uuid.uuid4().hex, []
    for name, value in values.items():
        file = folder / str(value)
        known = isinstance(value, str) and file.is_file()
        named = f'; filename="{value}"' if known else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        content = file.read_bytes() if known else str(value).encode()
        parts.append(head.encode() + content + b"\r\n")
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


class Bare:
    """The same work without a server, in this process.

    Args:
        service: open.
        values: of the request; those that name a file of `folder` are files.
        folder: with the example's files.
    """

    def __init__(self, service: Service, values: dict[str, Any], folder: Path):
        self.service, self.values, self.folder = service, values, folder

    def __call__(self) -> tuple[float, float]:
        """Seconds of one call, and of processor time."""
        place, here = Path(tempfile.mkdtemp()), Path.cwd()
        for file in self.folder.iterdir():
            shutil.copy(file, place)
        os.chdir(place)
        try:
            (place / "out").mkdir()
            began, busy = time.perf_counter(), time.process_time()
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                item = self.service.read(self.service.request.model_validate(self.values))
                (outcome,) = self.service.compute([item])
                self.service.write(item, outcome, Path("out"))
            return time.perf_counter() - began, time.process_time() - busy
        finally:
            os.chdir(here)
            shutil.rmtree(place)


@contextlib.contextmanager
def server(run: Path, words: list[str]) -> Iterator[tuple[int, psutil.Process]]:
    """The port of a server that is ready, and the process that started it."""
    command = [sys.executable, "-m", "experiments.serve", str(run), "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                if found := re.search(r"ready: http://[\d.]+:(\d+)", line):
                    yield int(found[1]), psutil.Process(process.pid)
                    break
            else:
                raise InputError(f"{run}: the server did not start")
        finally:
            process.terminate()


def busy(process: psutil.Process) -> float:
    """Seconds of processor time that a process and those below it have had."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


@dataclass
class Client:
    """Sends one request again and again, each over a connection of its own."""

    port: int
    name: str
    body: bytes
    kind: str

    def __call__(self, *_: Any) -> tuple[float, float, str]:
        """Seconds of one request, seconds of the service's own work, and the answer's numbers.

        Raises:
            InputError: the server answered with an error.
        """
        began = time.perf_counter()
        way = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        way.request("POST", f"/{self.name}", self.body, {"Content-Type": self.kind})
        response = way.getresponse()
        content = response.read()
        seconds = time.perf_counter() - began
        way.close()
        if response.status != 200:
            raise InputError(f"the server answered {response.status}: {content[:200]!r}")
        work = re.search(r"work;dur=([\d.]+)", response.headers["Server-Timing"])
        said = json.dumps(json.loads(content)["numbers"], sort_keys=True)
        return seconds, float(work[1]) / 1e3 if work else float("nan"), said
