"""In front of every route: who comes in, with how much, and what a browser may do with a page."""

import base64
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class TooLarge(Exception):
    """A body that goes on beyond the limit."""


class Guard:
    """ASGI middleware: bearer token, size of a body, foreign pages, headers.

    Args:
        app: what is behind it.
        token: without it in `Authorization: Bearer`, only pages and health are shown.
        largest: bytes of a request's body.
        loopback: the server listens to this machine alone, so other names for it are a trick of
            a page that makes a browser ask it (DNS rebinding).
    """

    def __init__(self, app: Any, token: str | None, largest: int, loopback: bool):
        self.app, self.token, self.largest, self.loopback = app, token, largest, loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        status, message = self.refusal(scope, headers)
        if status:
            await refuse(scope, send, status, message)
            return
        seen, begun = 0, False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.largest:
                raise TooLarge
            return message

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                own = {k.lower() for k, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (k.encode(), v.encode())
                        for k, v in HEADERS.items()
                        if k.encode() not in own
                    ),
                ]
            await send(message)

        try:
            await self.app(scope, counted, with_headers)
        except TooLarge:
            if not begun:
                await refuse(scope, send, 413, self.too_large())

    def refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str]:
        """A status and a message for what does not come in; 0 for what does."""
        host = headers.get("host", "")
        if self.loopback and urlsplit(f"//{host}").hostname not in LOOPBACK:
            return 421, f"expected one of {', '.join(LOOPBACK)} as the host, got {host[:100]!r}"
        origin = headers.get("origin")
        if origin and urlsplit(origin).netloc != host:
            return 403, f"expected a page of this server, got one of {origin[:100]}"
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > self.largest:
            return 413, self.too_large()
        if self.token and not is_open(scope["path"]):
            given = headers.get("authorization", "")
            if not given and scope["type"] == "websocket":
                given = of_protocols(headers.get("sec-websocket-protocol", ""))
            if not secrets.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
                return 401, "expected the server's token, as the header Authorization: Bearer TOKEN"
        return 0, ""

    def too_large(self) -> str:
        return (
            f"expected at most {self.largest / 1e6:g} MB in a request; --max-mb allows more, and "
            "the command line everything"
        )


def of_protocols(text: str) -> str:
    """The header Authorization of a WebSocket's subprotocols `bearer, TOKEN`, TOKEN in base64url.

    A browser can set no header there, and not every token is a protocol's name as it is.
    """
    kind, _, token = (part.strip() for part in text.partition(","))
    try:
        return (
            f"Bearer {base64.urlsafe_b64decode(token + '==').decode()}" if kind == "bearer" else ""
        )
    except ValueError:
        return ""


def is_open(path: str) -> bool:
    """Whether a path is for everyone: pages without data of a run, and whether all is well."""
    return path in ("/", "/docs", "/health") or path.startswith("/static/") or path.endswith("/")


async def refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    kind = "http"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": message[:120]})
            return
        kind = "websocket.http"
    body = json.dumps({"detail": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 413:
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": body})
