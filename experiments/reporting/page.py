"""A document as one HTML page that needs no other file and no network."""

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path

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
from experiments.reporting.style import CSS

SCRIPT = Path(__file__).with_name("explore.js")
# Larger sound files are named but not put into the page.
AUDIO_LIMIT_BYTES, AUDIO_TOTAL_BYTES = 3 << 20, 24 << 20


def page(document: Document) -> str:
    """The document as one HTML page that needs no other file and no network."""
    budget = [AUDIO_TOTAL_BYTES]
    body = sections(document.blocks, budget)
    title = html.escape(document.title)
    drawn = any(isinstance(block, Curves) for block in document.blocks)
    script = f"<script>\n{SCRIPT.read_text(encoding='utf-8')}</script>\n" if drawn else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<style>\n{CSS}</style></head>\n"
        f"<body><main>\n<h1>{title}</h1>\n{body}\n</main>\n{script}</body></html>\n"
    )


def sections(blocks: Sequence[Block], budget: list[int]) -> str:
    """The blocks; what stands under a heading of level 2 can be folded away.

    What stands under a lower one is folded if it is not to be open.
    """
    parts, within = list[str](), list[int]()
    for block in blocks:
        if isinstance(block, Heading):
            while within and within[-1] >= block.level:
                within.pop()
                parts.append("</details>")
        if isinstance(block, Heading) and (block.level == 2 or not block.open):
            state = " open" * block.open
            title = f"<summary>{html_block(block, budget)}</summary>"
            parts.append(f'<details class="section"{state}>{title}')
            within.append(block.level)
        else:
            parts.append(html_block(block, budget))
    return "\n".join([*parts, *["</details>"] * len(within)])


def html_block(block: Block, audio_budget: list[int]) -> str:
    match block:
        case Heading(text, level, _):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Text(text, kind):
            return f'<p class="{kind}">{html.escape(text)}</p>'
        case Table():
            return html_table(block)
        case Facts(items):
            tiles = "".join(
                f"<div><dt>{breakable(name)}</dt><dd>{html_cell(cell(value))}</dd></div>"
                for name, value in items
            )
            return f'<dl class="facts">{tiles}</dl>'
        case Picture(path, caption, plot):
            kind, text = ("plot" if plot else "photo"), html.escape(caption)
            source, name = data_uri(path, "image/png"), text or html.escape(path.stem)
            image = f'<img class="{kind}" alt="{name}" src="{source}">'
            return f"<figure>{image}<figcaption>{text}</figcaption></figure>"
        case Sound(path):
            return html_sound(path, audio_budget)
        case Curves(data):
            text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
            return f'<div class="curves"><script type="application/json">{text}</script></div>'
        case Code(text, summary):
            return folded(f"<pre><code>{html.escape(text.rstrip())}</code></pre>", summary)


def folded(body: str, summary: str) -> str:
    if not summary:
        return body
    return f"<details><summary>{html.escape(summary)}</summary>{body}</details>"


def html_cell(value: Cell) -> str:
    text = breakable(value.text)
    if value.link:
        text = f'<a href="{html.escape(value.link)}">{text}</a>'
    text = f'<span class="{value.kind}">{text}</span>' if value.kind else text
    return f"{text}<small>{breakable(value.note)}</small>" if value.note else text


def breakable(text: str) -> str:
    """Escaped text whose long tags may be broken after a slash or an underscore."""
    return html.escape(text).replace("/", "/<wbr>").replace("_", "_<wbr>")


def html_table(table: Table) -> str:
    def row(values: Sequence[Cell | str], mark: str) -> str:
        cells = [
            f"<{mark}{' class=left' if i in table.words else ''}>{html_cell(cell(value))}</{mark}>"
            for i, value in enumerate(values)
        ]
        return f"<tr>{''.join(cells)}</tr>"

    head = row(table.head, "th")
    rows = "\n".join(row(values, "td") for values in table.rows)
    caption = f'<p class="quiet">{html.escape(table.caption)}</p>' if table.caption else ""
    scroll = f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    return folded(scroll + caption, table.summary)


def html_sound(path: Path, budget: list[int]) -> str:
    size, name = path.stat().st_size, html.escape(path.name)
    if size > AUDIO_LIMIT_BYTES or size > budget[0]:
        return f'<p class="quiet">{name} ({size / 1e6:.1f} MB) lies beside this page.</p>'
    budget[0] -= size
    source = data_uri(path, "audio/wav")
    return f'<p class="sound"><span>{name}</span><audio controls src="{source}"></audio></p>'


def data_uri(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
