"""Starts the workers and the server, and ends them: what is being answered is answered first."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import litserve
from fastapi import FastAPI
from litserve.connector import _Connector
from litserve.utils import WorkerSetupStatus
from starlette.formparsers import MultiPartParser
from starlette.middleware.gzip import GZipMiddleware

from experiments.running.restore import service_of
from experiments.serving import scratch
from experiments.serving.about import names_of
from experiments.serving.dispatch import Dispatch, Limits
from experiments.serving.doors import Served, install
from experiments.serving.guard import Guard
from experiments.serving.talk import LARGEST, Patience, Talk
from experiments.serving.talker import Talker
from experiments.serving.wire import listening, sockets_folder
from experiments.serving.worker import FAILED, Worker
from experiments.shared import checkpoints
from experiments.shared.errors import InputError
from experiments.shared.service import Conversation, Service

SPOOLED = 1 << 20  # bytes of an upload in memory; LitServe, for its own routes, keeps all there


def serve(given: argparse.Namespace) -> None:
    """Serve the runs until SIGINT or SIGTERM.

    Raises:
        InputError: a run that cannot be served.
    """
    runs = names_of(given.runs)
    services = {name: service_of(run) for name, run in runs.items()}
    sockets = sockets_folder()
    for run in runs.values():
        checkpoints.resolve(run)
    room = scratch.new()
    quiet()
    threads = given.threads or share_of_cores(given.workers * len(runs))
    batches = {name: batch_of(name, service, given) for name, service in services.items()}
    apis: list[Worker | Talker] = []
    served = []
    limits = Limits(given.queue, given.timeout)
    patience = Patience(given.conversations, given.idle, given.timeout)
    for count, (name, run) in enumerate(runs.items()):
        service, doors = services[name], (sockets / f"jobs-{count}", sockets / f"live-{count}")
        apis.append(Worker(name, run, batches[name], room.disk, doors[0], threads))
        dispatch = Dispatch(listening(doors[0]), limits, given.workers, batches[name])
        talk = None
        if isinstance(service, Conversation):
            apis.append(Talker(name, run, room.disk, doors[1], threads))
            talk = Talk(listening(doors[1]), patience)
        served.append(Served(name, run, service, dispatch, room, talk))
    server = litserve.LitServer(
        apis,
        accelerator="cpu" if given.devices == "cpu" else "auto",
        devices=given.devices if given.devices in ("auto", "cpu") else int(given.devices),
        workers_per_device={
            api.api_path: given.workers if isinstance(api, Worker) else 1 for api in apis
        },
        timeout=False,  # ours: see dispatch, which has the queue as well
        restart_workers=True,
    )
    for one in served:
        one.dispatch.workers *= len(server.devices)
    server.monitor_internal = 0.5  # seconds between looks at the workers
    server.uvicorn_graceful_timeout = round(given.timeout) + 5
    MultiPartParser.spool_max_size = SPOOLED
    install(server.app, served)
    # Sounds and pictures do not get smaller, and it would be done where all requests wait.
    server.app.user_middleware = [
        m for m in server.app.user_middleware if m.cls is not GZipMiddleware
    ]
    server.app.add_middleware(
        Guard,
        token=given.token,
        largest=int(given.max_mb * 1e6),
        loopback=given.host == "127.0.0.1",
    )
    server.app.router.lifespan_context = announced(server, given.host, given.port, served)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ending(os.getpid()))
    try:
        server.run(
            host=given.host,
            port=given.port,
            num_api_servers=1,
            log_level="warning",
            generate_client_file=False,
            ws_max_size=LARGEST,
        )
    except KeyboardInterrupt:
        pass  # told to end before it had begun
    except RuntimeError as error:
        failed = room.disk / FAILED
        if not failed.is_file():
            raise
        raise InputError(failed.read_text()) from error
    finally:
        for process in getattr(server, "inference_workers", []):
            process.kill()
        room.remove()


def batch_of(name: str, service: Service, given: argparse.Namespace) -> int:
    """Requests that are computed at once: on a CPU one unless asked, so that none waits for others.

    Raises:
        InputError: more than the service can.
    """
    if given.batch is None:
        return 1 if given.devices == "cpu" or find_device() == "cpu" else service.batch
    if given.batch > service.batch:
        raise InputError(
            f"--batch {given.batch}: {name} computes at most {service.batch} at once; give less"
        )
    return given.batch


def find_device() -> str:
    """The kind of device that LitServe finds."""
    return _Connector(accelerator="auto").accelerator


def ending(process: int) -> Callable[..., None]:
    """What a signal does to the process that started all; uvicorn's has an end of its own."""

    def end(*_: Any) -> None:
        if os.getpid() == process:
            raise KeyboardInterrupt

    return end


def share_of_cores(processes: int) -> int:
    """Threads of each worker, so that together they have as many as there are cores."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (usable or 1) // processes)


def quiet() -> None:
    """LitServe's own lines are for those who write workers."""
    for name in ("litserve", "litserve.server", "litserve.loops.loops"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def announced(server: litserve.LitServer, host: str, port: int, served: list[Served]) -> Any:
    """The life span of the process that listens; the address is told once all workers are ready.

    LitServe's own waits on queues that no worker of ours uses.
    """

    @contextlib.asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        for one in served:
            await one.start()
        task = asyncio.create_task(tell(server, host, port, [one.name for one in served]))
        watch = asyncio.create_task(end_with(os.getppid()))
        yield
        task.cancel()
        watch.cancel()

    return life


async def tell(server: litserve.LitServer, host: str, port: int, names: list[str]) -> None:
    """Print the address as soon as it answers and all workers are ready."""
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    while not all(v == WorkerSetupStatus.READY for v in server.workers_setup_status.values()):
        await asyncio.sleep(0.1)
    while True:
        try:
            _, stream = await asyncio.open_connection(near, port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            stream.close()
            break
    address = f"http://{f'[{near}]' if ':' in near else near}:{port}"
    pages = ", ".join(f"{address}/{name}/" for name in names)
    print(f"ready: {pages} (API: {address}/docs; Ctrl-C ends it)", flush=True)


async def end_with(parent: int) -> None:
    """End this process when the one that started it is gone without a word."""
    while os.getppid() == parent:
        await asyncio.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
