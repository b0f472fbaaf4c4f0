"""A clip's filters as FCP7 XML: as they were read where they still hold, the rest anew."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from xml.etree.ElementTree import Element, SubElement

from multitrack.edit.timeline import Clip, Curve
from multitrack.xmeml.effects import apply, kind_of
from multitrack.xmeml.safe import text_of

# (parameterid, name, limits, the curves it holds) in Premiere's order.
MOTION = (
    ("scale", "Scale", (0, 1000), ("scale",)),
    ("rotation", "Rotation", (-8640, 8640), ("rotation",)),
    ("center", "Center", None, ("x", "y")),
    ("centerOffset", "Anchor Point", None, ("anchor_x", "anchor_y")),
    ("antiflicker", "Anti-flicker Filter", (0, 1), ("antiflicker",)),
    ("leftcrop", "Crop Left", (0, 100), ("left",)),
    ("topcrop", "Crop Top", (0, 100), ("top",)),
    ("rightcrop", "Crop Right", (0, 100), ("right",)),
    ("bottomcrop", "Crop Bottom", (0, 100), ("bottom",)),
)
CROP = tuple((side, side, (0, 100), (side,)) for side in ("left", "right", "top", "bottom"))
OPACITY = (("opacity", "Opacity", (0, 100), ("opacity",)),)
# kind: (effect's name, effectid, parameters)
FILTERS = {
    "motion": ("Basic Motion", "basic", MOTION),
    "crop": ("Crop", "crop", CROP),
    "opacity": ("Opacity", "opacity", OPACITY),
}
REST = {"scale": 100.0}


def filters(clip: Clip) -> Iterator[Element]:
    """The clip's filters. Of one it was read with, only parameters that have changed are new.

    So the easing of keyframes, unknown parameters and attributes stay wherever nothing has moved.
    """
    kept = [copy.deepcopy(e) for e in clip.kept if e.tag == "filter"]
    told = replace(clip, motion={}, crop={}, opacity=None)  # what they say at the present trim
    for filter_ in kept:
        apply(filter_, told, "", [])
    yield from kept
    for kind in FILTERS:
        wanted, said = curves(clip, kind), curves(told, kind)
        if wanted == said:
            continue
        own = [f for f in kept if kind_of(f) == kind]
        if own:  # of two the latter counts
            _amend(own[-1].find("effect"), kind, clip, wanted, said)
        else:
            yield _anew(kind, clip, wanted)


def curves(clip: Clip, kind: str) -> dict[str, Curve]:
    """The curves of one kind of filter by name."""
    if kind == "opacity":
        return {} if clip.opacity is None else {"opacity": clip.opacity}
    return clip.motion if kind == "motion" else clip.crop


def _amend(
    effect: Element, kind: str, clip: Clip, wanted: dict[str, Curve], said: dict[str, Curve]
) -> None:
    for key, name, limits, parts in FILTERS[kind][2]:
        if all(wanted.get(part) == said.get(part) for part in parts):
            continue
        new = _parameter(key, name, limits, [_curve(wanted, part) for part in parts])
        places = [
            number
            for number, element in enumerate(effect)
            if element.tag == "parameter" and text_of(element, "parameterid").lower() == key.lower()
        ]
        for place in places:
            effect[place] = new
        if not places:
            effect.append(new)


def _anew(kind: str, clip: Clip, wanted: dict[str, Curve]) -> Element:
    name, effectid, parameters = FILTERS[kind]
    filter_ = Element("filter")
    effect = SubElement(filter_, "effect")
    for tag, value in (
        ("name", name),
        ("effectid", effectid),
        ("effectcategory", "motion"),
        ("effecttype", "motion"),
        ("mediatype", "video"),
    ):
        SubElement(effect, tag).text = value
    for key, label, limits, parts in parameters:
        effect.append(_parameter(key, label, limits, [_curve(wanted, part) for part in parts]))
    return filter_


def _curve(wanted: dict[str, Curve], part: str) -> Curve:
    return wanted.get(part, Curve(REST.get(part, 0.0)))


def number(value: float) -> str:
    """The shortest text that reads back as the same number."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _parameter(key: str, name: str, limits: tuple[int, int] | None, parts: list[Curve]) -> Element:
    """One parameter; of two parts (horiz, vert), keys stand at the times of both curves' keys."""
    parameter = Element("parameter", authoringApp="PremierePro")
    SubElement(parameter, "parameterid").text = key
    SubElement(parameter, "name").text = name
    if limits:
        SubElement(parameter, "valuemin").text = str(limits[0])
        SubElement(parameter, "valuemax").text = str(limits[1])
    _value(parameter, [curve.value for curve in parts])
    for when in sorted({when for curve in parts for when, _ in curve.keys}):
        keyframe = SubElement(parameter, "keyframe")
        SubElement(keyframe, "when").text = number(when)
        _value(keyframe, [float(curve.at(when)) for curve in parts])
    return parameter


def _value(parent: Element, values: list[float]) -> None:
    element = SubElement(parent, "value")
    if len(values) == 1:
        element.text = number(values[0])
    else:
        for tag, value in zip(("horiz", "vert"), values, strict=True):
            SubElement(element, tag).text = number(value)
