"""From a form that a stranger sends to a folder with files of safe names and checked sizes."""

import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile

from experiments.shared.service import Upload

UNPACKED = 1_000_000_000  # bytes at most that an archive (.npz) may say it becomes
LONGEST = 80  # letters of a file's name that are kept


class Refused(Exception):
    """A request that is not passed on: an HTTP status and what to do."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


def uploads_of(request: type[BaseModel]) -> dict[str, Upload]:
    """The files among the fields of a request."""
    return {
        name: mark
        for name, field in request.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Upload)
    }


def take(form: FormData, request: type[BaseModel], folder: Path) -> dict[str, Any]:
    """Put the form's files into `folder`; the values of `request`, files as paths below it.

    Raises:
        Refused: a file of another kind, too large or empty, or a value out of its limits.
    """
    files, values = uploads_of(request), {}
    for name in form:
        found = [value for value in form.getlist(name) if value != ""]
        if len(found) > 1:
            raise Refused(422, f"{name}: expected one value, got {len(found)}")
        for value in found:
            if name not in files and isinstance(value, UploadFile):
                raise Refused(422, f"{name}: expected no file here; files are {', '.join(files)}")
            if name in files and not isinstance(value, UploadFile):
                raise Refused(422, f"{name}: expected a file, got text; send multipart/form-data")
            if not isinstance(value, UploadFile):
                values[name] = value
            elif value.filename:  # a browser sends an empty one for what was not picked
                values[name] = str(keep(value, name, files[name], folder))
    try:
        request.model_validate(values)
    except ValidationError as error:
        raise Refused(422, "; ".join(map(line, error.errors()))) from error
    return values


def line(error: Any) -> str:
    """One of pydantic's errors, as the field, what was expected and what was got."""
    place = ".".join(map(str, error["loc"])) or "the request"
    got = error["input"]
    beside = f", got {got!r}"[:200] if isinstance(got, str | int | float) else ""
    return f"{place}: {error['msg'][:1].lower()}{error['msg'][1:]}{beside}"


def keep(upload: UploadFile, field: str, wanted: Upload, folder: Path) -> Path:
    """Write an upload below `folder`, under a name in which nothing leads elsewhere.

    Raises:
        Refused: another kind of file, an empty one, or one that is too large.
    """
    name = safe(upload.filename or "", field)
    if not name.lower().endswith(wanted.suffixes):
        raise Refused(
            415, f"{field}: expected a file that ends in {', '.join(wanted.suffixes)}, got {name}"
        )
    (folder / field).mkdir()
    place = folder / field / name
    with place.open("wb") as stream:
        shutil.copyfileobj(upload.file, stream, 1 << 20)
    size = place.stat().st_size
    if size > wanted.megabytes * 1e6:
        raise Refused(
            413,
            f"{field}: expected at most {wanted.megabytes:g} MB, got {size / 1e6:.1f} MB; the "
            "command line takes more",
        )
    if size == 0:
        raise Refused(422, f"{field}/{name}: the file is empty (0 bytes)")
    refuse_bombs(place, field)
    return place.relative_to(folder)


def safe(name: str, field: str) -> str:
    """The last part of a file's name, letters, digits and `-_.` alone, never hidden."""
    last = re.split(r"[/\\]", name)[-1]
    last = re.sub(r"[^\w.-]+", "_", last).lstrip(".-")
    stem, dot, suffix = last.rpartition(".")
    kept = f"{stem[:LONGEST]}{dot}{suffix[:16]}".encode()[:200].decode(errors="ignore")
    return kept or field


def refuse_bombs(file: Path, field: str) -> None:
    """Raise Refused at an archive that unpacks to more than can be meant."""
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            whole = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # what reads it says what is wrong
    if whole > UNPACKED:
        raise Refused(
            413,
            f"{field}: unpacked it would have {whole / 1e6:.0f} MB, expected at most "
            f"{UNPACKED / 1e6:.0f}",
        )
