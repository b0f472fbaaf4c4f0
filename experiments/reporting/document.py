"""A document of a few kinds of blocks; markdown.py and page.py write it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A table cell; `kind` is good, bad, quiet or empty, its colour; `note` is small print."""

    text: str
    kind: str = ""
    link: str = ""
    note: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading; what stands under one of level 2 can be folded away, and is unless `open`."""

    text: str
    level: int = 2
    open: bool = True


@dataclass(frozen=True)
class Text:
    """A paragraph; `kind` is empty, note, warning, good or bad."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells; the columns in `words` are text and set to the left, the others numbers.

    Folded away under `summary`, if there is one.
    """

    head: Sequence[Cell | str]
    rows: Sequence[Sequence[Cell | str]]
    words: Collection[int] = (0,)
    caption: str = ""
    summary: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture; `plot` ones are drawn by the report and may be inverted in dark mode."""

    path: Path
    caption: str = ""
    plot: bool = True


@dataclass(frozen=True)
class Sound:
    path: Path


@dataclass(frozen=True)
class Code:
    """Preformatted text, folded away under `summary` if there is one."""

    text: str
    summary: str = ""


@dataclass(frozen=True)
class Facts:
    """A row of name-and-value tiles."""

    items: Sequence[tuple[str, Cell | str]]


@dataclass(frozen=True)
class Curves:
    """Curves to look at one by one: hover, toggle, scale; `data` is what explore.js takes.

    Pages alone show it: Markdown has the pictures.
    """

    data: dict[str, Any]


Block = Heading | Text | Table | Picture | Sound | Code | Facts | Curves


@dataclass
class Document:
    title: str
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        self.blocks.extend(blocks)


def cell(value: Cell | str) -> Cell:
    if isinstance(value, Cell):
        return value
    return Cell(value, "quiet" if value == "–" else "")
