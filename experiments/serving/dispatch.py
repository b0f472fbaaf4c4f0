"""The server's side of a job: a place in the queue, a worker that has it, and its outcome."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections import deque
from dataclasses import asdict, dataclass, field

from experiments.serving.packing import Job, Outcome
from experiments.serving.wire import Gone, Link, meet

FULL = "the queue is full; send it again"


@dataclass
class Limits:
    """Of every served run.

    Args:
        queue: jobs at most that wait or are computed.
        seconds: of work on one job, and of waiting for it.
    """

    queue: int = 64
    seconds: float = 120.0


@dataclass(eq=False)
class Ticket:
    """A job that waits or is computed, and the future of its outcome."""

    job: Job
    outcome: "asyncio.Future[Outcome]"
    asked: float = field(default_factory=time.perf_counter)

    def settle(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Dispatch:
    """Hands the jobs of one run to its workers.

    Args:
        door: where workers are met: a listening socket.
        limits: of this run.
        workers: processes that compute.
        batch: jobs at most that a worker gets at once.
    """

    def __init__(self, door: socket.socket, limits: Limits, workers: int, batch: int):
        self.door, self.limits, self.workers, self.batch = door, limits, workers, batch
        self.inside = 0
        self.usual = 1.0  # seconds of a job, a running mean
        self.waiting: deque[Ticket] = deque()
        self.idle: deque[Link] = deque()
        self.tasks: set[asyncio.Task] = set()

    async def start(self) -> None:
        """Take in the workers that come, from now on."""
        self.server = await meet(self.door, lambda: Link(self.free, self.lost))

    def full(self) -> bool:
        return self.inside >= self.limits.queue

    def retry_after(self) -> str:
        """Seconds after which a place is likely to be free."""
        return str(max(1, round(self.usual * self.inside / self.workers)))

    async def ask(self, job: Job) -> Outcome:
        """The outcome of a job; 503 where a worker died over it or all were busy, 504 at last."""
        if self.full():  # others came in while this one's files were read
            return Outcome(503, FULL)
        loop = asyncio.get_running_loop()
        ticket = Ticket(job, loop.create_future())
        self.inside += 1
        patience = loop.call_later(self.limits.seconds, self.forget, ticket)
        try:
            self.waiting.append(ticket)
            self.push()
            outcome = await ticket.outcome
        finally:
            self.inside -= 1
            patience.cancel()
            with contextlib.suppress(ValueError):
                self.waiting.remove(ticket)
        if outcome.status == 200:
            self.usual += 0.2 * (outcome.work + outcome.packed - self.usual)
        return outcome

    def forget(self, ticket: Ticket) -> None:
        """End the wait of a job that no worker has taken."""
        if ticket in self.waiting:
            ticket.settle(Outcome(503, "all workers are busy; send it again"))

    def free(self, link: Link) -> None:
        self.idle.append(link)
        self.push()

    def lost(self, link: Link) -> None:
        with contextlib.suppress(ValueError):
            self.idle.remove(link)

    def push(self) -> None:
        """Give what waits to who is idle."""
        while self.waiting and self.idle:
            link = self.idle.popleft()
            count = min(self.batch, len(self.waiting))
            tickets = [self.waiting.popleft() for _ in range(count)]
            task = asyncio.create_task(self.give(link, tickets))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def give(self, link: Link, tickets: list[Ticket]) -> None:
        """Have a worker answer some jobs; it is ended if that takes too long."""
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(self.limits.seconds):
                found = await link.ask([asdict(ticket.job) for ticket in tickets])
            outcomes = [Outcome(**said) for said in found]
        except Gone:
            message = "the worker died while it computed this; send it again"
            outcomes = [Outcome(503, message) for _ in tickets]
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(link.process, signal.SIGKILL)  # it is started again
            message = f"this took more than {self.limits.seconds:g} s; send less, or --timeout"
            outcomes = [Outcome(504, message) for _ in tickets]
        else:
            self.free(link)
        for ticket, outcome in zip(tickets, outcomes, strict=True):
            outcome.waited = begun - ticket.asked
            ticket.settle(outcome)
