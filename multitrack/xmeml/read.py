"""Reads a sequence of a Final Cut Pro 7 XML with its tracks and clips.

What stands where, and which of two readings is right: the comments here, and README. A clip that
cannot be read is left out and named; it does not refuse the rest.
"""

from xml.etree.ElementTree import Element

from experiments.shared.errors import InputError
from multitrack.edit.timeline import Clip, Rate, Timeline, Track
from multitrack.xmeml.effects import apply
from multitrack.xmeml.media import Shelf, size_of
from multitrack.xmeml.references import bind_links, conflicts, loose_links
from multitrack.xmeml.safe import text_of
from multitrack.xmeml.times import counted_at, edges, integer, rate_of, transition_of

# Children that are read into fields; the others are kept as they are.
SEQUENCE = ("name", "duration", "rate", "media")
ITEMS = ("clipitem", "generatoritem", "transitionitem")
CLIP = ("masterclipid", "name", "enabled", "start", "end", "file", "sequence")


def _true(element: Element, path: str, default: str) -> bool:
    return text_of(element, path, default).upper() != "FALSE"


class Reader:
    """Reads the sequences of one document, whose ids it knows."""

    def __init__(self, root: Element, source: str):
        self.source, self.notes = source, []
        self.shelf = Shelf(root, self.timeline, self.notes)
        bind_links(root)

    def whole(self, element: Element) -> Timeline:
        """The outermost sequence, with what its references need."""
        timeline = self.timeline(element)
        own = ("sequence", element.get("id"))
        known = self.shelf.definitions
        timeline.sources = {key: e for key, e in known.items() if key != own}
        loose = len(loose_links(element))
        if loose:
            self.notes.append(f"{loose} links lead to no clip: not written again")
        for tag, key in dict.fromkeys(conflicts(element, known)):
            self.notes.append(f"{tag} {key!r} is defined again, otherwise: the first one counts")
        audio = element.iterfind("media/audio//file")
        keys = {(file.tag, file.get("id", "")) for file in audio if not len(file)}
        for _, key in sorted(keys - set(known)):
            self.notes.append(f"audio: file {key!r} is not defined in the document")
        return timeline

    def timeline(self, element: Element) -> Timeline:
        """A <sequence> with its tracks; remarks are gathered in the outermost one."""
        name = text_of(element, "name", "unnamed")
        where = f"sequence {name!r}"
        place = f"{self.source}: {where}"
        video = element.find("media/video")
        if video is None or video.find("track") is None:
            raise InputError(f"{place}: expected at least one video track, got none")
        rate = rate_of(element.find("rate"), place)
        size = video.find("format/samplecharacteristics")
        width, height = (size_of(size, side) for side in ("width", "height"))
        if not (width and height):
            width, height = 1920, 1080
            self.notes.append(f"{where}: no frame size given, taken as {width}x{height}")
        key = element.get("id") or self.shelf.free_id()
        timeline = Timeline(name, rate, width, height, id=key)
        timeline.audio, timeline.format = element.find("media/audio"), video.find("format")
        timeline.attributes, timeline.kept = _rest(element, SEQUENCE)
        inside = bool(self.shelf.depth)
        others = [e for e in element.find("media") if e.tag not in ("video", "audio")]
        others += [e for e in video if e.tag not in ("format", "track")]
        for other in () if inside else others:  # nested ones are written as they were
            self.notes.append(f"{where}: <{other.tag}> among its tracks is not written again")
        for number, track in enumerate(video.findall("track"), 1):
            timeline.tracks.append(self._track(track, number, rate, (width, height)))
        end = max((c.end + c.tail for c in timeline.clips), default=0)
        timeline.duration = max(end, integer(element, "duration", place, 0))
        if timeline.duration <= 0:
            lost = next((f" ({note})" for note in self.notes if note.startswith("left out")), "")
            raise InputError(
                f"{place}: expected clips on its video tracks, got an empty sequence{lost}"
            )
        if timeline.seconds > 24 * 3600:
            self.notes.append(f"{where}: {timeline.seconds:.0f} s long, cut at its last clip")
            timeline.duration = max(1, end)
            if timeline.seconds > 24 * 3600:
                raise InputError(
                    f"{place}: expected at most 24 hours, got {timeline.seconds:.0f} s"
                )
        timeline.notes = [] if inside else self.notes
        return timeline

    def _track(self, element: Element, number: int, rate: Rate, size: tuple[int, int]) -> Track:
        track = Track(
            enabled=_true(element, "enabled", "TRUE"), locked=_true(element, "locked", "FALSE")
        )
        track.attributes, track.kept = _rest(element, (*ITEMS, "enabled", "locked"))
        items = [e for e in element if e.tag in ITEMS]
        fades = {}
        for position, item in enumerate(items):
            if item.tag == "transitionitem":
                try:
                    fades[position] = transition_of(item, f"V{number} transition")
                except InputError as error:
                    self.notes.append(f"left out: {error}")
        track.transitions = list(fades.values())
        for position, item in enumerate(items):
            if item.tag == "transitionitem":
                continue
            where = f"V{number} clip {text_of(item, 'name', 'unnamed')[:60]!r}"
            beside = (fades.get(position - 1), fades.get(position + 1))
            try:
                clip = self._clip(item, where, rate, size, beside)
            except RecursionError:
                raise InputError(f"{self.source}: V{number}: sequences nested too deep") from None
            except InputError as error:
                if str(error).startswith(self.source):
                    raise
                self.notes.append(f"left out: {error}")
                continue
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
        self, item: Element, where: str, rate: Rate, size: tuple[int, int], beside: tuple
    ) -> Clip | None:
        """The clip of an item; `beside`: the transitions before and after it, or None.

        Raises:
            InputError: it cannot be read.
        """
        stated = rate_of(item.find("rate"), where, rate)
        own = counted_at(item, stated, rate)
        first, last = (integer(item, tag, where, 0) for tag in ("in", "out"))
        start, end = (integer(item, tag, where) for tag in ("start", "end"))
        ratio = own.fps / rate.fps
        start, end, lead, tail = edges(*beside, start, end, (last - first) / ratio)
        if end <= start:
            self.notes.append(f"{where}: left out, it ends at frame {end} and starts at {start}")
            return None
        if start < 0:
            self.notes.append(f"{where}: starts at frame {start}, cut at 0")
            first, start = first + int(-start * ratio), 0
            if end <= 0:
                return None
        first, last = first + int(lead * ratio), last - int(tail * ratio)
        media, kind = self.shelf.of(item, where, size, own)
        clip = Clip(
            item.get("id", ""), text_of(item, "name", "unnamed"), start, end, first, last, own,
            media, kind, enabled=_true(item, "enabled", "TRUE"), lead=lead, tail=tail,
            masterclip=text_of(item, "masterclipid"),
        )  # fmt: skip
        clip.attributes, clip.kept = _rest(item, CLIP)
        for filter_ in item.findall("filter"):
            apply(filter_, clip, where, self.notes)
        return clip


def _rest(element: Element, read: tuple[str, ...]) -> tuple[dict[str, str], list[Element]]:
    """An element's attributes but its id, and its children but those `read` into fields."""
    attributes = {key: value for key, value in element.attrib.items() if key != "id"}
    return attributes, [child for child in element if child.tag not in read]
