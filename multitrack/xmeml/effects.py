"""The filters of a clip in FCP7 XML: motion, crop, opacity and speed, with their keyframes."""

from xml.etree.ElementTree import Element

from multitrack.edit.timeline import Clip, Curve
from multitrack.xmeml.safe import number_of, text_of
from multitrack.xmeml.times import MAX_FRAME

MOTION = {
    "scale": "scale",
    "rotation": "rotation",
    "leftcrop": "left",
    "rightcrop": "right",
    "topcrop": "top",
    "bottomcrop": "bottom",
}
CROP = ("left", "right", "top", "bottom")
KINDS = {"basic": "motion", "basic motion": "motion", "crop": "crop", "opacity": "opacity"}
REMAP = ("timeremap", "time remap")


def kind_of(filter_: Element) -> str:
    """`motion`, `crop` or `opacity`; empty for another filter, or one that is switched off."""
    effect = filter_.find("effect")
    if effect is None or text_of(filter_, "enabled").upper() == "FALSE":
        return ""
    return KINDS.get((text_of(effect, "effectid") or text_of(effect, "name")).lower(), "")


def apply(filter_: Element, clip: Clip, where: str, notes: list[str]) -> None:
    """Basic Motion, Crop and Opacity become curves, Time Remap the clip's speed."""
    effect, kind = filter_.find("effect"), kind_of(filter_)
    if not kind:
        if (text_of(effect, "effectid") or text_of(effect, "name")).lower() in REMAP:
            _retime(effect, clip)
        return
    for parameter in effect.findall("parameter"):
        name = text_of(parameter, "parameterid").lower()
        if kind == "motion" and name in MOTION:
            clip.motion[MOTION[name]] = _curve(parameter, "", clip, where, notes)
        elif kind == "motion" and name in ("center", "centeroffset"):
            prefix = "" if name == "center" else "anchor_"
            clip.motion[prefix + "x"] = _curve(parameter, "horiz", clip, where, notes)
            clip.motion[prefix + "y"] = _curve(parameter, "vert", clip, where, notes)
        elif kind == "crop" and name in CROP:
            clip.crop[name] = _curve(parameter, "", clip, where, notes)
        elif kind == "opacity" and name == "opacity":
            clip.opacity = _curve(parameter, "", clip, where, notes)


def _retime(effect: Element, clip: Clip) -> None:
    """Time Remap: a constant speed, backwards if below 0, or a curve from time to source frame."""
    said = {text_of(p, "parameterid").lower(): p for p in effect.iter("parameter")}
    clip.speed = number_of(text_of(said.get("speed"), "value")) or 100.0
    if text_of(said.get("reverse"), "value").upper() == "TRUE":
        clip.speed = -abs(clip.speed)
    graph = said.get("graphdict")
    varies = text_of(said.get("variablespeed"), "value").upper() in ("1", "TRUE")
    if graph is not None and varies:
        keys = {
            number_of(text_of(key, "when")): number_of(text_of(key, "value"))
            for key in graph.findall("keyframe")
        }
        known = sorted((w, v) for w, v in keys.items() if w is not None and v is not None)
        if known:
            clip.remap = Curve(known[0][1], tuple(known))


def _curve(parameter: Element, part: str, clip: Clip, where: str, notes: list[str]) -> Curve:
    path = f"value/{part}" if part else "value"
    what = f"{where}: {text_of(parameter, 'parameterid')}"
    keys, dropped = [], 0
    for keyframe in parameter.findall("keyframe"):
        when, value = number_of(text_of(keyframe, "when")), number_of(text_of(keyframe, path))
        if when is None or value is None or abs(when) > MAX_FRAME:
            dropped += 1
        else:
            keys.append((float(when), value))
    if dropped:
        notes.append(f"{what}: {dropped} keyframes without a finite time and value dropped")
    value = number_of(text_of(parameter, path))
    if value is None:
        rest = 100.0 if text_of(parameter, "parameterid") in ("scale", "opacity") else 0.0
        value = keys[0][1] if keys else rest
        if text_of(parameter, path) and not keys:
            notes.append(f"{what}: expected a number, got {text_of(parameter, path)[:40]!r}")
    keys = list(dict(sorted(keys, key=lambda k: k[0])).items())  # of two at one time the last
    # Times are frames of the source. A razor's second part holds all keys of the whole, which
    # may lie within its own length counted from 0: they still are the source's.
    first, last = clip.first - clip.lead, clip.last + clip.tail
    if keys and (keys[-1][0] < first - 1 or keys[0][0] > last + 1):
        notes.append(f"{what}: keyframes lie outside the clip, the nearest one holds")
    return Curve(value, tuple(keys))
