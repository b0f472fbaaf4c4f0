"""Writes a Timeline as Final Cut Pro 7 XML (version 4) that editing programs open.

One `file` definition a source, Basic Motion with Premiere's nine parameters, keyframes in media
frames beside a `value`, transitions with -1 edges, no DOCTYPE subset.
"""

import copy
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from experiments.shared.writing import replacing
from multitrack.edit.timeline import Clip, Media, Rate, Timeline, Track, Transition
from multitrack.xmeml.filters import filters, number
from multitrack.xmeml.media import is_still
from multitrack.xmeml.references import settle
from multitrack.xmeml.safe import number_of

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n'
# Of what is kept of a clip, what stands before its source, and what holds for one trim alone; the
# rest stands after it.
AHEAD = ("alphatype", "pixelaspectratio", "anamorphic", "fielddominance", "compositemode")
TRIM = ("in", "out", "rate", "duration", "pproTicksIn", "pproTicksOut", "stillframe")
WRAPPERS = ("none", "project", "bin")


def write(timeline: Timeline, path: str | Path, wrapper: str = "none") -> None:
    """Write `timeline` to `path`, whole or not at all."""
    with replacing(Path(path)) as scratch:
        scratch.write_bytes(dumps(timeline, wrapper))


def dumps(timeline: Timeline, wrapper: str = "none") -> bytes:
    """The document; `wrapper`: the sequence at the root, in a project, or in a project's bin."""
    root = Element("xmeml", version="4")
    parent = root
    if wrapper != "none":
        project = SubElement(root, "project")
        _leaf(project, "name", timeline.name)
        parent = SubElement(project, "children")
        if wrapper == "bin":
            bin_ = SubElement(parent, "bin")
            _leaf(bin_, "name", "Edit")
            parent = SubElement(bin_, "children")
    _sequence(parent, timeline, set())
    settle(root, timeline.sources)
    ElementTree.indent(root, " ")
    return HEAD + ElementTree.tostring(root, encoding="utf-8", xml_declaration=False) + b"\n"


def _leaf(parent: Element, tag: str, value: object) -> Element:
    element = SubElement(parent, tag)
    element.text = _legal(str(value))
    return element


