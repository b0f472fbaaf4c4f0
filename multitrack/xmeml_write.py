"""Writes a Timeline as Final Cut Pro 7 XML (version 4) that editing programs open.

One `file` definition a source, Basic Motion with Premiere's nine parameters, keyframes in media
frames beside a `value`, transitions with -1 edges, no DOCTYPE subset.
"""

import copy
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from multitrack.timeline import Clip, Curve, Media, Rate, Timeline, Track, Transition

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n'
# (parameterid, name, limits) in Premiere's order.
MOTION = (
    ("scale", "Scale", (0, 1000)),
    ("rotation", "Rotation", (-8640, 8640)),
    ("center", "Center", None),
    ("centerOffset", "Anchor Point", None),
    ("antiflicker", "Anti-flicker Filter", (0, 1)),
    ("leftcrop", "Crop Left", (0, 100)),
    ("topcrop", "Crop Top", (0, 100)),
    ("rightcrop", "Crop Right", (0, 100)),
    ("bottomcrop", "Crop Bottom", (0, 100)),
)
PARTS = {"center": ("x", "y"), "centerOffset": ("anchor_x", "anchor_y")}
CROPS = {"leftcrop": "left", "rightcrop": "right", "topcrop": "top", "bottomcrop": "bottom"}
WRAPPERS = ("none", "project", "bin")


def write(timeline: Timeline, path: str | Path, wrapper: str = "none") -> None:
    """Write `timeline` to `path`, whole or not at all."""
    path = Path(path)
    scratch = path.with_name(f".{path.name}.part")
    try:
        scratch.write_bytes(dumps(timeline, wrapper))
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


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


