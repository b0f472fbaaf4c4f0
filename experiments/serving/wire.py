"""The way between the server and its workers: a Unix socket, a line of JSON for each message.

A worker is asked and answers; one question, one answer, two changes of process. When a worker
dies its socket closes, and the server knows at once.
"""

import asyncio
import contextlib
import itertools
import json
import multiprocessing.util
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.shared.errors import InputError

LONGEST = 103  # letters of a socket's path; Linux has 107, others 103
BESIDE = len("/pymp-12345678/listener-12345678")  # multiprocessing's names, and longer than ours
SHORT = ("/tmp", "/var/tmp")


class Gone(Exception):
    """The worker died before it answered."""


def sockets_folder() -> Path:
    """A folder for sockets, those of LitServe's manager as well: multiprocessing's own.

    It is in TMPDIR unless a path there would be longer than a socket's can be. Whoever asks first
    decides for this process and its children; it is gone when this process ends.

    Raises:
        InputError: TMPDIR is too long, and there is no other place; or a system without them.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise InputError(
            "this system's Python has no Unix sockets; serve on Linux, macOS or in WSL"
        )
    wanted, short = tempfile.gettempdir(), LONGEST - BESIDE
    if len(os.fsencode(wanted)) <= short:
        return Path(multiprocessing.util.get_temp_dir())
    for folder in SHORT:
        if os.access(folder, os.W_OK | os.X_OK):
            tempfile.tempdir = folder
            try:
                return Path(multiprocessing.util.get_temp_dir())
            finally:
                tempfile.tempdir = wanted
    raise InputError(
        f"TMPDIR {wanted}: expected at most {short} letters, since sockets lie there and "
        f"{' and '.join(SHORT)} cannot be written; set a shorter TMPDIR"
    )


def listening(path: Path) -> socket.socket:
    """A socket at `path` that workers find before the server takes them in."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen(128)
    return made


class Link(asyncio.Protocol):
    """The server's end to one worker.

    Args:
        met: called once the worker has said which process it is.
        lost: called when it is gone.
    """

    def __init__(self, met: Callable[["Link"], None], lost: Callable[["Link"], None]):
        self.met, self.lost = met, lost
        self.process = 0
        self._rest, self._numbers = b"", itertools.count(1)
        self._asked: dict[int, asyncio.Future] = {}

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "process" in said:
                self.process = said["process"]
                self.met(self)
                continue
            future = self._asked.pop(said["number"], None)
            if future and not future.done():
                future.set_result(said["answer"])

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost(self)
        for future in self._asked.values():
            if not future.done():
                future.set_exception(Gone())
        self._asked.clear()

    def ask(self, question: Any) -> asyncio.Future:
        """The future of the answer to what JSON can hold; `Gone` if the worker dies over it."""
        number, future = next(self._numbers), asyncio.get_running_loop().create_future()
        if self.transport.is_closing():
            future.set_exception(Gone())
            return future
        self._asked[number] = future
        self.transport.write(_line({"number": number, "question": question}))
        return future


async def meet(door: socket.socket, link: Callable[[], Link]) -> asyncio.Server:
    """Take in the workers that come to `door`, as long as what is returned is kept."""
    return await asyncio.get_running_loop().create_unix_server(link, sock=door)


def attend(path: Path, answer: Callable[[Any], Any], parent: int) -> None:
    """Answer the server's questions until it is gone; does not return.

    Args:
        path: of the socket.
        answer: of a question, both what JSON can hold.
        parent: the process that starts workers. A worker ends with it and never before, or it
            would be started again while the server ends.
    """
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with contextlib.suppress(ConnectionError), socket.socket(socket.AF_UNIX) as way:
        way.connect(str(path))
        way.sendall(_line({"process": os.getpid()}))
        with way.makefile("rb") as lines:
            for line in lines:
                said = json.loads(line)
                given = answer(said["question"])
                way.sendall(_line({"number": said["number"], "answer": given}))
    threading.Event().wait()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
