"""The filters of a clip in FCP7 XML: motion, crop, opacity and speed, with their keyframes."""

from xml.etree.ElementTree import Element

from multitrack.edit.timeline import Clip, Curve
from multitrack.xmeml.safe import number_of, text_of

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
MAX_FRAME = 1 << 40


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
            speed = [p for p in filter_.iter("parameter") if text_of(p, "parameterid") == "speed"]
            clip.speed = (number_of(text_of(speed[0], "value")) or 100.0) if speed else 100.0
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
    return Curve(value, tuple(_media_relative(keys, clip, what, notes)))


def _media_relative(
    keys: list[tuple[float, float]], clip: Clip, what: str, notes: list[str]
) -> list[tuple[float, float]]:
    """Key times in media frames, whatever the exporter meant.

    Any key within the trim: media-relative already (keys in the handles shape the ramp).
    Else all within the clip's length: clip-relative. Else they are kept and held.
    """
    first, last = clip.first - clip.lead, clip.last + clip.tail
    if not keys or any(first - 1 <= when <= last + 1 for when, _ in keys):
        return keys
    if all(0 <= when <= last - first for when, _ in keys):
        return [(when + first, value) for when, value in keys]
    notes.append(f"{what}: keyframes lie outside the clip, the nearest one holds")
    return keys
