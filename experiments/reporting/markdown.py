"""A document as Markdown, with its pictures as files beside it."""

import os
import re
from pathlib import Path
from urllib.parse import quote

from experiments.reporting.document import (
    Block,
    Cell,
    Code,
    Curves,
    Document,
    Facts,
    Heading,
    Picture,
    Sound,
    Table,
    Text,
    cell,
)


def markdown(document: Document, folder: Path) -> str:
    """The document as Markdown, with pictures and sounds as paths relative to `folder`."""
    parts = [f"# {plain(document.title)}"]
    parts += [markdown_block(block, folder) for block in document.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_block(block: Block, folder: Path) -> str:
    match block:
        case Curves():
            return "In report.html: every curve, to hover, toggle and scale."
        case Heading(text, level, _):
            return f"{'#' * level} {plain(text)}"
        case Text(text, kind):
            return f"> **{plain(text)}**" if kind in ("warning", "bad") else plain(text)
        case Table():
            return markdown_table(block)
        case Facts(items):
            return "\n".join(f"- {name}: {markdown_cell(cell(value))}" for name, value in items)
        case Picture(path, caption):
            return f"![{plain(caption or path.stem)}]({relative(path, folder)})"
        case Sound(path):
            return f"- [{plain(path.name)}]({relative(path, folder)})"
        case Code(text, summary):
            return folded(fenced(text.rstrip()), summary)


def fenced(text: str) -> str:
    """A block of code that `text` cannot end, whatever stands in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def folded(body: str, summary: str) -> str:
    if not summary:
        return body
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def markdown_cell(value: Cell) -> str:
    text = plain(value.text).replace("|", "\\|").replace("\n", " ")
    text = f"**{text}**" if value.kind in ("good", "bad") and text else text
    text = f"[{text}]({value.link})" if value.link else text
    return f"{text} ({value.note})" if value.note else text


def markdown_table(table: Table) -> str:
    rule = [":--" if i in table.words else "--:" for i in range(len(table.head))]
    rows = [[markdown_cell(cell(value)) for value in row] for row in table.rows]
    head = [markdown_cell(cell(name)) for name in table.head]
    lines = ["| " + " | ".join(row) + " |" for row in [head, rule, *rows]]
    caption = f"\n\n{table.caption}" if table.caption else ""
    return folded("\n".join(lines) + caption, table.summary)


def relative(path: Path, folder: Path) -> str:
    place = path.relative_to(folder) if path.is_relative_to(folder) else path
    return quote(os.fsencode(place.as_posix()))


def plain(text: str) -> str:
    """Text in which a reader of Markdown sees no tags."""
    return text.replace("<", "&lt;").replace("\x00", "")
