"""The routes: a page and an API for each served run, besides LitServe's own health and info."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from experiments.serving import schema
from experiments.serving.about import about
from experiments.serving.dispatch import FULL, Dispatch
from experiments.serving.intake import Refused, take
from experiments.serving.packing import ANSWER, Job, kind_of
from experiments.serving.scratch import LITTLE, Scratch
from experiments.serving.talk import Talk
from experiments.serving.talker import path_of
from experiments.serving.worker import EXAMPLES
from experiments.shared.service import Conversation, Service

PAGES = Path(__file__).with_name("pages")
STATIC = {path.name: path for path in PAGES.iterdir() if path.suffix in (".js", ".css")}
T = TypeVar("T")
OURS = ("/", "/docs", "/docs/oauth2-redirect", "/redoc")  # FastAPI's load a foreign host's scripts


@dataclass(frozen=True)
class Served:
    """One run that is served: its service, here for its words alone, and where its jobs go."""

    name: str
    run: Path
    service: Service
    dispatch: Dispatch
    scratch: Scratch
    talk: Talk | None = None

    async def start(self) -> None:
        """Take in its workers."""
        await self.dispatch.start()
        if self.talk:
            await self.talk.start()


def install(app: FastAPI, served: list[Served]) -> None:
    """Put our routes in the place of those that LitServe and FastAPI made."""
    named = {path for one in served for path in (f"/{one.name}", path_of(one.name))}
    app.router.routes = [r for r in app.router.routes if getattr(r, "path", "") not in
                         {*OURS, *named}]  # fmt: skip
    app.title = "Served runs"
    pages(app, served)
    for one in served:
        one_run(app, one)
        if one.talk:
            app.add_api_websocket_route(f"/{one.name}/live", conversation(one.talk))


def pages(app: FastAPI, served: list[Served]) -> None:
    """The pages, which are the same for all, and what they are made of."""

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return FileResponse(PAGES / "page.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return FileResponse(PAGES / "docs.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404, f"there is no {name[:100]}")
        return FileResponse(STATIC[name])

    @app.get("/runs")
    async def runs() -> dict[str, dict[str, str]]:
        """The served runs: name, title, what they do."""
        return {s.name: {"title": s.service.title, "about": s.service.about} for s in served}

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


def one_run(app: FastAPI, served: Served) -> None:
    """The page, the API and the examples of one run."""
    name, request_type = served.name, served.service.request
    uploads = schema.uploads_of(request_type)
    folder = served.scratch.disk / name

    @app.get(f"/{name}/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGES / "page.html")

    @app.get(f"/{name}", include_in_schema=False)
    async def without_slash() -> Response:
        return RedirectResponse(f"/{name}/")

    @app.get(f"/{name}/about", tags=[name])
    async def said() -> dict[str, Any]:
        """What the run is, what a request holds, and which examples there are."""
        examples = folder / EXAMPLES
        return {
            "name": name,
            "title": served.service.title,
            "about": served.service.about,
            "summary": about(served.run),
            "fields": schema.fields(request_type),
            "examples": json.loads(examples.read_text()) if examples.is_file() else {},
            "live": live(served.service),
        }

    @app.get(f"/{name}/examples/{{file}}", tags=[name])
    async def example(file: str) -> Response:
        """A file that an example names."""
        known = {} if not folder.is_dir() else {p.name: p for p in folder.iterdir()}
        if file not in known or file == EXAMPLES:
            raise HTTPException(404, f"there is no example {file[:100]}")
        return FileResponse(known[file], media_type=kind_of(known[file]))

    @app.post(
        f"/{name}",
        tags=[name],
        summary=served.service.title,
        description=served.service.about,
        responses=schema.RESPONSES,
        openapi_extra=schema.body(request_type),
    )
    async def predict(request: Request) -> Response:
        if served.dispatch.full():
            return busy(served.dispatch, FULL)
        sent = int(request.headers.get("content-length", LITTLE + 1))  # the guard read it
        place = served.scratch.place(sent)
        try:
            async with request.form(max_files=len(uploads), max_fields=64) as form:
                values = await aside(sent, take, form, request_type, place)
            wants_zip = "application/zip" in request.headers.get("accept", "")
            kind = "application/zip" if wants_zip else "application/json"
            outcome = await served.dispatch.ask(Job(str(place), values, kind))
            if outcome.status == 503:
                return busy(served.dispatch, outcome.message)
            if outcome.status != 200:
                return refusal(outcome.status, outcome.message)
            made = place / ANSWER[kind]
            content = await aside(made.stat().st_size, made.read_bytes)
            return Response(content, media_type=kind, headers={"Server-Timing": outcome.timing()})
        except Refused as error:
            return refusal(error.status, error.message)
        except MultiPartException as error:
            return refusal(422, f"the form cannot be read ({error.message})")
        finally:
            await aside(sent, shutil.rmtree, place, ignore_errors=True)


async def aside(size: int, work: Callable[..., T], *given: Any, **options: Any) -> T:
    """What `work` returns; where it moves many bytes, in a thread, while others are answered.

    A thread costs more than moving a few: it is woken, and takes turns with the one that asked.
    """
    if size <= LITTLE:
        return work(*given, **options)
    return await asyncio.to_thread(work, *given, **options)


def conversation(talk: Talk) -> Callable[[WebSocket], Awaitable[None]]:
    """The route of a run's conversations."""

    async def hold(way: WebSocket) -> None:
        await talk.hold(way)

    return hold


def live(service: Service) -> dict[str, Any] | None:
    """What one should know to talk to a run; None where that cannot be."""
    if not isinstance(service, Conversation):
        return None
    return {
        "about": service.talk,
        "opening": service.opening.model_json_schema(),
        "openings": service.openings(),
    }


def refusal(status: int, message: str, **headers: str) -> Response:
    return JSONResponse({"detail": message}, status, headers)


def busy(dispatch: Dispatch, message: str) -> Response:
    return JSONResponse({"detail": message}, 503, {"Retry-After": dispatch.retry_after()})