def _number(value: float) -> str:
    """The shortest text that reads back as the same number."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _rate(parent: Element, rate: Rate) -> None:
    element = SubElement(parent, "rate")
    timebase = Fraction(rate.timebase)
    decimal = _number(float(timebase))
    _leaf(element, "timebase", decimal if Fraction(decimal) == timebase else timebase)
    _leaf(element, "ntsc", "TRUE" if rate.ntsc else "FALSE")


def _sequence(parent: Element, timeline: Timeline, defined: set[str]) -> None:
    sequence = SubElement(parent, "sequence", id=timeline.id)
    _leaf(sequence, "name", timeline.name)
    _leaf(sequence, "duration", timeline.duration)
    _rate(sequence, timeline.rate)
    media = SubElement(sequence, "media")
    video = SubElement(media, "video")
    size = SubElement(SubElement(video, "format"), "samplecharacteristics")
    _rate(size, timeline.rate)
    for tag, value in (
        ("width", timeline.width),
        ("height", timeline.height),
        ("anamorphic", "FALSE"),
        ("pixelaspectratio", "square"),
        ("fielddominance", "none"),
    ):
        _leaf(size, tag, value)
    for track in timeline.tracks:
        _track(video, track, timeline, defined)
    if timeline.audio is None:
        SubElement(media, "audio")
    else:
        audio = copy.deepcopy(timeline.audio)
        for file in audio.iter("file"):
            if file.get("id") in defined:  # defined above: here a reference
                for child in list(file):
                    file.remove(child)
            elif len(file):
                defined.add(file.get("id"))
        media.append(audio)


def _track(video: Element, track: Track, timeline: Timeline, defined: set[str]) -> None:
    element = SubElement(video, "track")
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


def _clip(parent: Element, clip: Clip, timeline: Timeline, track: Track, defined: set[str]) -> None:
    generator = clip.kind in ("text", "generator") and any(e.tag == "effect" for e in clip.kept)
    item = SubElement(parent, "generatoritem" if generator else "clipitem", id=clip.id)
    media = clip.media
    ratio = clip.rate.fps / timeline.rate.fps
    if clip.masterclip:
        _leaf(item, "masterclipid", clip.masterclip)
    inside = {
        "start": clip.lead > 0 or any(t.start == clip.start == t.cut for t in track.transitions),
        "end": clip.tail > 0 or any(t.end == clip.end == t.cut for t in track.transitions),
    }
    _leaf(item, "name", clip.name)
    _leaf(item, "enabled", "TRUE" if clip.enabled else "FALSE")
    _leaf(item, "duration", media.duration if media and media.duration else clip.last - clip.first)
    _rate(item, clip.rate)
    _leaf(item, "start", -1 if inside["start"] else clip.start)
    _leaf(item, "end", -1 if inside["end"] else clip.end)
    _leaf(item, "in", clip.first - int(clip.lead * ratio))
    _leaf(item, "out", clip.last + int(clip.tail * ratio))
    if clip.kind == "still":
        _leaf(item, "stillframe", "TRUE")
    if not generator and media is not None:
        _media(item, media, clip.kind, defined)
    for kept in clip.kept:
        if kept.tag == "effect":
            item.append(copy.deepcopy(kept))
    if clip.motion:
        _motion(item, clip)
    if clip.crop:
        _crop(item, clip)
    if clip.opacity is not None:
        effect = _effect(item, "Opacity", "opacity", "motion")
        _parameter(effect, "opacity", "Opacity", (0, 100), clip.opacity)
    for tag in ("filter", "link"):
        for kept in clip.kept:
            if kept.tag == tag:
                item.append(copy.deepcopy(kept))


def _media(item: Element, media: Media, kind: str, defined: set[str]) -> None:
    if media.sequence is not None:
        if media.id in defined:
            SubElement(item, "sequence", id=media.id)
        else:
            defined.add(media.id)
            _sequence(item, media.sequence, defined)
        return
    if media.id in defined:
        SubElement(item, "file", id=media.id)
        return
    defined.add(media.id)
    if media.element is not None:
        element = copy.deepcopy(media.element)
        element.set("id", media.id)
        item.append(element)
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


def _effect(item: Element, name: str, effectid: str, category: str) -> Element:
    effect = SubElement(SubElement(item, "filter"), "effect")
    for tag, value in (
        ("name", name),
        ("effectid", effectid),
        ("effectcategory", category),
        ("effecttype", category),
        ("mediatype", "video"),
    ):
        _leaf(effect, tag, value)
    return effect


def _motion(item: Element, clip: Clip) -> None:
    effect = _effect(item, "Basic Motion", "basic", "motion")
    for parameter, name, limits in MOTION:
        if parameter in PARTS:
            _point(effect, parameter, name, *(clip.curve(part) for part in PARTS[parameter]))
        else:
            key = CROPS.get(parameter, parameter)
            default = 100.0 if parameter == "scale" else 0.0
            _parameter(effect, parameter, name, limits, clip.curve(key, default))


def _crop(item: Element, clip: Clip) -> None:
    effect = _effect(item, "Crop", "crop", "motion")
    for side in ("left", "right", "top", "bottom"):
        _parameter(effect, side, side, (0, 100), clip.crop.get(side, Curve(0.0)))


def _parameter(
    effect: Element, key: str, name: str, limits: tuple[int, int] | None, curve: Curve
) -> None:
    parameter = SubElement(effect, "parameter", authoringApp="PremierePro")
    _leaf(parameter, "parameterid", key)
    _leaf(parameter, "name", name)
    if limits:
        _leaf(parameter, "valuemin", limits[0])
        _leaf(parameter, "valuemax", limits[1])
    _leaf(parameter, "value", _number(curve.value))
    for when, value in curve.keys:
        keyframe = SubElement(parameter, "keyframe")
        _leaf(keyframe, "when", _number(when))
        _leaf(keyframe, "value", _number(value))


def _point(effect: Element, key: str, name: str, x: Curve, y: Curve) -> None:
    """A two-part parameter: its keys stand at the times of both curves' keys."""
    parameter = SubElement(effect, "parameter", authoringApp="PremierePro")
    _leaf(parameter, "parameterid", key)
    _leaf(parameter, "name", name)
    value = SubElement(parameter, "value")
    _leaf(value, "horiz", _number(x.value))
    _leaf(value, "vert", _number(y.value))
    for when in sorted({when for when, _ in (*x.keys, *y.keys)}):
        keyframe = SubElement(parameter, "keyframe")
        _leaf(keyframe, "when", _number(when))
        value = SubElement(keyframe, "value")
        _leaf(value, "horiz", _number(x.at(when)))
        _leaf(value, "vert", _number(y.at(when)))
