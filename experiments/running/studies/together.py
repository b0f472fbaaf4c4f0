"""Runs jobs side by side, each in a place of its own, until there are no more."""

import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from experiments.running.launch import Job
from experiments.running.places import Place
from experiments.running.studies.live import Live

POLL_S = 0.2


class Work(Protocol):
    """Where jobs come from, and who is told of them."""

    total: int

    def take(self) -> Job | None:
        """The next job; None: there is none now."""

    def look(self, job: Job) -> bool:
        """Whether a job that is at work is to be stopped."""

    def ended(self, job: Job, status: int) -> str:
        """Keep how the job ended; says it in a word."""


class Listed:
    """The jobs of a sweep; those that were completed before are kept."""

    def __init__(self, jobs: Iterable[Job]):
        self.waiting: deque[Job] = deque()
        for job in jobs:
            if job.done_before():
                job.keep()
            else:
                self.waiting.append(job)
        self.total = len(self.waiting)

    def take(self) -> Job | None:
        return self.waiting.popleft() if self.waiting else None

    def look(self, job: Job) -> bool:
        return False

    def ended(self, job: Job, status: int) -> str:
        return job.end(status)


class Stopped(SystemExit):
    """A signal ended the work; the jobs have saved their state."""


def work_off(work: Work, places: list[Place], fail_fast: bool, alone: bool) -> None:
    """Run all jobs of `work`; SIGINT and SIGTERM are handed on to those that are running.

    Args:
        work: the jobs.
        places: where; one job at a time in each.
        fail_fast: after the first that fails, stop the others, which save their state.
        alone: print what the one running job prints, instead of keeping it in its folder.

    Raises:
        Stopped: after a signal, when all jobs have left.
    """
    free, running = list(places), dict[Job, tuple[subprocess.Popen, Place]]()
    caught: list[int] = []

    def hand_on(signum, frame) -> None:
        caught.append(signum)
        for process, _ in running.values():
            process.send_signal(signum)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {s: signal.signal(s, hand_on) for s in signals}
    ending = False
    try:
        with Live(work.total, shown=not alone) as live:
            while True:
                while free and not caught and not ending and (job := work.take()) is not None:
                    place = free.pop(0)
                    running[job] = (job.start(place, log=not alone), place)
                    live.begun(job)
                if not running:
                    break
                time.sleep(POLL_S)
                for job, (process, place) in list(running.items()):
                    status = process.poll()
                    if status is None:
                        if work.look(job):
                            process.send_signal(signal.SIGTERM)
                        continue
                    del running[job]
                    free.append(place)
                    live.ended(job, status, work.ended(job, status))
                    if status and fail_fast and not caught and not ending:
                        ending = True
                        for other, _ in running.values():
                            other.send_signal(signal.SIGTERM)
                live.show()
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
    if caught:
        raise Stopped(128 + caught[0])
