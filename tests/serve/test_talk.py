"""Conversations: a decision a line over a WebSocket, equal to `python -m multitrack.live`."""

import io
import json
import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
import yaml
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from multitrack import live
from tests.serve.server import Server, serving

SETTINGS = {"speakers": {"ANN": {"camera": "V1"}, "BOB": {"camera": "V2"}}, "wide": ["V3"]}
OPENING = json.dumps({"settings": SETTINGS})
LIMITS = ("--threads", 1, "--conversations", 3, "--idle", 3)


@pytest.fixture(scope="module")
def talking(runs, tmp_path_factory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("talk")
    token = {"SERVE_TOKEN": "a secret"}
    with serving(place, runs["multitrack"], *LIMITS, environment=token) as found:
        yield found


def begin(server: Server, token: str | None = "a secret", **options) -> ClientConnection:
    address = f"{server.address.replace('http', 'ws', 1)}/multitrack_smoke/live"
    given = {"Authorization": f"Bearer {token}"} if token else {}
    return connect(address, additional_headers=given, proxy=None, **options)


def wait_for(server: Server) -> None:
    """Until who answers is there again (1013: come again)."""
    for _ in range(300):
        with begin(server) as way:
            try:
                way.send(OPENING)
                way.recv(timeout=30)
                return
            except ConnectionClosed as told:
                if told.rcvd is None or told.rcvd.code != 1013:
                    raise
        time.sleep(0.2)
    raise AssertionError("nobody answers")


def lines(seed: int, turns: int = 6) -> list[str]:
    """Two people in turn, of whom sometimes one is a camera without a picture."""
    rng = np.random.default_rng(seed)
    found = []
    for turn, length in enumerate(rng.integers(20, 60, turns)):
        for tick in range(length):
            said = {"ANN": round(float(rng.uniform(0.5, 1)), 3)} if turn % 2 else {"BOB": 0.9}
            found.append(json.dumps(said | ({"off": ["V2"]} if tick % 17 == 16 else {})))
    return found


def ended(way: ClientConnection) -> tuple[int, str, str]:
    """Code and reason with which the server ends it, and what it said last."""
    said = ""
    try:
        while True:
            said = way.recv(timeout=30)
    except ConnectionClosed as told:
        return told.rcvd.code, told.rcvd.reason, said


def by_command(said: list[str], run, folder, monkeypatch, capsys) -> list[str]:
    (folder / "s.yaml").write_text(yaml.safe_dump(SETTINGS))
    words = ["live", "--settings", str(folder / "s.yaml"), "--checkpoint", str(run)]
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(said)))
    live.main()
    return capsys.readouterr().out.splitlines()


def test_conversations_side_by_side_are_those_of_the_command_line(
    talking, runs, tmp_path, monkeypatch, capsys
):
    both = lines(0), ["0.9 0", "", *lines(1)]
    with begin(talking) as one, begin(talking) as other:
        for way in (one, other):
            way.send(OPENING)
            told = json.loads(way.recv())
            assert told == {"speakers": ["ANN", "BOB"], "cameras": ["V1", "V2", "V3"]}
        found: dict[int, list[str]] = {0: [], 1: []}
        for number, way in ((0, one), (1, other)):
            for line in both[number][:50]:
                way.send(line)
        for number, way in ((0, one), (1, other)):
            way.send("\n".join(both[number][50:]))
            wanted = sum(bool(line) for line in both[number])
            found[number] = [way.recv(timeout=30) for _ in range(wanted)]
    for number in found:
        said = by_command(both[number], runs["multitrack"], tmp_path, monkeypatch, capsys)
        assert found[number] == said
        assert sum(json.loads(line)["cut"] for line in said) > 2


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (["{"], "expected JSON"),
        (["{}"], "settings: field required"),
        ([json.dumps({"settings": {"speakers": {}}})], "expected 1 to"),
        ([json.dumps({"settings": {"speker": 1}})], "expected keys among"),
        ([json.dumps({"settings": SETTINGS, "lag": -1})], "lag: "),
        ([json.dumps({"settings": SETTINGS, "checkpoint": "/etc/passwd"})], "checkpoint: extra"),
        ([OPENING, "0 1", "0.1"], "line 2: '0.1': expected 2 numbers"),
        ([OPENING, '{"EVE": 1}'], "line 1: 'EVE': expected one of"),
        ([OPENING, b"\x00"], "expected text"),
    ],
)
def test_what_is_wrong_ends_it_in_the_words_of_the_command_line(talking, sent, words):
    with begin(talking) as way:
        for message in sent:
            way.send(message)
        code, _, said = ended(way)
    assert words in json.loads(said)["detail"]
    assert code == 1008


def test_silence_size_and_number_have_their_limits(talking):
    with begin(talking) as one, begin(talking) as other, begin(talking) as third:
        for way in (one, other, third):
            way.send(OPENING)
            way.recv()
        with begin(talking) as fourth:
            assert ended(fourth)[:2] == (1013, "3 talk already; come again")
        other.send("0" * 100_000)
        assert ended(other)[0] == 1009
        assert ended(one)[:2] == (1001, "no line came for 3 s")


@pytest.mark.parametrize(
    ("token", "options", "status"),
    [
        (None, {}, 401),
        ("wrong", {}, 401),
        ("a secret", {"origin": "http://evil.example"}, 403),
    ],
)
def test_strangers_are_not_let_in(talking, token, options, status):
    with pytest.raises(InvalidStatus) as told:
        begin(talking, token, **options)
    assert told.value.response.status_code == status


def test_a_browser_gives_the_token_as_a_protocol(talking):
    options = {"subprotocols": ["bearer", "YSBzZWNyZXQ"]}
    with begin(talking, None, **options) as way:
        assert way.subprotocol == "bearer"


def test_who_answers_is_started_again(talking):
    with begin(talking) as way:
        way.send(OPENING)
        way.recv()
        for process in talking.workers():
            os.kill(process, signal.SIGKILL)
        way.send("0 1")
        assert ended(way)[0] == 1011
    wait_for(talking)
    with begin(talking) as way:
        way.send(OPENING)
        assert "cameras" in json.loads(way.recv())


def test_sigterm_ends_it_with_a_word(talking):
    wait_for(talking)
    with begin(talking) as way:
        way.send(OPENING)
        way.recv()
        for line in lines(2)[:20]:
            way.send(line)
            assert json.loads(way.recv())["camera"]
        talking.process.send_signal(signal.SIGTERM)
        assert ended(way)[0] == 1012
    assert talking.process.wait(timeout=60) is not None
