"""The server's side of a job: a place in the queue, a worker that has it, and its outcome.

All contact with what LitServe keeps of its queues is here.
"""

import asyncio
import contextlib
import os
import signal
import time
import uuid
from dataclasses import dataclass
from typing import Any

import psutil
from litserve.utils import ResponseBufferItem

from experiments.serving.packing import Job, Outcome

POLL = 0.25  # seconds between looks at whether a worker lives
FULL = "the queue is full; send it again"
LOST = 1.5  # seconds after which a job that is in no queue and with no worker is lost


@dataclass
class Limits:
    """Of every served run.

    Args:
        queue: jobs at most that wait or are computed.
        seconds: of work on one job, and of waiting for it.
    """

    queue: int = 64
    seconds: float = 120.0


class Dispatch:
    """Hands the jobs of one run to its workers.

    Args:
        server: LitServe's, running.
        path: the API's, which names its queue.
        limits: of this run.
        workers: processes that compute.
    """

    def __init__(self, server: Any, path: str, limits: Limits, workers: int):
        self.server, self.path, self.limits, self.workers = server, path, limits, workers
        self.inside = 0
        self.usual = 1.0  # seconds of a job, a running mean

    def full(self) -> bool:
        return self.inside >= self.limits.queue

    def retry_after(self) -> str:
        """Seconds after which a place is likely to be free."""
        return str(max(1, round(self.usual * self.inside / self.workers)))

    async def ask(self, job: Job) -> Outcome:
        """The outcome of a job; 503 where a worker died over it or all were busy, 504 at last."""
        if self.full():  # others came in while this one's files were read
            return Outcome(503, FULL)
        self.inside += 1
        uid = str(uuid.uuid4())
        item = ResponseBufferItem(asyncio.Event())
        self.server.response_buffer[uid] = item
        try:
            queue = self.server.litapi_request_queues[self.path]
            queue.put((self.server.app.response_queue_id, uid, time.monotonic(), job))
            outcome = await self.wait(item, queue)
        finally:
            self.inside -= 1
            self.server.response_buffer.pop(uid, None)
        if outcome.status == 200:
            self.usual += 0.2 * (outcome.seconds - self.usual)
        return outcome

    async def wait(self, item: ResponseBufferItem, queue: Any) -> Outcome:
        asked, begun, missed = time.monotonic(), None, None
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(item.event.wait(), POLL)
            if item.event.is_set():
                return item.response[0]
            now, process = time.monotonic(), item.worker_id
            if process is None:
                missed = (missed or now) if queue.qsize() == 0 else None
                if missed and now - missed > LOST:
                    return Outcome(503, "the worker that was to take this died; send it again")
                if now - asked > self.limits.seconds:
                    return Outcome(503, "all workers are busy; send it again")
                continue
            begun = begun or now
            if not lives(process):
                return Outcome(503, "the worker died while it computed this; send it again")
            if now - begun > self.limits.seconds:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)  # it is started again
                return Outcome(
                    504, f"this took more than {self.limits.seconds:g} s; send less, or --timeout"
                )


def lives(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
