"""XML from strangers, read without entities, other files, unbounded depth or unbounded size."""

import codecs
import math
import re
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from experiments.shared.errors import InputError
from experiments.shared.reading import regular

MAX_BYTES = 128 << 20
MAX_DEPTH = 256
CHUNK = 1 << 20
DECLARED = re.compile(rb"""\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
# What programs write under a name is the vendor's superset of it.
WIDER = {
    **dict.fromkeys(("shift_jis", "sjis", "x_sjis", "windows_31j"), "cp932"),
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    **dict.fromkeys(("euc_kr", "ks_c_5601_1987"), "cp949"),
}


def parse(data: bytes, source: str) -> Element:
    """The root element of `data`; `source` names it in messages.

    Raises:
        InputError: broken XML, an entity declaration, a reference to another file, or too deep.
    """
    if len(data) > MAX_BYTES:
        raise InputError(_too_large(source, len(data)))
    data, encoding = _known_encoding(data, source)
    builder, parser = TreeBuilder(), expat.ParserCreate(encoding)
    parser.buffer_text = True
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise InputError(
                f"{source}: elements nested more than {MAX_DEPTH} deep: expected an FCP7 XML"
            )
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> int:
        raise InputError(
            f"{source}: expected no entity declarations or external references, got one "
            "(a file can be made to explode or to read other files that way): remove it"
        )

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = parser.ExternalEntityRefHandler = refuse
    parser.UnparsedEntityDeclHandler = refuse
    try:
        for offset in range(0, len(data), CHUNK):
            parser.Parse(data[offset : offset + CHUNK], False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{source}: expected well-formed XML, got {error}: export it anew"
        ) from None
    return builder.close()


def _known_encoding(data: bytes, source: str) -> tuple[bytes, str | None]:
    """The document as the parser can take it: of encodings of several bytes it knows UTF alone."""
    declared = DECLARED.match(data[:200])
    name = declared[1].decode("ascii").lower().replace("-", "_") if declared else "utf_8"
    name = WIDER.get(name, name)
    try:
        if name.startswith(("utf", "us_ascii", "iso_8859_1")):
            return data, None
        if not codecs.lookup(name)._is_text_encoding:
            raise LookupError(f"{name} is no text encoding")
        return data.decode(name).encode(), "utf-8"  # which then counts, not what is declared
    except (LookupError, UnicodeError) as error:
        raise InputError(
            f"{source}: expected well-formed XML in its declared encoding {name!r}, got {error}: "
            "export it as UTF-8"
        ) from None


def read(path: Path) -> Element:
    """The root element of the file at `path`.

    Raises:
        InputError: as `parse`, or the file is missing or larger than MAX_BYTES.
    """
    size = regular(path, "an FCP7 XML").stat().st_size
    if size > MAX_BYTES:
        raise InputError(_too_large(path, size))
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): check the path") from None


def _too_large(source: object, size: int) -> str:
    return (
        f"{source}: expected at most {MAX_BYTES >> 20} MiB of XML, got {size >> 20} MiB: "
        "export the sequence alone"
    )


def text_of(element: Element | None, path: str, default: str = "") -> str:
    """The text at `path` below an element, without space around it; `default` if there is none."""
    if element is None:
        return default
    return (element.findtext(path) or default).strip()


def number_of(text: str) -> float | None:
    """A finite number, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
