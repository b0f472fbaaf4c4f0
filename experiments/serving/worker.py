"""A process that computes: opens a run once, then answers job after job.

LitServe starts it, for each device as often as is asked, and starts it again when it dies. The loop
is our own: LitServe's fails a whole batch for one bad request, and spins while there is none.
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
from pathlib import Path
from queue import Empty
from typing import Any

import litserve
from litserve.loops.base import LitLoop
from litserve.utils import LitAPIStatus, LoopResponseType

from experiments.serving.packing import Job, Outcome, pack
from experiments.shared.errors import InputError

EXAMPLES = "examples.json"
FAILED = "failed.txt"  # why a run could not be opened


class Loop(LitLoop):
    """Takes what waits, up to the API's batch size; the server learns which process has a job."""

    @property
    def worker_id(self) -> int:
        """The process that has the job, by which its death is noticed."""
        return os.getpid()

    def run(
        self, lit_api, device, worker_id, request_queue, transport, setup_status, callback_runner
    ) -> None:
        """One round: as many jobs as wait, at least one, or none within a second."""
        try:
            taken = self.gather(lit_api, request_queue, transport)
        except (EOFError, OSError):  # the manager of the queues is gone, and so is the server
            os._exit(0)
        if os.getppid() != self._server_pid:
            os._exit(0)
        if not taken:
            return
        for (consumer, uid), outcome in zip(
            [key for key, _ in taken], lit_api.answer([job for _, job in taken]), strict=True
        ):
            self.tell(transport, consumer, uid, outcome, LitAPIStatus.OK)

    def gather(self, lit_api, request_queue, transport) -> list[tuple[tuple[int, str], Job]]:
        taken: list[tuple[tuple[int, str], Job]] = []
        while len(taken) < lit_api.max_batch_size:
            try:
                found = request_queue.get_nowait() if taken else request_queue.get(timeout=1.0)
            except Empty:
                break
            consumer, uid, _, job = found
            self.tell(transport, consumer, uid, (), LitAPIStatus.START)
            taken.append(((consumer, uid), job))
        return taken

    def tell(self, transport, consumer: int, uid: str, what: Any, status: str) -> None:
        self.put_response(transport, consumer, uid, what, status, LoopResponseType.REGULAR)


class Worker(litserve.LitAPI):
    """A served run.

    Args:
        name: under which it is served.
        run: its folder.
        batch: jobs at most that are computed at once.
        scratch: folder of the server; the first worker puts examples there.
        threads: of the CPU, for each worker; None: as torch finds it.
    """

    def __init__(self, name: str, run: Path, batch: int, scratch: Path, threads: int | None):
        super().__init__(api_path=f"/{name}", max_batch_size=batch, loop=Loop())
        self.name, self.run, self.scratch, self.threads = name, run.resolve(), scratch, threads

    def setup(self, device: str) -> None:
        """Open the run; the first worker makes the examples."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends its workers, after draining
        try:
            self.open(device)
        except BaseException as error:
            text = str(error) if isinstance(error, InputError) else traceback.format_exc()
            (self.scratch / FAILED).write_text(text)
            raise

    def open(self, device: str) -> None:
        import torch  # seconds

        import experiments
        from experiments.running.restore import service_of

        if self.threads:
            torch.set_num_threads(self.threads)
        module, data = experiments.load(self.run)
        self.service = service_of(self.run)
        self.service.open(self.run, module.to(device), data)
        folder = self.scratch / self.name
        if not (folder / EXAMPLES).is_file() and os.environ["LITSERVE_WORKER_ID"] == "0":
            folder.mkdir(parents=True, exist_ok=True)
            with unheard():
                found = self.service.examples(folder)
            (folder / EXAMPLES).write_text(json.dumps(found))

    def predict(self, jobs: list[Job]) -> list[Outcome]:
        """LitServe's name for it."""
        return self.answer(jobs)

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
        for index, made in found.items():
            with told(outcomes, index), inside(jobs[index].folder):
                answer = self.service.write(items[index], made, Path("out"))
                pack(answer, Path(), jobs[index].kind)
        seconds = time.perf_counter() - began
        done = [outcome or Outcome(200) for outcome in outcomes]
        for outcome in done:
            outcome.seconds = seconds
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
