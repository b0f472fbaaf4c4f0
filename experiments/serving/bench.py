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
import io
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from experiments.serving.client import Bare, Client, busy, form, server
from experiments.shared import arguments
from experiments.shared.errors import InputError, cli

ALLOWED_MS, ALLOWED_SHARE = 10.0, 0.1  # what a request may cost beyond its work, whichever is more
FEWEST = 16  # requests of a row, however long they take
COLUMNS = (
    "run", "batch", "clients", "requests", "answers/s", "median, ms", "p95, ms", "bare, ms",
    "beyond work, ms", "beyond bare, ms", "beyond bare, CPU ms", "answers", "load",
)  # fmt: skip


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
    few = arguments.whole(1, 1024)
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+")
    parser.add_argument("--requests", type=arguments.whole(1), default=200,
                        help="of a row, at most (200)")  # fmt: skip
    parser.add_argument("--seconds", type=arguments.real(0, 1e6, above=True), default=20.0,
                        help="of a row, about (20)")  # fmt: skip
    parser.add_argument("--clients", type=few, nargs="+", default=[1, 4, 16])
    parser.add_argument("--workers", type=few, default=1)
    parser.add_argument("--threads", type=few, default=1, help="of a worker, and of `bare` (1)")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and the servers with it
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
