"""Final Cut Pro 7 XML (`xmeml`), as Premiere Pro writes it: the documents and their sequences.

A sequence is read in `read` and written in `write`.
"""

from pathlib import Path
from xml.etree.ElementTree import Element

from experiments.shared.errors import InputError
from multitrack.edit.timeline import Timeline
from multitrack.xmeml import safe
from multitrack.xmeml.read import Reader
from multitrack.xmeml.safe import text_of
from multitrack.xmeml.write import dumps, write

__all__ = ["dumps", "parse", "read", "sequences", "write"]


def read(path: str | Path, sequence: str | None = None) -> Timeline:
    """The timeline in the file at `path`; of several sequences `sequence`, else the fullest.

    Raises:
        InputError: with the file's name, what is wrong with it and the remedy.
    """
    return _choose(safe.read(Path(path)), str(path), sequence)


def parse(data: bytes, source: str = "XML", sequence: str | None = None) -> Timeline:
    """As `read`, from bytes."""
    return _choose(safe.parse(data, source), source, sequence)


def sequences(path: str | Path) -> list[str]:
    """Names of the top-level sequences in a file."""
    return [text_of(s, "name") for s in _top_sequences(safe.read(Path(path)))]


def _members(root: Element) -> list[Element]:
    """What stands at the top of the document, bins opened, in file order."""
    found: list[Element] = []
    open_ = [root]
    while open_:
        for child in open_.pop(0):
            if child.tag in ("project", "children", "bin", "xmeml"):
                open_.append(child)
            else:
                found.append(child)
    return found


def _top_sequences(root: Element) -> list[Element]:
    """Sequences with content that are not nested in a clip."""
    return [m for m in _members(root) if m.tag == "sequence" and m.find("media") is not None]


def _choose(root: Element, source: str, name: str | None) -> Timeline:
    if root.tag != "xmeml":
        raise InputError(
            f"{source}: expected an <xmeml> document, got <{root.tag[:60]}>: export it as "
            "'Final Cut Pro XML' (File > Export in Premiere), not FCPXML or a project file"
        )
    found = _top_sequences(root)
    if not found:
        raise InputError(f"{source}: expected a sequence, got none: export one, not only clips")
    if name is not None:
        chosen = [s for s in found if text_of(s, "name") == name]
        if not chosen:
            names = ", ".join(repr(text_of(s, "name")) for s in found)
            raise InputError(f"{source}: expected a sequence {name!r}, got {names}")
        timeline = Reader(root, source).whole(chosen[0])
    else:
        fullest = max(found, key=lambda s: len(s.findall("media/video/track/*")))
        timeline = Reader(root, source).whole(fullest)
    clips = sum(member.tag in ("clip", "multiclip") for member in _members(root))
    if clips:
        timeline.notes.append(f"{clips} clips in the project's bins: only the sequence is read")
    if len(found) > 1:
        timeline.notes.append(f"{len(found)} sequences in the file, read {timeline.name!r}")
    return timeline
