"""Conversations over a WebSocket: an opening, then an answer to each line as it comes."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from experiments.serving.wire import Gone, Link, meet

LARGEST = 65_536  # bytes of a message
# Of RFC 6455 and its registry.
DONE, AWAY, BAD, FAULT, AGAIN = 1000, 1001, 1008, 1011, 1013


@dataclass
class Patience:
    """What a conversation may take.

    Args:
        conversations: at once, of a run.
        idle: seconds without a line, after which it is over.
        seconds: of work on one line.
    """

    conversations: int = 16
    idle: float = 60.0
    seconds: float = 120.0


class Over(Exception):
    """A conversation has come to its end: code and reason of the WebSocket's close."""

    def __init__(self, code: int, reason: str):
        super().__init__(reason)
        self.code, self.reason = code, reason


class Talk:
    """The server's side of all conversations of one run.

    Args:
        door: where the process that answers is met: a listening socket.
        patience: of this run.
    """

    def __init__(self, door: socket.socket, patience: Patience):
        self.door, self.patience = door, patience
        self.link: Link | None = None
        self.numbers, self.open = itertools.count(), 0

    async def start(self) -> None:
        """Take in the process that answers, from now on."""
        self.server = await meet(self.door, lambda: Link(self.met, self.lost))

    def met(self, link: Link) -> None:
        self.link = link

    def lost(self, link: Link) -> None:
        if self.link is link:
            self.link = None

    async def hold(self, way: WebSocket) -> None:
        """One conversation, from its opening to its end."""
        protocols = way.headers.get("sec-websocket-protocol", "")
        await way.accept("bearer" if protocols.startswith("bearer") else None)
        try:
            if self.open >= self.patience.conversations:
                raise Over(AGAIN, f"{self.open} talk already; come again")
            if self.link is None:
                raise Over(AGAIN, "who answers is not ready; come again")
            self.open += 1
            try:
                await self.talk(way, self.link, next(self.numbers))
            finally:
                self.open -= 1
        except WebSocketDisconnect:
            return
        except Gone:
            over = Over(FAULT, "who answers died; begin again")
        except Over as error:
            over = error
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it has gone meanwhile
            if over.code in (BAD, FAULT):
                await self.say(way, json.dumps({"detail": over.reason}))
            reason = over.reason.encode()[:120].decode(errors="ignore")
            await way.close(over.code, reason)

    async def talk(self, way: WebSocket, link: Link, number: int) -> None:
        """Ask for an answer to each line, in turn."""
        try:
            said = await self.ask(link, {"of": number, "opening": opening(await self.hear(way))})
            await self.say(way, json.dumps(said["told"]))
            while True:
                for line in (await self.hear(way)).splitlines():
                    said = await self.ask(link, {"of": number, "line": line})
                    if said["said"] is not None:
                        await self.say(way, said["said"])
        finally:
            if not link.transport.is_closing():
                link.ask({"of": number})  # what it keeps of it may go

    async def ask(self, link: Link, question: dict[str, Any]) -> dict[str, Any]:
        """The answer.

        Raises:
            Over: there is none, and why.
        """
        try:
            async with asyncio.timeout(self.patience.seconds):
                said = await link.ask(question)
        except TimeoutError:
            os.kill(link.process, signal.SIGKILL)  # it is started again
            raise Over(FAULT, f"a line took more than {self.patience.seconds:g} s") from None
        if "wrong" in said:
            raise Over(BAD, said["wrong"])
        if "fault" in said:
            raise Over(FAULT, said["fault"])
        return said

    async def hear(self, way: WebSocket) -> str:
        """The next message; `Over` where none comes, or one that is no text."""
        try:
            async with asyncio.timeout(self.patience.idle):
                message = await way.receive()
        except TimeoutError:
            raise Over(AWAY, f"no line came for {self.patience.idle:g} s") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        if (text := message.get("text")) is None:
            raise Over(BAD, "expected text, got bytes")
        return text

    async def say(self, way: WebSocket, text: str) -> None:
        """Send it; `Over` if the other side takes nothing in."""
        try:
            async with asyncio.timeout(self.patience.idle):
                await way.send_text(text)
        except TimeoutError:
            raise Over(AWAY, "the answers are not read") from None


def opening(text: str) -> Any:
    """The first message, as JSON; `Over` if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Over(BAD, f"the first message: expected JSON ({error})") from None
