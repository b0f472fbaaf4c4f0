"""Size, place and crop of predicted cells as a clip's curves: still where nothing moves.

`N` predicted samples (0.1 s).
"""

import numpy as np

from multitrack.answer.pieces import curve
from multitrack.edit.timeline import Clip, Curve, Timeline, source_size

# What counts as standing still, and how far a straight line may miss: percent, pixels, percent.
SLACK = {"scale": 0.5, "place": 2.0, "crop": 0.5}
# How near a still value takes over the source's last one: percent of it, of the canvas, percent.
SNAP = {"scale": 5.0, "place": 2.0, "crop": 2.0}
Series = dict[str, tuple[np.ndarray, float, float]]


def media_frames(timeline: Timeline, clip: Clip, frames: np.ndarray) -> np.ndarray:
    """The media frames, whole ones, that `clip` shows at sequence `frames`."""
    ratio = float(clip.rate.fps / timeline.rate.fps)
    return np.round(clip.first + (frames - clip.start) * ratio)


def series(timeline: Timeline, rule: str, values: np.ndarray, clip: Clip, at: np.ndarray) -> Series:
    """Each parameter in the file's units: its course (N,), its slack, and what it snaps within.

    values (N, 9); `at` (N,): the media frames that show then, where the clip's anchor counts.
    """
    canvas, size = (timeline.width, timeline.height), source_size(clip, timeline)
    unit = size if rule == "source" else canvas
    scale = values[:, 2].clip(0, 1000)
    found = {"scale": (scale, SLACK["scale"], SNAP["scale"] / 100 * float(np.median(scale)))}
    for i, name in enumerate("xy"):
        anchor = size[i] * clip.curve(f"anchor_{name}").at(at)
        pixels = values[:, 3 + i] * canvas[i] + scale / 100 * anchor
        near = SNAP["place"] / 100 * canvas[i] / unit[i]
        found[name] = (pixels / unit[i], SLACK["place"] / unit[i], near)
    for i, side in enumerate(("left", "right", "top", "bottom")):
        found[side] = (values[:, 5 + i].clip(0, 100), SLACK["crop"], SNAP["crop"])
    return found


def shaped(clip: Clip, donor: Clip, at: np.ndarray, found: Series) -> None:
    """Give a new clip its curves: a value that stands still is the source's last, if it is near."""
    for name, (course, slack, near) in found.items():
        made = curve(course, at, slack)
        if not made.keys:
            last = _at(donor, name, np.array([donor.last - 1.0]))[0]
            first = _at(donor, name, np.array([float(donor.first)]))[0]
            best = min((last, first), key=lambda value: abs(value - made.value))
            made = Curve(float(best)) if abs(best - made.value) <= near else made
        clip.motion[name] = made


def _at(clip: Clip, name: str, at: np.ndarray) -> np.ndarray:
    """The parameter at media frames, of both encodings of a crop together."""
    rest = Curve(100.0 if name == "scale" else 0.0)
    return clip.motion.get(name, rest).at(at) + clip.crop.get(name, Curve(0.0)).at(at) + 0 * at


def go_on(clip: Clip, at: np.ndarray, found: Series) -> list[str]:
    """Let a clip's curves go on over media frames `at`; names of those that lose their easing."""
    eased = []
    for name, (course, slack, near) in found.items():
        curves = clip.crop if name in clip.crop else clip.motion
        if name in clip.motion and name in clip.crop:
            continue  # both encodings at once: left as they are
        known = curves.get(name, Curve(100.0 if name == "scale" else 0.0))
        held, ahead = np.asarray(known.at(at)) * np.ones(len(at)), curve(course, at, slack)
        if np.abs(course - held).max() <= slack:
            continue
        if not ahead.keys and not known.moves and abs(ahead.value - held[0]) <= near:
            continue
        seam = float(at[0]) - 1  # up to here it moves as it did
        keys = [key for key in known.keys if key[0] < seam]
        keys.append((seam, float(known.at(seam))))
        more = ahead.keys or ((float(at[0]), ahead.value),)
        curves[name] = Curve(known.value, (*keys, *more))
        if known.keys and _eased(clip):
            eased.append(name)
    return eased


def _eased(clip: Clip) -> bool:
    keyframes = (k for e in clip.kept if e.tag == "filter" for k in e.iter("keyframe"))
    return any(child.tag not in ("when", "value") for keyframe in keyframes for child in keyframe)
