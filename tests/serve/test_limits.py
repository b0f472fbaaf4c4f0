"""What a server lives through: too many, too long, too large, strangers, dying workers, its end."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from experiments.serving import wire
from experiments.shared.errors import InputError
from tests.serve.server import Server, serving

NAME = "/waves_smoke"
TOKEN = {"Authorization": "Bearer a secret"}


@pytest.fixture(scope="module")
def odd(odd_run, tmp_path_factory) -> Iterator[Server]:
    words = ("--workers", 2, "--queue", 8, "--timeout", 4, "--max-mb", 1, "--threads", 1)
    place = tmp_path_factory.mktemp("odd")
    with serving(place, odd_run, *words, environment={"SERVE_TOKEN": "a secret"}) as found:
        yield found


def ask(client: httpx.Client, text: str = "hello", **values) -> httpx.Response:
    return client.post(NAME, files={"text": ("a.txt", text.encode())}, data=values, headers=TOKEN)


def patiently(client: httpx.Client, text: str, **values) -> tuple[httpx.Response, int]:
    """As a client that heeds Retry-After; how often it was told to wait."""
    end, told = time.monotonic() + 120, 0
    while True:
        response = ask(client, text, **values)
        if response.status_code != 503:
            return response, told
        assert int(response.headers["retry-after"]) >= 1
        assert time.monotonic() < end, response.text
        told += 1
        time.sleep(0.3)


def test_a_full_queue_says_when_to_come_again(odd):
    together = threading.Barrier(12)

    def one(_: int) -> httpx.Response:
        together.wait()
        return ask(client, seconds=0.5)

    with odd.client() as client, ThreadPoolExecutor(12) as pool:
        found = list(pool.map(one, range(12)))
    told = [r.status_code for r in found]
    assert set(told) == {200, 503}
    assert told.count(503) <= 4
    full = next(r for r in found if r.status_code == 503)
    assert int(full.headers["retry-after"]) >= 1
    assert "queue is full" in full.json()["detail"]


def test_what_takes_too_long_is_ended_and_the_next_is_answered(odd):
    with odd.client() as client:
        response = ask(client, seconds=30)
        assert response.status_code == 504
        assert "more than 4 s" in response.json()["detail"]
        assert patiently(client, "next")[0].status_code == 200
    assert not odd.left()


def test_a_fault_of_the_program_is_told_without_its_inside(odd):
    with odd.client() as client:
        response = ask(client, then="fail")
    assert response.status_code == 500
    assert "as it was told" not in response.text
    assert "as it was told" in odd.log.read_text()


def test_200_requests_are_answered_though_a_worker_is_killed(odd):
    with odd.client() as client, ThreadPoolExecutor(16) as pool:
        work = [pool.submit(patiently, client, f"text {i}", seconds=0.02) for i in range(200)]
        while sum(job.done() for job in work) < 20:
            time.sleep(0.01)
        victim = odd.workers()[0]
        os.kill(victim, signal.SIGKILL)
        found = [job.result() for job in work]
    assert [r.status_code for r, _ in found] == [200] * 200
    import base64

    texts = [base64.b64decode(r.json()["files"][0]["data"]).decode() for r, _ in found]
    assert texts == [f"TEXT {i}" for i in range(200)]
    deadline = time.monotonic() + 60
    while len(odd.workers()) < 2:
        assert time.monotonic() < deadline, "the worker was not started again"
        time.sleep(0.2)
    assert victim not in odd.workers()
    assert not odd.left()


def test_a_request_that_kills_its_worker_is_told_so(odd):
    with odd.client() as client:
        response = ask(client, then="die")
        assert response.status_code == 503
        assert "died" in response.json()["detail"]
        assert patiently(client, "next")[0].status_code == 200


@pytest.mark.parametrize(
    "given", [{}, {"Authorization": "Bearer a"}, {"Authorization": "a secret"}]
)
def test_without_the_token_nothing_of_a_run_is_shown(odd, given):
    with odd.client(headers=given) as client:
        for path in ("/runs", f"{NAME}/about", f"{NAME}/examples/hello.txt", "/openapi.json"):
            response = client.get(path)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
        assert client.post(NAME, files={"text": ("a.txt", b"a")}).status_code == 401
        assert client.get("/").status_code == 200


def test_pages_of_others_cannot_use_it(odd):
    with odd.client(headers=TOKEN) as client:
        assert client.get("/runs").status_code == 200
        assert client.get("/runs", headers={"Origin": "http://evil.example"}).status_code == 403
        assert client.get("/runs", headers={"Host": "evil.example:8000"}).status_code == 421
        assert client.get("/runs", headers={"Origin": odd.address}).status_code == 200


def test_too_large_is_refused_whether_its_size_is_told_or_not(odd):
    def parts() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="text"; filename="a.txt"\r\n\r\n'
        for _ in range(30):
            yield b"x" * 100_000

    with odd.client(headers=TOKEN) as client:
        assert ask(client, "x" * 2_000_000).status_code == 413
        kind = {"content-type": "multipart/form-data; boundary=b"}
        with contextlib.suppress(httpx.WriteError):  # the server need not read to the end
            assert client.post(NAME, content=parts(), headers=kind).status_code == 413
        response = ask(client, "x" * 600_000)
        assert response.status_code == 413
        assert "at most 0.5 MB" in response.json()["detail"]
    assert not odd.left()


def test_without_a_short_place_for_sockets_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/" + "long" * 30)
    monkeypatch.setattr(wire, "SHORT", ("/nowhere",))
    with pytest.raises(InputError, match=r"at most 71 letters.*set a shorter TMPDIR"):
        wire.sockets_folder()


def test_sigterm_lets_those_end_that_have_begun(odd_run, tmp_path_factory):
    # A path in which no socket can lie: they lie elsewhere.
    place = tmp_path_factory.mktemp("t") / ("long" * 30)
    with serving(place, odd_run, "--threads", 1, "--timeout", 20) as found:
        answers: list[httpx.Response] = []
        with found.client() as client:
            work = threading.Thread(target=lambda: answers.append(ask(client, seconds=2.0)))
            work.start()
            time.sleep(0.7)
            children = psutil.Process(found.process.pid).children(recursive=True)
            found.process.send_signal(signal.SIGTERM)
            work.join()
        found.process.wait(timeout=30)
    assert answers[0].status_code == 200
    assert not [p for p in psutil.wait_procs(children, timeout=5)[1] if p.is_running()]
