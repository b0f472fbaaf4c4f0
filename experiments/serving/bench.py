"""python -m experiments.serving.bench RUN [RUN ...]: what serving runs costs.

Sends each run's first example to a server of its own, from 1, 4 and 16 clients at once, with
requests computed one by one and, where the service can, together. `bare` is the same work in this
process without a server, as the command line does it: read, compute, write.

A lone client and `bare` take turns, so that whatever else the machine does meets both. Its request
is told apart in two ways: `beyond work` is its time less what the worker says the service's own
work took; `beyond bare` its time less that of the bare call just before it. Both are medians of the
pairs. `CPU` is processor time, of all processes of the server less that of a bare call: a crowded
machine moves it little. Equal requests must get equal answers; computed together they may differ
in their last digits.
"""

import argparse
import contextlib
import http.client
import io
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from experiments.shared import arguments
from experiments.shared.errors import InputError, cli
from experiments.shared.service import Service

ALLOWED_MS, ALLOWED_SHARE = 10.0, 0.1  # what a request may cost beyond its work, whichever is more
FEWEST = 16  # requests of a row, however long they take
COLUMNS = (
    "run", "batch", "clients", "requests", "answers/s", "median, ms", "p95, ms", "bare, ms",
    "beyond work, ms", "beyond bare, ms", "beyond bare, CPU ms", "answers", "load",
)  # fmt: skip


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
            with contextlib.redirect_stdout(io.StringIO()):
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
    """Sends one request again and again; each thread has a connection of its own."""

    port: int
    name: str
    body: bytes
    kind: str

    def __post_init__(self) -> None:
        self.own = threading.local()

    def __call__(self, *_: Any) -> tuple[float, float, str]:
        """Seconds of one request, seconds of the service's own work, and the answer's numbers.

        Raises:
            InputError: the server answered with an error.
        """
        if not hasattr(self.own, "way"):
            self.own.way = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        began = time.perf_counter()
        self.own.way.request("POST", f"/{self.name}", self.body, {"Content-Type": self.kind})
        response = self.own.way.getresponse()
        content = response.read()
        seconds = time.perf_counter() - began
        if response.status != 200:
            raise InputError(f"the server answered {response.status}: {content[:200]!r}")
        work = re.search(r"work;dur=([\d.]+)", response.headers["Server-Timing"])
        said = json.dumps(json.loads(content)["numbers"], sort_keys=True)
        return seconds, float(work[1]) / 1e3 if work else float("nan"), said


@dataclass
class Case:
    """What is measured: a run's first example, with and without a server."""

    name: str
    batch: int
    client: Client
    bare: Bare
    process: psutil.Process
    seconds: float
    most: int

    def row(self, clients: int) -> dict[str, Any]:
        """Measure one row of the table.

        Raises:
            InputError: equal requests got different answers though each is computed alone.
        """
        pairs = [self.bare() for _ in range(3)]  # warm, as the server is below
        usual = statistics.median(seconds for seconds, _ in pairs)
        count = min(self.most, max(FEWEST, round(self.seconds / usual)))
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(self.client, range(2 * clients)))
            before, began = busy(self.process), time.perf_counter()
            if clients == 1:
                pairs = []
                found = []
                for _ in range(count):
                    pairs.append(self.bare())
                    found.append(pool.submit(self.client).result())
            else:
                found = list(pool.map(self.client, range(count)))
            whole, spent = time.perf_counter() - began, busy(self.process) - before
        answers = len({answer for _, _, answer in found})
        if answers != 1 and self.batch == 1:
            raise InputError(f"{self.name}: equal requests got {answers} different answers")
        times = sorted(seconds for seconds, _, _ in found)
        made: dict[str, Any] = {
            "run": self.name, "batch": self.batch, "clients": clients, "requests": count,
            "answers/s": count / (sum(times) if clients == 1 else whole),
            "median, ms": 1e3 * statistics.median(times),
            "p95, ms": 1e3 * times[int(0.95 * (len(times) - 1))],
            "answers": answers, "load": os.getloadavg()[0],
        }  # fmt: skip
        if clients == 1:
            alone = [seconds for seconds, _ in pairs]
            made |= {
                "bare, ms": 1e3 * statistics.median(alone),
                "beyond work, ms": 1e3 * statistics.median(s - w for s, w, _ in found),
                "beyond bare, ms": 1e3 * statistics.median(
                    s - b for (s, _, _), b in zip(found, alone, strict=True)
                ),
                "beyond bare, CPU ms": 1e3 * (spent / count - statistics.mean(c for _, c in pairs)),
            }  # fmt: skip
        return made


def line(made: dict[str, Any]) -> str:
    """A row as Markdown."""
    cells = [made.get(column, "") for column in COLUMNS]
    cells = [f"{c:.3g}" if isinstance(c, float) and abs(c) < 100 else c for c in cells]
    cells = [f"{c:.0f}" if isinstance(c, float) else str(c) for c in cells]
    return f"| {' | '.join(cells)} |"


def verdict(made: dict[str, Any]) -> str:
    """Whether a lone request costs no more than it may."""
    allowed = max(ALLOWED_MS, ALLOWED_SHARE * made["bare, ms"])
    beyond = made["beyond work, ms"]
    word = "within" if beyond <= allowed else "NOT within"
    return (
        f"{made['run']}, batch {made['batch']}: {beyond:.1f} ms beyond its work, {word} "
        f"{allowed:.1f} ms; of processor time {made['beyond bare, CPU ms']:.1f} ms beyond bare"
    )


def main() -> None:
    """The command."""
    parser = arguments.Parser(
        prog="python -m experiments.serving.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+")
    parser.add_argument("--requests", type=int, default=200, help="of a row, at most (200)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a row, about (20)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of a worker, and of `bare` (1)")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    print(f"{os.cpu_count()} cores, {platform.machine()}; {given.workers} worker(s) of "
          f"{given.threads} thread(s); load {os.getloadavg()[0]:.1f}\n")  # fmt: skip
    print(line({column: column for column in COLUMNS}))
    print(line({column: "-" * len(column) for column in COLUMNS}), flush=True)
    told = [verdict(row) for run in given.runs for row in rows(run, given) if row["clients"] == 1]
    print("\n" + "\n".join(told))


def rows(run: Path, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure and print the rows of a run."""
    import experiments
    from experiments.running.restore import service_of
    from experiments.serving.about import names_of

    service, (name,) = service_of(run), names_of([run])
    service.open(run.resolve(), *experiments.load(run))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with contextlib.redirect_stdout(io.StringIO()):
            values = next(iter(service.examples(folder).values()))
        bare = Bare(service, values, folder)
        for batch in sorted({1, min(8, service.batch)}):
            words = ["--batch", batch, "--workers", given.workers, "--threads", given.threads]
            words += ["--timeout", 600, "--devices", "cpu"]
            with server(run, list(map(str, words))) as (port, process):
                client = Client(port, name, *form(values, folder))
                case = Case(name, batch, client, bare, process, given.seconds, given.requests)
                for clients in given.clients:
                    made = case.row(clients)
                    print(line(made), flush=True)
                    yield made


if __name__ == "__main__":
    cli(main)
