"""Reads a sequence of a Final Cut Pro 7 XML with its tracks and clips.

What stands where, and which of two readings is right: the comments here, and README.
"""

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element

from experiments.shared.errors import InputError
from multitrack.edit.timeline import Clip, Media, Rate, Timeline, Track, Transition
from multitrack.xmeml.effects import MAX_FRAME, apply
from multitrack.xmeml.references import conflicts, definitions, loose_links
from multitrack.xmeml.safe import number_of, text_of

TEXT = {"text", "outlinetext", "graphicandtype", "lower 3rd", "title 3d", "title crawl", "crawl"}
STILLS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".psd", ".bmp", ".gif", ".ai", ".tga", ".heic"}
MAX_NESTING = 8
# Children that are read into fields; the others are kept as they are.
SEQUENCE = ("name", "duration", "rate", "media")
ITEMS = ("clipitem", "generatoritem", "transitionitem")
CLIP = ("masterclipid", "name", "enabled", "rate", "start", "end", "in", "out", "file", "sequence")


def _true(element: Element, path: str, default: str) -> bool:
    return text_of(element, path, default).upper() != "FALSE"


class Reader:
    """Reads the sequences of one document, whose ids it knows."""

    def __init__(self, root: Element, source: str):
        self.source, self.notes = source, []
        self.media: dict[tuple[str, str], Media] = {}
        # Defined once, with children, anywhere; elsewhere an empty element with the same id.
        self.sources = definitions(root)
        self.taken = {element.get("id") for element in root.iter("sequence")}
        self.numbers = itertools.count(1)
        self.depth: list[str] = []

    def fail(self, message: str) -> InputError:
        return InputError(f"{self.source}: {message}")

    def integer(self, element: Element, path: str, where: str, default: int | None = None) -> int:
        text = text_of(element, path)
        if not text and default is not None:
            return default
        number = number_of(text)
        if number is None or abs(number) > MAX_FRAME:
            raise self.fail(f"{where}: expected a frame number in <{path}>, got {text[:40]!r}")
        return math.floor(number)

    def rate(self, element: Element | None, where: str, default: Rate | None = None) -> Rate:
        text = text_of(element, "timebase")
        if not text and default is not None:
            return default
        try:
            timebase = Fraction(text)
        except (ValueError, ZeroDivisionError):
            timebase = Fraction(0)
        if not 0 < timebase <= 100_000:
            raise self.fail(
                f"{where}: expected a frame rate above 0 in <rate><timebase>, got {text[:40]!r}: "
                "export the sequence anew"
            )
        return Rate(timebase, text_of(element, "ntsc").upper() == "TRUE")

    def free_id(self) -> str:
        """An id for a sequence that has none: what has no name is not what else has none."""
        return next(i for i in map("sequence-{}".format, self.numbers) if i not in self.taken)

    def whole(self, element: Element) -> Timeline:
        """The outermost sequence, with what its references need."""
        timeline = self.timeline(element)
        own = ("sequence", element.get("id"))
        timeline.sources = {key: e for key, e in self.sources.items() if key != own}
        loose = len(loose_links(element))
        if loose:
            self.notes.append(f"{loose} links lead to no clip: not written again")
        for tag, key in dict.fromkeys(conflicts(element, self.sources)):
            self.notes.append(f"{tag} {key!r} is defined again, otherwise: the first one counts")
        audio = element.iterfind("media/audio//file")
        keys = {(file.tag, file.get("id", "")) for file in audio if not len(file)}
        for _, key in sorted(keys - set(self.sources)):
            self.notes.append(f"audio: file {key!r} is not defined in the document")
        return timeline

    def timeline(self, element: Element) -> Timeline:
        """A <sequence> with its tracks; remarks are gathered in the outermost one."""
        name = text_of(element, "name", "unnamed")
        where = f"sequence {name!r}"
        video = element.find("media/video")
        if video is None or video.find("track") is None:
            raise self.fail(f"{where}: expected at least one video track, got none")
        rate = self.rate(element.find("rate"), where)
        size = video.find("format/samplecharacteristics")
        width, height = (self._size(size, side) for side in ("width", "height"))
        if not (width and height):
            width, height = 1920, 1080
            self.notes.append(f"{where}: no frame size given, taken as {width}x{height}")
        timeline = Timeline(name, rate, width, height, id=element.get("id") or self.free_id())
        timeline.audio, timeline.format = element.find("media/audio"), video.find("format")
        timeline.attributes, timeline.kept = _rest(element, SEQUENCE)
        others = [e for e in element.find("media") if e.tag not in ("video", "audio")]
        others += [e for e in video if e.tag not in ("format", "track")]
        for other in others if not self.depth else ():  # nested ones are written as they were
            self.notes.append(f"{where}: <{other.tag}> among its tracks is not written again")
        for number, track in enumerate(video.findall("track"), 1):
            timeline.tracks.append(self._track(track, number, rate, (width, height)))
        end = max((c.end + c.tail for c in timeline.clips), default=0)
        timeline.duration = max(end, self.integer(element, "duration", where, 0))
        if timeline.duration <= 0:
            raise self.fail(f"{where}: expected clips on its video tracks, got an empty sequence")
        if timeline.seconds > 24 * 3600:
            self.notes.append(f"{where}: {timeline.seconds:.0f} s long, cut at its last clip")
            timeline.duration = max(1, end)
            if timeline.seconds > 24 * 3600:
                raise self.fail(f"{where}: expected at most 24 hours, got {timeline.seconds:.0f} s")
        timeline.notes = self.notes if not self.depth else []
        return timeline

    def _size(self, element: Element | None, side: str) -> int:
        number = number_of(text_of(element, side))
        return int(number) if number is not None and 0 < number <= 100_000 else 0

    def _track(self, element: Element, number: int, rate: Rate, size: tuple[int, int]) -> Track:
        track = Track(
            enabled=_true(element, "enabled", "TRUE"), locked=_true(element, "locked", "FALSE")
        )
        track.attributes, track.kept = _rest(element, (*ITEMS, "enabled", "locked"))
        items = [e for e in element if e.tag in ITEMS]
        for item in items:
            if item.tag == "transitionitem":
                where = f"V{number}: transition"
                track.transitions.append(
                    Transition(
                        self.integer(item, "start", where),
                        self.integer(item, "end", where),
                        text_of(item, "alignment", "center").lower(),
                        text_of(item, "effect/name", "Cross Dissolve"),
                        item,
                    )
                )
        for position, item in enumerate(items):
            if item.tag == "transitionitem":
                continue
            try:
                clip = self._clip(item, number, rate, size, items, position)
            except RecursionError:
                raise self.fail(f"V{number}: sequences nested too deep") from None
            if clip is not None:
                track.clips.append(clip)
        self._mend_overlaps(track, number, rate)
        return track

    def _mend_overlaps(self, track: Track, number: int, rate: Rate) -> None:
        """Let the later of two overlapping clips show, and say so."""
        track.clips.sort(key=lambda c: c.start)
        for one, two in zip(track.clips, track.clips[1:], strict=False):
            if one.end > two.start:
                self.notes.append(
                    f"V{number}: {one.name!r} overlaps {two.name!r} by {one.end - two.start} "
                    "frames: cut at the later one's start"
                )
                one.last -= int((one.end - two.start) * one.rate.fps / rate.fps)
                one.end = two.start
        track.clips = [c for c in track.clips if c.end > c.start]

    def _clip(
        self,
        item: Element,
        number: int,
        rate: Rate,
        size: tuple[int, int],
        items: list[Element],
        position: int,
    ) -> Clip | None:
        name = text_of(item, "name", "unnamed")
        where = f"V{number} clip {name[:60]!r}"
        own = self.rate(item.find("rate"), where, rate)
        first, last = (self.integer(item, tag, where, 0) for tag in ("in", "out"))
        start, end = (self.integer(item, tag, where) for tag in ("start", "end"))
        ratio = own.fps / rate.fps
        start, end, lead, tail = self._edges(items, position, start, end, (last - first) / ratio)
        if end <= start:
            self.notes.append(f"{where}: left out, it ends at frame {end} and starts at {start}")
            return None
        if start < 0:
            self.notes.append(f"{where}: starts at frame {start}, cut at 0")
            first, start = first + int(-start * ratio), 0
            if end <= 0:
                return None
        first, last = first + int(lead * ratio), last - int(tail * ratio)
        media, kind = self._media(item, where, size, own)
        clip = Clip(
            item.get("id", ""), name, start, end, first, last, own, media, kind,
            enabled=_true(item, "enabled", "TRUE"), lead=lead, tail=tail,
            masterclip=text_of(item, "masterclipid"),
        )  # fmt: skip
        clip.attributes, clip.kept = _rest(item, (*CLIP, *["stillframe"] * (kind == "still")))
        for filter_ in item.findall("filter"):
            apply(filter_, clip, where, self.notes)
        return clip

    def _edges(
        self, items: list[Element], position: int, start: int, end: int, length: Fraction | float
    ) -> tuple[int, int, int, int]:
        """Start, end, and the frames hidden in a transition before and after.

        An edge of -1 lies inside the neighbouring transition: its cut point counts.
        """
        lead = tail = 0
        before = items[position - 1] if position else None
        after = items[position + 1] if position + 1 < len(items) else None
        if start == -1:
            if before is not None and before.tag == "transitionitem":
                transition = _transition(before)
                start, lead = transition.cut, transition.cut - transition.start
            elif end != -1:
                start = end - round(length)
        if end == -1:
            if after is not None and after.tag == "transitionitem":
                transition = _transition(after)
                end, tail = transition.cut, transition.end - transition.cut
            elif start != -1:
                end = start + round(length) - lead
        return start, end, lead, tail

    def _media(
        self, item: Element, where: str, size: tuple[int, int], rate: Rate
    ) -> tuple[Media | None, str]:
        """The clip's source and kind."""
        inner = item.find("sequence")
        if inner is not None:
            return self._nested(inner, where)
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
        if (
            text_of(item, "stillframe").upper() == "TRUE"
            or Path(media.path).suffix.lower() in STILLS
        ):
            return media, "still"
        return media, "video" if media.element is not None else "unknown"

    def _file(self, file: Element, where: str, rate: Rate) -> Media:
        key = file.get("id", "")
        if not key:  # a file without an id cannot be referenced elsewhere
            key = text_of(file, "pathurl") or text_of(file, "name") or where
        if ("file", key) in self.media:
            return self.media["file", key]
        element = file if len(file) else self.sources.get(("file", key))
        if element is None:
            self.notes.append(
                f"{where}: file {key!r} is not defined in the document: size and name unknown"
            )
        size = element.find("media/video/samplecharacteristics") if element is not None else None
        media = Media(
            key,
            text_of(element, "name", key),
            self._size(size, "width"),
            self._size(size, "height"),
            self.integer(element, "duration", where, 0) if element is not None else 0,
            self.rate(element.find("rate"), where, rate) if element is not None else None,
            text_of(element, "pathurl"),
            element=element,
        )
        self.media["file", key] = media
        return media

    def _nested(self, inner: Element, where: str) -> tuple[Media | None, str]:
        key = inner.get("id") or self.free_id()
        if ("sequence", key) in self.media:
            return self.media["sequence", key], "nested"
        defined = inner.find("media") is not None
        element = inner if defined else self.sources.get(("sequence", key), inner)
        # Left closed it takes the canvas's size, and is written again as it was.
        closed = Media(key, text_of(element, "name", key), 0, 0, element=element)
        if element.find("media") is None:
            self.notes.append(f"{where}: nested sequence {key!r} is not defined in the document")
            return closed, "nested"
        if key in self.depth or len(self.depth) >= MAX_NESTING:
            self.notes.append(f"{where}: sequence {key!r} contains itself, or nests too deep")
            return replace(closed, element=inner), "nested"
        self.depth.append(key)
        try:
            timeline = self.timeline(element)
        except InputError as error:
            self.notes.append(f"{where}: nested sequence left closed ({error})")
            self.media["sequence", key] = closed
            return closed, "nested"
        finally:
            self.depth.pop()
        media = Media(
            key, timeline.name, timeline.width, timeline.height, timeline.duration,
            timeline.rate, sequence=timeline, element=element,
        )  # fmt: skip
        self.media["sequence", key] = media
        return media, "nested"


def _rest(element: Element, read: tuple[str, ...]) -> tuple[dict[str, str], list[Element]]:
    """An element's attributes but its id, and its children but those `read` into fields."""
    attributes = {key: value for key, value in element.attrib.items() if key != "id"}
    return attributes, [child for child in element if child.tag not in read]


def _transition(item: Element) -> Transition:
    start, end = (int(number_of(text_of(item, tag)) or 0) for tag in ("start", "end"))
    return Transition(start, end, text_of(item, "alignment", "center").lower())
