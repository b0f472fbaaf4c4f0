"""A service's request and answer, as OpenAPI has them and as the page builds its form of them."""

from typing import Any

from pydantic import BaseModel

from experiments.serving.intake import uploads_of
from experiments.shared.service import Place


class MadeFile(BaseModel):
    name: str
    title: str
    type: str
    data: str  # base64


class Said(BaseModel):
    """What a request comes to: files, numbers by labels with units, tables, lines to know."""

    files: list[MadeFile]
    numbers: dict[str, float | int | str | None]
    tables: dict[str, dict[str, dict[str, float | None]]]
    notes: list[str]


class Refusal(BaseModel):
    """What is wrong, and the remedy; of a bad file in the words of the command line."""

    detail: str


RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": Said, "content": {"application/zip": {}}},
    **{
        status: {"model": Refusal, "description": text}
        for status, text in {
            401: "no token, or a wrong one",
            413: "larger than is taken",
            415: "a file of another kind",
            422: "a bad file or value",
            503: "the queue is full, or a worker died: Retry-After says when to send it again",
            504: "took too long",
        }.items()
    },
}


def body(request: type[BaseModel]) -> dict[str, Any]:
    """The multipart form of a request, for OpenAPI."""
    schema = request.model_json_schema()
    for name, upload in uploads_of(request).items():
        schema["properties"][name] = {
            "type": "string",
            "format": "binary",
            "description": f"{upload.about} ({', '.join(upload.suffixes)}; at most "
            f"{upload.megabytes:g} MB)",
        }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


def fields(request: type[BaseModel]) -> list[dict[str, Any]]:
    """The form's fields: name, kind, title, help, and their limits."""
    uploads, properties = uploads_of(request), request.model_json_schema()["properties"]
    found = []
    for name, said in properties.items():
        field = request.model_fields[name]
        entry: dict[str, Any] = {"name": name, "required": field.is_required()}
        entry["title"] = field.title or name.replace("_", " ").capitalize()
        entry["help"] = field.description or ""
        for mark in field.metadata:
            if isinstance(mark, Place):
                entry |= {"axis": mark.axis, "on": mark.on}
        if upload := uploads.get(name):
            entry |= {
                "kind": "file",
                "help": upload.about,
                "accept": ",".join(upload.suffixes),
                "megabytes": upload.megabytes,
            }
        else:
            entry |= option(said)
        found.append(entry)
    return found


def option(said: dict[str, Any]) -> dict[str, Any]:
    """An option's kind, default and limits, from its JSON schema."""
    kinds = [said, *(part for part in said.get("anyOf", []) if part.get("type") != "null")]
    said = {key: value for part in kinds for key, value in part.items()}
    if "enum" in said or "const" in said:
        kind = "choice"
    else:
        kind = {"boolean": "flag", "integer": "integer", "number": "number"}.get(
            said.get("type", ""), "text"
        )
    limits = {
        "minimum": said.get("minimum", said.get("exclusiveMinimum")),
        "maximum": said.get("maximum", said.get("exclusiveMaximum")),
    }
    return {
        "kind": kind,
        "default": said.get("default"),
        "choices": said.get("enum"),
        **{name: value for name, value in limits.items() if value is not None},
    }
