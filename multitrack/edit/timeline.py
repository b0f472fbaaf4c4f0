"""A video edit as data: clips on tracks in exact rational time, sampled ten times a second.

Axes: `T` samples (0.1 s), `K` tracks (first = bottom), 9 parameters in the order of PARAMETERS.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from xml.etree.ElementTree import Element

import numpy as np

PARAMETERS = ("active", "asset", "scale", "x", "y", "left", "right", "top", "bottom")
ASSETS = (
    *(f"video {slot}" for slot in range(4)),
    "more video",
    "still",
    "text",
    "generator",
    "nested",
    "unknown",
)
KINDS = {"still": 5, "text": 6, "generator": 7, "nested": 8, "unknown": 9}
TRACKS = 20
SAMPLES_PER_SECOND = 10
REST = (0.0, 0.0, 100.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # what an empty cell holds


@dataclass(frozen=True)
class Rate:
    """Frames a second, `timebase` x 1000/1001 if `ntsc`. NTSC is never inferred from the number."""

    timebase: Fraction
    ntsc: bool = False

    @property
    def fps(self) -> Fraction:
        return Fraction(self.timebase) * (Fraction(1000, 1001) if self.ntsc else 1)


@dataclass(frozen=True)
class Curve:
    """A parameter: one value, or keys (media frame, value) joined by straight lines, held outside.

    Keys replace the value, as both Apple's and Adobe's programs mean it.
    """

    value: float
    keys: tuple[tuple[float, float], ...] = ()

    def at(self, frames: np.ndarray) -> np.ndarray | float:
        """Values at `frames` (media frames)."""
        if not self.keys:
            return self.value
        when, value = zip(*self.keys, strict=True)
        return np.interp(frames, when, value)

    @property
    def moves(self) -> bool:
        return len({value for _, value in self.keys}) > 1


@dataclass
class Media:
    """A source: a file, a generator or (with `sequence`) a nested timeline. Sizes in pixels."""

    id: str
    name: str
    width: int
    height: int
    duration: int = 0
    rate: Rate | None = None
    path: str = ""
    sequence: "Timeline | None" = None
    element: Element | None = field(default=None, compare=False, repr=False)


@dataclass
class Clip:
    """An item on a track: [start, end) in sequence frames, [first, last) in media frames.

    Where an edge lies inside a transition, `start`/`end` are the cut point and `lead`/`tail` say
    how many frames the clip goes on beyond it (FCP7 writes such an edge as -1).
    `speed`: percent, below 0 backwards; `remap`: the source frame over the clip's time, where the
    speed varies.
    `attributes`, `kept`: what of the element no other field holds, and its filters.
    """

    id: str
    name: str
    start: int
    end: int
    first: int
    last: int
    rate: Rate
    media: Media | None = None
    kind: str = "video"
    enabled: bool = True
    motion: dict[str, Curve] = field(default_factory=dict)
    crop: dict[str, Curve] = field(default_factory=dict)
    opacity: Curve | None = None
    speed: float = 100.0
    remap: Curve | None = None
    lead: int = 0
    tail: int = 0
    masterclip: str = ""
    attributes: dict[str, str] = field(default_factory=dict, compare=False)
    kept: list[Element] = field(default_factory=list, compare=False, repr=False)

    def curve(self, name: str, default: float = 0.0) -> Curve:
        return self.motion.get(name, Curve(default))


@dataclass
class Transition:
    start: int
    end: int
    alignment: str = "center"
    name: str = "Cross Dissolve"
    element: Element | None = field(default=None, compare=False, repr=False)

    @property
    def cut(self) -> int:
        """The sequence frame at which one clip hands over to the other."""
        if self.alignment.startswith("start"):
            return self.start
        return self.end if self.alignment.startswith("end") else (self.start + self.end) // 2


@dataclass
class Track:
    clips: list[Clip] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    enabled: bool = True
    locked: bool = False
    attributes: dict[str, str] = field(default_factory=dict, compare=False)
    kept: list[Element] = field(default_factory=list, compare=False, repr=False)


@dataclass
class Timeline:
    """One sequence. `notes` are the reader's remarks on what it had to mend or leave out.

    `attributes`, `kept`, `format`: markers, timecode, pixel aspect ratio and what else no other
    field holds. `sources`: the document's definitions of files and sequences by (tag, id).
    """

    name: str
    rate: Rate
    width: int
    height: int
    tracks: list[Track] = field(default_factory=list)
    duration: int = 0
    id: str = "sequence-1"
    audio: Element | None = field(default=None, compare=False, repr=False)
    format: Element | None = field(default=None, compare=False, repr=False)
    attributes: dict[str, str] = field(default_factory=dict, compare=False)
    kept: list[Element] = field(default_factory=list, compare=False, repr=False)
    sources: dict[tuple[str, str], Element] = field(default_factory=dict, compare=False, repr=False)
    notes: list[str] = field(default_factory=list, compare=False)

    @property
    def seconds(self) -> float:
        return float(self.duration / self.rate.fps)

    @property
    def clips(self) -> list[Clip]:
        return [clip for track in self.tracks for clip in track.clips]


@dataclass
class Frames:
    """A sampled timeline.

    values: (T, K, 9) float32; scale in percent, x and y of the clip's centre from the canvas centre
        in canvas widths and heights (+ right, + down), crops in percent of the source.
    sizes: (T, K, 2) float32, the source's width and height in pixels (0 where inactive).
    canvas: (width, height) in pixels.
    """

    values: np.ndarray
    sizes: np.ndarray
    canvas: tuple[int, int]
    notes: list[str] = field(default_factory=list)


def sample_frames(rate: Rate, duration: int) -> np.ndarray:
    """The sequence frame that holds each instant i/10 s, i = 0.. while it is < `duration`."""
    step = rate.fps / SAMPLES_PER_SECOND
    count = math.ceil(duration / step)
    return np.arange(count, dtype=np.int64) * step.numerator // step.denominator


def asset_classes(timeline: Timeline) -> dict[int, int]:
    """Asset class of each clip (by `id()` of the clip).

    Video sources get slots in order of their first appearance (causal: the future does not change
    a slot), stills, texts and so on their kind's class.
    """
    slots: dict[str, int] = {}
    classes = {}
    shown = {id(c) for t in timeline.tracks if t.enabled for c in t.clips if c.enabled}
    # Clips that never show come last, so that they take no slot from those that do.
    for clip in sorted(timeline.clips, key=lambda c: (id(c) not in shown, c.start)):
        if clip.kind in KINDS:
            classes[id(clip)] = KINDS[clip.kind]
        else:
            key = clip.media.id if clip.media else clip.name
            classes[id(clip)] = min(slots.setdefault(key, len(slots)), 4)
    return classes


def media_frames(clip: Clip, frames: np.ndarray, rate: Rate) -> np.ndarray:
    """The media frame shown at each sequence frame, fractional where the rates differ."""
    ratio = clip.rate.fps / rate.fps
    return clip.first + (frames - clip.start) * ratio.numerator / ratio.denominator


def clip_values(clip: Clip, frames: np.ndarray, timeline: Timeline, rule: str) -> np.ndarray:
    """The seven geometric parameters of `clip` at sequence `frames`: (7, T)."""
    at = media_frames(clip, frames, timeline.rate)
    width, height = source_size(clip, timeline)
    scale = clip.curve("scale", 100.0).at(at)
    unit = (width, height) if rule == "source" else (timeline.width, timeline.height)
    centre = [
        (clip.curve(name).at(at) * unit[axis] - scale / 100 * size * clip.curve(anchor).at(at))
        / (timeline.width, timeline.height)[axis]
        for axis, (name, anchor, size) in enumerate(
            (("x", "anchor_x", width), ("y", "anchor_y", height))
        )
    ]
    crops = [
        np.clip(clip.curve(side).at(at) + clip.crop.get(side, Curve(0.0)).at(at), 0, 100)
        for side in PARAMETERS[5:]
    ]
    return np.stack([np.broadcast_to(row, frames.shape) for row in (scale, *centre, *crops)])


def source_size(clip: Clip, timeline: Timeline) -> tuple[int, int]:
    """Pixels of the clip's source; the canvas where the file does not say."""
    media = clip.media
    if media and media.width > 0 and media.height > 0:
        return media.width, media.height
    return timeline.width, timeline.height


