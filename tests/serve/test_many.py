"""Each experiment under load: 16 clients are answered though its worker is killed meanwhile.

What comes back is what the command line writes. Requests are as small as they can be.
"""

import base64
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import httpx
import psutil
import pytest
import torch

from tests.serve.little import COMMANDS, form, little
from tests.serve.test_answers import same

REQUESTS, CLIENTS, KINDS = 200, 16, 4  # KINDS: different requests
TOLD = 2  # times at most that a client is told to come again; it waits in the queue otherwise
# Half a second of work and more a request, of pictures above all: in CI fewer are asked for.
DEAR = {"codec": 40, "creative_agent": 24, "multitrack": 48}
CASES = [
    *(pytest.param(e, DEAR.get(e, REQUESTS), marks=pytest.mark.slow) for e in COMMANDS),
    *(pytest.param(e, REQUESTS, marks=pytest.mark.slow_faults) for e in DEAR),
]


@pytest.fixture(scope="module")
def frames(client, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("frames") / "all.npz"
    file.write_bytes(client.get("/molecular_flow_smoke/examples/cold.npz").content)
    return file


def spent(workers: list[int]) -> dict[int, float]:
    """Seconds of processor time that each process has had."""
    times = {pid: psutil.Process(pid).cpu_times() for pid in workers}
    return {pid: one.user + one.system for pid, one in times.items()}


def by_command(experiment: str, run: Path, values: dict, folder: Path, monkeypatch) -> dict:
    """What its command writes in this process: {name: content}."""
    module, words = COMMANDS[experiment]
    told = words.format(run=run, out="out", **values).split()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [module, *told])
    (folder / "out").mkdir()
    name = f"{module}.__main__" if module == "jingle.codec" else module
    import_module(name).main()
    return {file.name: file.read_bytes() for file in (folder / "out").iterdir()}


def patiently(client: httpx.Client, name: str, values: dict, folder: Path) -> tuple:
    """The answer, as a client gets it that heeds Retry-After, and how often it was told to."""
    told = 0
    while True:
        files, others = form(values, folder)
        response = client.post(f"/{name}", files=files, data=others)
        if response.status_code != 503 or told == TOLD:
            return response, told
        told += 1
        time.sleep(int(response.headers["retry-after"]))


@pytest.mark.parametrize(("experiment", "count"), CASES)
def test_every_request_is_answered_as_by_the_command_line_though_a_worker_is_killed(
    experiment, count, runs, server, frames, tmp_path, monkeypatch, capsys
):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the server's, so that the numbers are the same to the bit
    asked, wanted = [], []
    for kind in range(KINDS):
        folder = tmp_path / str(kind)
        folder.mkdir()
        values = little(experiment, kind, folder, frames)
        asked.append((values, folder))
        wanted.append(by_command(experiment, runs[experiment], values, folder, monkeypatch))
    torch.set_num_threads(threads)
    name = f"{experiment}_smoke"
    with server.client() as client, ThreadPoolExecutor(CLIENTS) as pool:
        client.timeout = 600
        before = spent(server.workers())
        work = [pool.submit(patiently, client, name, *asked[i % KINDS]) for i in range(count)]
        while sum(job.done() for job in work) < count // 10:
            time.sleep(0.01)
        after = spent(list(before))
        victim = max(before, key=lambda pid: after[pid] - before[pid])
        os.kill(victim, signal.SIGKILL)
        found = [job.result() for job in work]
    assert [response.status_code for response, _ in found] == [200] * count
    assert 1 <= sum(told for _, told in found) <= CLIENTS  # those that the worker had, and no other
    for number, (response, _) in enumerate(found):
        made = {f["name"]: base64.b64decode(f["data"]) for f in response.json()["files"]}
        theirs = wanted[number % KINDS]
        both = set(made) & set(theirs) - {
            "piece.html",
            "piece.json",
            "again.json",
        }  # say when, where
        assert both
        assert all(same(made[file], theirs[file], file) for file in both)
    assert victim not in server.workers()
    assert not server.left()
