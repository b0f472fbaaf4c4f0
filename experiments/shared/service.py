"""What an experiment tells the suite so that its runs can be served: one protocol, and its words.

A request is a pydantic model: its options carry their limits, its files are paths that `Upload`
describes. What a service makes are files in a folder, numbers and lines, as its command line does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    """Base of every service's request: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Upload:
    """Beside a request's `Path`: what file it is.

    Args:
        suffixes: with their dot, in small letters.
        megabytes: the largest file that is taken, in units of 1,000,000 bytes.
        about: for people, in a few words.
    """

    suffixes: tuple[str, ...]
    megabytes: float
    about: str


@dataclass(frozen=True)
class Place:
    """Beside an integer: it is a row or a column of the picture that the upload `on` is."""

    axis: str  # "row" or "column"
    on: str


@dataclass(frozen=True)
class Made:
    """One file of an answer: its path below the request's folder, and what it shows."""

    path: Path
    title: str


@dataclass
class Answer:
    """What a request comes to.

    Args:
        files: in the order in which a person wants them; sounds with a common time axis together.
        numbers: {label with unit: value}.
        tables: {title: {row: {column: value}}}.
        notes: what was done to the input, or should be known of the output.
    """

    files: list[Made]
    numbers: dict[str, float | int | str | None] = field(default_factory=dict)
    tables: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Network:
    """What of a model is exported: a module of tensors, and a real batch for it.

    Args:
        module: in eval mode; takes `inputs` in order, returns a tensor or a tuple of them.
        inputs: {name: tensor}, of real data.
        dynamic: {input: {axis: name}}, axes that may be of another size.
        tolerance: of every value's difference to eager, as a share of it and of a usual value.
    """

    module: Any
    inputs: dict[str, Any]
    dynamic: dict[str, dict[int, str]] = field(default_factory=dict)
    tolerance: float = 1e-4


class Service(Protocol):
    """How a run is put to use by a program or a person; an experiment names it as `serve`.

    Reading, computing and writing are apart, so that several requests can be computed as one. What
    a user can mend is an InputError, in the words of the command line. Paths are relative to the
    request's folder, which is the current one while a request is read and written.
    """

    title: str
    about: str  # a sentence or two
    request: type[Request]
    batch: int  # requests that `compute` may be given at once; 1: it writes into the folder `out`

    def open(self, run: Path, module: Any, data: Any) -> None:
        """Take the trained module (eval mode, on its device) and the datamodule of the run."""

    def examples(self, folder: Path) -> dict[str, dict[str, Any]]:
        """Write example files into `folder`: {label: {field of the request: value or file name}}.

        They are made by the experiment's embedded corpus.
        """

    def read(self, request: Any) -> Any:
        """What `compute` needs."""

    def compute(self, items: list[Any]) -> list[Any]:
        """An outcome for each item; none depends on another item.

        For a service whose `batch` is 1 the one item's folder is the current one.
        """

    def write(self, item: Any, outcome: Any, out: Path) -> Answer:
        """Write the outcome into the folder `out`, which is there."""

    def networks(self) -> dict[str, Network | str]:
        """What `experiments.export` writes; for a part that cannot be exported, why."""


@runtime_checkable
class Conversation(Protocol):
    """What a service has besides if one also talks to it while something goes on, line by line.

    It is the WebSocket /NAME/live. One process has all conversations of a run, so that a line is to
    be answered within milliseconds.
    """

    opening: type[Request]  # the first message, as JSON
    talk: str  # what a line is, and what answers it; a sentence or two

    def openings(self) -> dict[str, dict[str, Any]]:
        """Examples: {label: an opening}, for the page."""

    def begin(self, opening: Any) -> tuple[dict[str, Any], Callable[[str], str | None]]:
        """What is told at first, and what answers a line: None, and nothing is said.

        An InputError, here or of a line, ends the conversation in the command line's words.
        """
