"""The sound of an edit that is continued: linked audio goes on with its picture, and ends with it.

Audio stays the XML that it was read as; times in it are frames of the sequence and of the sources.
"""

import copy
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from xml.etree.ElementTree import Element, SubElement

from multitrack.edit.timeline import Clip, Rate, Timeline
from multitrack.xmeml.references import ITEMS
from multitrack.xmeml.safe import number_of, text_of
from multitrack.xmeml.times import rate_of

FINER = ("pproTicksIn", "pproTicksOut")  # of another trim, once an edge has moved


def tracks(timeline: Timeline) -> list[Element]:
    return [] if timeline.audio is None else timeline.audio.findall("track")


def items(track: Element) -> list[Element]:
    return [element for element in track if element.tag in ITEMS]


def edge(item: Element, tag: str) -> int:
    """A frame number, -1 where none stands or it lies inside a transition."""
    number = number_of(text_of(item, tag))
    return -1 if number is None else int(number)


def links(item: Element | Clip) -> list[str]:
    """Ids of what an item is linked to."""
    parts = item.kept if isinstance(item, Clip) else item
    return [text_of(link, "linkclipref") for link in parts if link.tag == "link"]


def heard_offsets(timeline: Timeline) -> dict[tuple[str, Rate], list[tuple[int, Fraction]]]:
    """(file's id, rate) -> (start, media frame at sequence frame 0) of each audio item of it."""
    found = defaultdict(list)
    for track in tracks(timeline):
        for item in items(track):
            file, start, first = item.find("file"), edge(item, "start"), edge(item, "in")
            if file is None or start < 0 or first < 0:
                continue
            own = rate(item, timeline)
            offset = first - start * own.fps / timeline.rate.fps
            found[file.get("id", ""), own].append((start, offset))
    return found


def rate(item: Element, timeline: Timeline) -> Rate:
    return rate_of(item.find("rate"), "audio", timeline.rate)


def _length(item: Element, timeline: Timeline) -> int | None:
    """Media frames of an item's file at the item's rate; None where nobody says."""
    file = item.find("file")
    if file is not None and not len(file):
        file = timeline.sources.get(("file", file.get("id", "")), file)
    frames = number_of(text_of(file, "duration"))
    if not frames:
        return None
    own = rate(item, timeline)
    return int(frames * own.fps / rate_of(file.find("rate"), "audio", own).fps)


def prolong(item: Element, track: Element, end: int, timeline: Timeline) -> int:
    """Let an item last until frame `end`, its source and what follows it allowing: its new end."""
    old, ratio = edge(item, "end"), rate(item, timeline).fps / timeline.rate.fps
    following = [edge(other, "start") for other in items(track) if edge(other, "start") >= old]
    last, length = edge(item, "out"), _length(item, timeline)
    if old < 0 or last < 0:
        return old
    if length is not None:
        end = min(end, old + max(0, int((length - last) / ratio)))
    end = min([end, *following])
    if end > old:
        item.find("end").text = str(end)
        item.find("out").text = str(last + round((end - old) * ratio))
        for finer in [e for e in item if e.tag in FINER]:
            item.remove(finer)
    return max(old, end)


def follow_picture(timeline: Timeline, before: dict[str, int]) -> None:
    """Prolong audio linked to clips that end later than `before` (by id), if it ended with them."""
    later = {c.id: c.end for c in timeline.clips if c.id in before and c.end > before[c.id]}
    for track in tracks(timeline):
        for item in items(track):
            ends = [later[key] for key in links(item) if key in later]
            olds = [before[key] for key in links(item) if key in later]
            if ends and abs(edge(item, "end") - max(olds)) <= timeline.rate.fps / 10:
                prolong(item, track, max(ends), timeline)


def go_on(timeline: Timeline, old: int, end: int) -> None:
    """Prolong what is linked to no picture and ended with it (at frame `old`) until `end`."""
    seen = {clip.id for clip in timeline.clips}
    for track in tracks(timeline):
        for item in items(track):
            free = not seen & set(links(item))
            if free and abs(edge(item, "end") - old) <= timeline.rate.fps / 10:
                prolong(item, track, end, timeline)


def lay_beside(
    timeline: Timeline, made: Clip, donor: Clip, new_id: Callable[[str], str]
) -> list[Element]:
    """Audio for a new clip, as its donor has it, where nothing else sounds; linked both ways."""
    beside = []
    for track in tracks(timeline):
        for item in items(track):
            if item.get("id") not in links(donor) or donor.id not in links(item):
                continue
            if any(edge(item, tag) < 0 for tag in ("start", "end", "in", "out")):
                continue
            others = [(edge(o, "start"), edge(o, "end")) for o in items(track)]
            if any(a < made.end and b > made.start for a, b in others if a >= 0 and b >= 0):
                continue
            beside.append((track, item))
            break
    laid = []
    for track, item in beside:
        new = copy.deepcopy(item)
        new.set("id", new_id("clipitem-predicted"))
        for part in [e for e in new if e.tag in ("link", *FINER)]:
            new.remove(part)
        for tag, value in (
            ("start", made.start), ("end", made.end), ("in", made.first), ("out", made.last)
        ):  # fmt: skip
            new.find(tag).text = str(value)
        later = [n for n, e in enumerate(track) if e.tag in ITEMS and edge(e, "start") >= made.end]
        last = max(n for n, e in enumerate(track) if e.tag in ITEMS)
        track.insert(later[0] if later else last + 1, new)
        laid.append(new)
    if laid:
        join([(made.id, "video"), *((item.get("id"), "audio") for item in laid)], made, laid)
    return laid


def join(ends: list[tuple[str, str]], clip: Clip, sounds: list[Element]) -> None:
    """Link a clip and its sounds: each names all of them, itself included, as Premiere writes."""
    for holder in (clip.kept, *sounds):
        for key, medium in ends:
            link = Element("link")
            SubElement(link, "linkclipref").text = key
            SubElement(link, "mediatype").text = medium
            SubElement(link, "trackindex").text = "1"
            SubElement(link, "clipindex").text = "1"  # numbered when it is written
            holder.append(link)