def sample(timeline: Timeline, tracks: int = TRACKS, rule: str = "source") -> Frames:
    """The timeline's nine parameters ten times a second on its lowest `tracks` tracks.

    `rule`: whether Basic Motion's centre is in units of the `source` (Adobe) or the `sequence`.
    Of overlapping clips on a track the later one shows (the reader has noted it).
    """
    frames = sample_frames(timeline.rate, timeline.duration)
    values = np.empty((len(frames), tracks, 9), np.float32)
    values[:] = REST
    sizes = np.zeros((len(frames), tracks, 2), np.float32)
    classes = asset_classes(timeline)
    for number, track in enumerate(timeline.tracks[:tracks]):
        for clip in sorted(track.clips, key=lambda c: c.start) if track.enabled else ():
            lo, hi = np.searchsorted(frames, (clip.start, clip.end))
            if clip.enabled and lo < hi:
                values[lo:hi, number, 0] = 1
                values[lo:hi, number, 1] = classes[id(clip)]
                values[lo:hi, number, 2:] = clip_values(clip, frames[lo:hi], timeline, rule).T
                sizes[lo:hi, number] = source_size(clip, timeline)
    lost = [(n, t) for n, t in enumerate(timeline.tracks, 1) if n > tracks and t.clips]
    notes = [
        f"track V{n} dropped ({len(t.clips)} clips): only the lowest {tracks} tracks are used"
        for n, t in lost
    ]
    return Frames(values, sizes, (timeline.width, timeline.height), notes)