def _legal(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(
        c
        for c in text
        if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
    )


def _rate(parent: Element, rate: Rate) -> None:
    element = SubElement(parent, "rate")
    timebase = Fraction(rate.timebase)
    decimal = number(float(timebase))
    _leaf(element, "timebase", decimal if Fraction(decimal) == timebase else timebase)
    _leaf(element, "ntsc", "TRUE" if rate.ntsc else "FALSE")


def _sequence(parent: Element, timeline: Timeline, defined: set[tuple[str, str]]) -> None:
    sequence = SubElement(parent, "sequence", {"id": timeline.id, **timeline.attributes})
    _leaf(sequence, "name", timeline.name)
    _leaf(sequence, "duration", timeline.duration)
    _rate(sequence, timeline.rate)
    media = SubElement(sequence, "media")
    video = SubElement(media, "video")
    video.append(_format(timeline))
    for track in timeline.tracks:
        _track(video, track, timeline, defined)
    media.append(Element("audio") if timeline.audio is None else copy.deepcopy(timeline.audio))
    sequence.extend(copy.deepcopy(timeline.kept))


def _format(timeline: Timeline) -> Element:
    if timeline.format is not None:
        given = copy.deepcopy(timeline.format)
        size = given.find("samplecharacteristics")
        size = SubElement(given, "samplecharacteristics") if size is None else size
        for tag, value in (("width", timeline.width), ("height", timeline.height)):
            side = size.find(tag)
            if side is None:
                side = SubElement(size, tag)
            side.text = str(value)
        return given
    made = Element("format")
    size = SubElement(made, "samplecharacteristics")
    _rate(size, timeline.rate)
    for tag, value in (
        ("width", timeline.width),
        ("height", timeline.height),
        ("anamorphic", "FALSE"),
        ("pixelaspectratio", "square"),
        ("fielddominance", "none"),
    ):
        _leaf(size, tag, value)
    return made


def _track(video: Element, track: Track, timeline: Timeline, defined: set[tuple[str, str]]) -> None:
    element = SubElement(video, "track", track.attributes)
    items = [*track.transitions, *track.clips]

    def order(item: Clip | Transition) -> tuple[float, int]:
        # In the file a transition stands at its cut, before the clip that begins there.
        return (item.cut, 0) if isinstance(item, Transition) else (item.start, 1)

    for item in sorted(items, key=order):
        if isinstance(item, Transition):
            _transition(element, item, timeline.rate)
        else:
            _clip(element, item, timeline, track, defined)
    _leaf(element, "enabled", "TRUE" if track.enabled else "FALSE")
    _leaf(element, "locked", "TRUE" if track.locked else "FALSE")
    element.extend(copy.deepcopy(track.kept))


def _transition(parent: Element, transition: Transition, rate: Rate) -> None:
    if transition.element is not None:
        parent.append(copy.deepcopy(transition.element))
        return
    item = SubElement(parent, "transitionitem")
    _leaf(item, "start", transition.start)
    _leaf(item, "end", transition.end)
    _leaf(item, "alignment", transition.alignment)
    _rate(item, rate)
    effect = SubElement(item, "effect")
    for tag, value in (
        ("name", transition.name),
        ("effectid", transition.name),
        ("effectcategory", "Dissolve"),
        ("effecttype", "transition"),
        ("mediatype", "video"),
    ):
        _leaf(effect, tag, value)


def _clip(
    parent: Element, clip: Clip, timeline: Timeline, track: Track, defined: set[tuple[str, str]]
) -> None:
    generator = clip.kind in ("text", "generator") and any(e.tag == "effect" for e in clip.kept)
    own = {"id": clip.id} if clip.id else {}
    tag = "generatoritem" if generator else "clipitem"
    item = SubElement(parent, tag, {**own, **clip.attributes})
    media, kept = clip.media, {element.tag: element for element in clip.kept}
    if clip.masterclip:
        _leaf(item, "masterclipid", clip.masterclip)
    _leaf(item, "name", clip.name)
    _leaf(item, "enabled", "TRUE" if clip.enabled else "FALSE")
    _trim(item, clip, timeline, track, kept)
    item.extend(copy.deepcopy([e for e in clip.kept if e.tag in AHEAD]))
    told = media is not None and (media.element is not None or is_still(media.path))
    if "stillframe" in kept:
        item.append(copy.deepcopy(kept["stillframe"]))
    elif clip.kind == "still" and not told:
        _leaf(item, "stillframe", "TRUE")
    if not generator and media is not None and "multiclip" not in kept:
        _media(item, media, clip.kind, defined)
    own = [e for e in clip.kept if e.tag not in (*AHEAD, *TRIM)]
    item.extend(copy.deepcopy([e for e in own if e.tag not in ("filter", "link")]))
    item.extend(filters(clip))
    item.extend(copy.deepcopy([e for e in own if e.tag == "link"]))


def _trim(
    item: Element, clip: Clip, timeline: Timeline, track: Track, kept: dict[str, Element]
) -> None:
    """Length, rate and edges; Premiere's finer ticks where the edges are those they are of."""
    ratio, media = clip.rate.fps / timeline.rate.fps, clip.media
    frames = {"in": clip.first - int(clip.lead * ratio), "out": clip.last + int(clip.tail * ratio)}
    ticks = [e for e in map(kept.get, ("pproTicksIn", "pproTicksOut")) if e is not None]
    as_read = all(
        side in kept and number_of(kept[side].text or "") == frame for side, frame in frames.items()
    )
    if "duration" in kept:
        item.append(copy.deepcopy(kept["duration"]))
    else:
        length = media.duration if media and media.duration else clip.last - clip.first
        _leaf(item, "duration", length)
    if as_read and ticks and "rate" in kept:  # in and out may count at another one: the ticks tell
        item.append(copy.deepcopy(kept["rate"]))
    else:
        _rate(item, clip.rate)
    cuts = {t.cut: t for t in track.transitions}
    inside = {
        "start": clip.lead > 0 or (clip.start in cuts and cuts[clip.start].start == clip.start),
        "end": clip.tail > 0 or (clip.end in cuts and cuts[clip.end].end == clip.end),
    }
    _leaf(item, "start", -1 if inside["start"] else clip.start)
    _leaf(item, "end", -1 if inside["end"] else clip.end)
    for side, frame in frames.items():
        _leaf(item, side, frame)
    if as_read:
        item.extend(copy.deepcopy(ticks))


def _media(item: Element, media: Media, kind: str, defined: set[tuple[str, str]]) -> None:
    nested = media.sequence is not None
    tag = media.element.tag if media.element is not None else "sequence" if nested else "file"
    if (tag, media.id) in defined:
        SubElement(item, tag, id=media.id)
        return
    defined.add((tag, media.id))
    if media.element is not None:
        element = copy.deepcopy(media.element)
        element.set("id", media.id)
        item.append(element)
        return
    if nested:
        _sequence(item, media.sequence, defined)
        return
    file = SubElement(item, "file", id=media.id)
    if not (media.path or media.width or media.name != media.id):
        return  # it was not defined where it came from either
    _leaf(file, "name", media.name)
    if media.path:
        _leaf(file, "pathurl", media.path)
    if media.rate:
        _rate(file, media.rate)
    _leaf(file, "duration", media.duration)
    if kind == "text":
        _leaf(file, "mediaSource", "GraphicAndType")
    elif kind == "generator":
        _leaf(file, "mediaSource", "Color")
    video = SubElement(SubElement(file, "media"), "video")
    size = SubElement(video, "samplecharacteristics")
    if media.rate:
        _rate(size, media.rate)
    if media.width and media.height:
        _leaf(size, "width", media.width)
        _leaf(size, "height", media.height)
