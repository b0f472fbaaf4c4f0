"""python -m experiments.serving.bench RUN [--requests 200]: what serving a run costs.

Sends the run's own examples to a server of its own, from 1, 4 and 16 clients at once, with requests
computed one by one and together. `bare` is the same work in a process without a server, as the
command line does it: read, compute, write. Equal requests must get equal answers; computed together
they may differ in their last digits.
"""

import argparse
import contextlib
import http.client
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from experiments.shared import arguments
from experiments.shared.errors import InputError, cli
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


def bare(service: Service, values: dict[str, Any], folder: Path, repeats: int) -> list[float]:
    """Seconds of the same work, again and again, in this process."""
    times, here = [], Path.cwd()
    for _ in range(repeats):
        place = Path(tempfile.mkdtemp())
        for file in folder.iterdir():
            shutil.copy(file, place)
        os.chdir(place)
        try:
            (place / "out").mkdir()
            began = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                item = service.read(service.request.model_validate(values))
                (outcome,) = service.compute([item])
                service.write(item, outcome, Path("out"))
            times.append(time.perf_counter() - began)
        finally:
            os.chdir(here)
            shutil.rmtree(place)
    return times


@contextlib.contextmanager
def server(run: Path, words: list[str]) -> Iterator[int]:
    """The port of a server that is ready."""
    command = [sys.executable, "-m", "experiments.serve", str(run), "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                if found := re.search(r"ready: http://[\d.]+:(\d+)", line):
                    yield int(found[1])
                    break
            else:
                raise InputError(f"{run}: the server did not start")
        finally:
            process.terminate()


def ask(port: int, name: str, body: bytes, kind: str) -> tuple[float, str]:
    """Seconds of one request, and its answer less what names a time."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST", f"/{name}", body, {"Content-Type": kind})
    response = connection.getresponse()
    content = response.read()
    seconds = time.perf_counter() - began
    connection.close()
    if response.status != 200:
        raise InputError(f"the server answered {response.status}: {content[:200]!r}")
    return seconds, json.dumps(json.loads(content)["numbers"], sort_keys=True)


def main() -> None:
    """The command."""
    parser = arguments.Parser(
        prog="python -m experiments.serving.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path)
    few = arguments.whole(1, 1024)
    parser.add_argument(
        "--requests", type=arguments.whole(1), default=200, help="for each row (200)"
    )
    parser.add_argument("--clients", type=few, nargs="+", default=[1, 4, 16])
    parser.add_argument("--workers", type=few, default=1)
    parser.add_argument("--threads", type=few, default=1, help="of a worker, and of `bare` (1)")
    given = parser.parse_args()
    import torch

    import experiments
    from experiments.running.restore import service_of
    from experiments.serving.about import names_of

    torch.set_num_threads(given.threads)
    service, (name,) = service_of(given.run), names_of([given.run])
    service.open(given.run.resolve(), *experiments.load(given.run))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with contextlib.redirect_stdout(io.StringIO()):
            values = next(iter(service.examples(folder).values()))
        body, kind = form(values, folder)
        alone = bare(service, values, folder, max(5, given.requests // 10))[2:]
    usual = statistics.median(alone)
    print(f"{name}, first example, {len(body) / 1000:.0f} kB; bare: {1e3 * usual:.0f} ms")
    print("| batch | clients | answers/s | median, ms | p95, ms | server's own, ms | answers |")
    print("| ----- | ------- | --------- | ---------- | ------- | ---------------- | ------- |")
    for batch in sorted({1, min(8, service.batch)}):
        words = ["--batch", batch, "--workers", given.workers, "--threads", given.threads]
        with server(given.run, [*map(str, words), "--timeout", "600", "--devices", "cpu"]) as port:
            for clients in given.clients:
                row(port, name, body, kind, clients, given.requests, batch, usual, given.workers)


def row(
    port: int, name: str, body: bytes, kind: str, clients: int, requests: int, batch: int,
    usual: float, workers: int,
) -> None:  # fmt: skip
    """Measure and print one row; what the server adds is told of a lone client alone."""
    with ThreadPoolExecutor(clients) as pool:
        for _ in range(2 * workers):  # workers warm up
            ask(port, name, body, kind)
        began = time.perf_counter()
        found = list(pool.map(lambda _: ask(port, name, body, kind), range(requests)))
        whole = time.perf_counter() - began
    times = sorted(seconds for seconds, _ in found)
    answers = len({answer for _, answer in found})
    if answers != 1 and batch == 1:
        raise InputError(f"{name}: equal requests got {answers} different answers")
    own = f"{1e3 * (statistics.median(times) - usual):.0f}" if clients == 1 else ""
    print(
        f"| {batch} | {clients} | {requests / whole:.2f} | {1e3 * statistics.median(times):.0f} | "
        f"{1e3 * times[int(0.95 * (len(times) - 1))]:.0f} | {own} | {answers} |",
        flush=True,
    )


if __name__ == "__main__":
    cli(main)
