"""A process that computes: opens a run once, then answers job after job.

LitServe starts it, for each device as often as is asked, and starts it again when it dies. The loop
is our own: LitServe's fails a whole batch for one bad request, spins while there is none, and takes
each job through a manager's process and back.
"""

import contextlib
import io
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import litserve
from litserve.loops.base import LitLoop

from experiments.serving.packing import Job, Outcome, pack
from experiments.serving.wire import attend
from experiments.shared.errors import InputError
from experiments.shared.service import Service

EXAMPLES = "examples.json"
FAILED = "failed.txt"  # why a run could not be opened


class Loop(LitLoop):
    """The server's questions in the place of LitServe's queue."""

    def run(self, lit_api, *_: Any) -> None:
        """Answers until the server is gone."""
        attend(lit_api.door, lit_api.reply, self._server_pid)


class Worker(litserve.LitAPI):
    """A served run.

    Args:
        name: under which it is served.
        run: its folder.
        batch: jobs at most that are computed at once.
        scratch: folder of the server; the first worker puts examples there.
        door: socket at which the server meets its workers.
        threads: of the CPU, for each worker; None: as torch finds it.
    """

    def __init__(
        self, name: str, run: Path, batch: int, scratch: Path, door: Path, threads: int | None
    ):
        super().__init__(api_path=f"/{name}", max_batch_size=batch, loop=Loop())
        self.name, self.run, self.scratch, self.threads = name, run.resolve(), scratch, threads
        self.door = door

    def setup(self, device: str) -> None:
        """Open the run; the first worker makes the examples."""
        with noted(self.scratch):
            self.service = opened(self.run, device, self.threads)
            folder = self.scratch / self.name
            if not (folder / EXAMPLES).is_file() and os.environ["LITSERVE_WORKER_ID"] == "0":
                folder.mkdir(parents=True, exist_ok=True)
                with unheard():
                    found = self.service.examples(folder)
                (folder / EXAMPLES).write_text(json.dumps(found))

    def predict(self, jobs: list[Job]) -> list[Outcome]:
        """LitServe's name for it."""
        return self.answer(jobs)

    def reply(self, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The same, of what came through the socket."""
        return [asdict(outcome) for outcome in self.answer([Job(**job) for job in jobs])]

    def answer(self, jobs: list[Job]) -> list[Outcome]:
        """An outcome for each job; a bad one spoils no other."""
        began = time.perf_counter()
        outcomes: list[Outcome | None] = [None] * len(jobs)
        items: dict[int, Any] = {}
        for index, job in enumerate(jobs):
            if not Path(job.folder).is_dir():  # who asked was told to come again, and has gone
                outcomes[index] = Outcome(503, "too late")
                continue
            with told(outcomes, index), inside(job.folder):
                Path("out").mkdir()
                items[index] = self.service.read(self.service.request.model_validate(job.values))
        found = self.compute(items, jobs, outcomes)
        packed = 0.0
        for index, made in found.items():
            with told(outcomes, index), inside(jobs[index].folder):
                answer = self.service.write(items[index], made, Path("out"))
                begun = time.perf_counter()
                pack(answer, Path(), jobs[index].kind)
                packed += time.perf_counter() - begun
        seconds = time.perf_counter() - began
        done = [outcome or Outcome(200) for outcome in outcomes]
        for outcome in done:
            outcome.work, outcome.packed = seconds - packed, packed
        return done

    def compute(self, items: dict[int, Any], jobs: list[Job], outcomes: list) -> dict[int, Any]:
        """What came of the items, all at once; one by one if that fails."""
        if len(items) > 1:
            with contextlib.suppress(Exception):
                made = self.service.compute(list(items.values()))
                return dict(zip(items, made, strict=True))
        found = {}
        for index, item in items.items():
            with told(outcomes, index), inside(jobs[index].folder):
                (found[index],) = self.service.compute([item])
        return found


def opened(run: Path, device: str, threads: int | None) -> Service:
    """The service of a run, with its model on a device."""
    import torch  # seconds

    import experiments
    from experiments.running.restore import service_of

    if threads:
        torch.set_num_threads(threads)
    module, data = experiments.load(run)
    service = service_of(run)
    service.open(run, module.to(device), data)
    return service


@contextlib.contextmanager
def noted(scratch: Path) -> Iterator[None]:
    """Around a worker's setup: why it failed is left for the server to tell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends its workers, after draining
    try:
        yield
    except BaseException as error:
        text = str(error) if isinstance(error, InputError) else traceback.format_exc()
        (scratch / FAILED).write_text(text)
        raise


@contextlib.contextmanager
def told(outcomes: list[Outcome | None], index: int) -> Iterator[None]:
    """Around the work on one job: what goes wrong becomes its outcome."""
    try:
        yield
    except InputError as error:
        outcomes[index] = Outcome(422, str(error))
    except MemoryError:
        outcomes[index] = Outcome(413, "there is not enough memory for this input; make it smaller")
    except Exception:
        print(traceback.format_exc(), file=sys.stderr, flush=True)
        message = "an error of the program, not of the input; the server's log says where"
        outcomes[index] = Outcome(500, message)


@contextlib.contextmanager
def inside(folder: str) -> Iterator[None]:
    """In that folder, and unheard."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        with unheard():
            yield
    finally:
        os.chdir(here)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Without the lines and bars that a command would print."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
