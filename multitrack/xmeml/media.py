"""What the clips of a document show: files, nested sequences, generators, and of which kind."""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from experiments.shared.errors import InputError
from multitrack.edit.timeline import Media, Rate, Timeline
from multitrack.xmeml.references import definitions
from multitrack.xmeml.safe import number_of, text_of
from multitrack.xmeml.times import integer, rate_of

TEXT = {"text", "outlinetext", "graphicandtype", "lower 3rd", "title 3d", "title crawl", "crawl"}
STILLS = {
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".psd", ".bmp", ".gif", ".ai", ".tga", ".heic",
    ".webp", ".svg", ".exr", ".dpx", ".avif", ".eps", ".pdf", ".jp2", ".jxl",
}  # fmt: skip
# A name that stands for many files: frame_####.png, frame.%04d.exr, frame_[0001-0250].png.
NUMBERED = re.compile(r"#{2,}|%0?\d*d(?![0-9a-f])|\[\d+-\d+\]", re.IGNORECASE)
MAX_NESTING = 8


def file_name(url: str) -> str:
    """The last part of a <pathurl>, be it percent-encoded, a Windows path or both."""
    return PurePosixPath(unquote(url).replace("\\", "/")).name


def is_still(path: str) -> bool:
    """Whether a <pathurl> names one picture, not footage and not a picture for every frame."""
    name = file_name(path)
    return PurePosixPath(name).suffix.lower() in STILLS and not NUMBERED.search(name)


def size_of(element: Element | None, side: str) -> int:
    """Pixels, 0 where nothing usable stands."""
    number = number_of(text_of(element, side))
    return int(number) if number is not None and 0 < number <= 100_000 else 0


class Shelf:
    """The sources of one document by id. `open_`: reads a nested <sequence>."""

    def __init__(self, root: Element, open_: Callable[[Element], Timeline], notes: list[str]):
        self.open, self.notes = open_, notes
        self.media: dict[tuple[str, str], Media] = {}
        # Defined once, with children, anywhere; elsewhere an empty element with the same id.
        self.definitions = definitions(root)
        self.taken = {element.get("id") for element in root.iter("sequence")}
        self.numbers = itertools.count(1)
        self.depth: list[str] = []

    def free_id(self) -> str:
        """An id for a sequence that has none: what has no name is not what else has none."""
        return next(i for i in map("sequence-{}".format, self.numbers) if i not in self.taken)

    def of(
        self, item: Element, where: str, size: tuple[int, int], rate: Rate
    ) -> tuple[Media | None, str]:
        """A clip's source and kind."""
        inner = item.find("sequence")
        if inner is not None:
            return self._nested(inner, where), "nested"
        effect = (text_of(item, "effect/effectid") or text_of(item, "effect/name")).lower()
        if item.tag == "generatoritem":
            kind = "text" if effect in TEXT or "text" in effect else "generator"
            return Media(item.get("id", ""), text_of(item, "name"), *size), kind
        filters = {text_of(f, "effect/effectid").lower() for f in item.findall("filter")}
        # A multicam clip holds its angles' clips; the active one's file is what shows.
        file = item.find("file")
        if file is None:
            angles = item.findall("multiclip/angle")
            active = [a for a in angles if text_of(a, "activevideoangle").upper() == "TRUE"]
            file = next((f for a in active + angles for f in a.iter("file")), None)
        if file is None:
            return None, "text" if "graphicandtype" in filters else "unknown"
        media = self._file(file, where, rate)
        origin = text_of(media.element, "mediaSource").lower() if media.element is not None else ""
        if "graphicandtype" in filters or origin == "graphicandtype":
            return media, "text"
        if origin:
            return media, "generator"
        if text_of(item, "stillframe").upper() == "TRUE" or is_still(media.path):
            return media, "still"
        return media, "video" if media.element is not None else "unknown"

    def _file(self, file: Element, where: str, rate: Rate) -> Media:
        key = file.get("id", "")
        if not key:  # a file without an id cannot be referenced elsewhere
            key = text_of(file, "pathurl") or text_of(file, "name") or where
        if ("file", key) in self.media:
            return self.media["file", key]
        element = file if len(file) else self.definitions.get(("file", key))
        if element is None:
            self.notes.append(
                f"{where}: file {key!r} is not defined in the document: size and name unknown"
            )
        size = element.find("media/video/samplecharacteristics") if element is not None else None
        sides = (size_of(size, side) for side in ("width", "height"))
        media = Media(key, text_of(element, "name", key), *sides, path=text_of(element, "pathurl"))
        media.element = element
        if element is not None:
            try:
                media.duration = integer(element, "duration", where, 0)
                media.rate = rate_of(element.find("rate"), where, rate)
            except InputError as error:
                self.notes.append(f"file {media.name!r}, {error}: its length is unknown")
                media.duration = 0
        self.media["file", key] = media
        return media

    def _nested(self, inner: Element, where: str) -> Media:
        key = inner.get("id") or self.free_id()
        if ("sequence", key) in self.media:
            return self.media["sequence", key]
        defined = inner.find("media") is not None
        element = inner if defined else self.definitions.get(("sequence", key), inner)
        # Left closed it takes the canvas's size, and is written again as it was.
        closed = Media(key, text_of(element, "name", key), 0, 0, element=element)
        if element.find("media") is None:
            self.notes.append(f"{where}: nested sequence {key!r} is not defined in the document")
            return closed
        if key in self.depth or len(self.depth) >= MAX_NESTING:
            self.notes.append(f"{where}: sequence {key!r} contains itself, or nests too deep")
            return replace(closed, element=inner)
        self.depth.append(key)
        try:
            timeline = self.open(element)
        except InputError as error:
            self.notes.append(f"{where}: nested sequence left closed ({error})")
            self.media["sequence", key] = closed
            return closed
        finally:
            self.depth.pop()
        media = Media(
            key, timeline.name, timeline.width, timeline.height, timeline.duration,
            timeline.rate, sequence=timeline, element=element,
        )  # fmt: skip
        self.media["sequence", key] = media
        return media
