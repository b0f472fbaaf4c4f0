"""The stack of cameras that a first cut is made of, read from a timeline or laid from media files.

`T` ticks of 0.1 s, `C` cameras (the lowest track first).
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import av
import numpy as np

from experiments.shared.errors import InputError
from experiments.shared.reading import regular
from multitrack.answer import sound
from multitrack.edit.timeline import Clip, Media, Rate, Timeline, Track, sample_frames
from multitrack.xmeml.media import file_name
from multitrack.xmeml.safe import text_of

NTSC = {Fraction(n * 1000, 1001): Rate(Fraction(n), True) for n in (24, 30, 48, 60, 120)}


@dataclass
class Camera:
    """Everything on one video track. `names`: what it may be called."""

    track: int
    clips: list[Clip]
    names: list[str]

    @property
    def label(self) -> str:
        return f"V{self.track + 1} {self.names[1]}" if len(self.names) > 1 else self.names[0]


def cameras(timeline: Timeline) -> list[Camera]:
    """The tracks that hold enabled pictures; titles and generators are none.

    Raises:
        InputError: fewer than two.
    """
    found = []
    for number, track in enumerate(timeline.tracks):
        clips = [c for c in track.clips if c.enabled and c.kind in ("video", "nested", "unknown")]
        if not track.enabled or not clips:
            continue
        names = [f"V{number + 1}"]
        for clip in clips:
            names += [clip.name, clip.media.name if clip.media else ""]
            path = file_name(clip.media.path) if clip.media else ""
            names += [path, Path(path).stem]
        found.append(Camera(number, clips, [n for n in dict.fromkeys(names) if n]))
    if len(found) < 2:
        raise InputError(
            f"{timeline.name}: expected cameras on two video tracks at least, got {len(found)}"
        )
    return found


def find(all_: list[Camera], name: str, where: str) -> int:
    """The number of the camera that is called `name`, upper and lower case alike."""
    for number, camera in enumerate(all_):
        if name.lower() in (known.lower() for known in camera.names):
            return number
    known = "; ".join(", ".join(camera.names) for camera in all_)
    raise InputError(f"{where}: expected a camera among {known}, got {name!r}")


def seen(all_: list[Camera], timeline: Timeline) -> np.ndarray:
    """Where each camera has a picture: (T, C)."""
    frames = sample_frames(timeline.rate, timeline.duration)
    out = np.zeros((len(frames), len(all_)), bool)
    for number, camera in enumerate(all_):
        for clip in camera.clips:
            lo, hi = np.searchsorted(frames, (clip.start, clip.end))
            out[lo:hi, number] = True
    return out


@dataclass
class File:
    """A media file given on the command line: `NAME=FILE` or `NAME=FILE@SECONDS`, its offset."""

    name: str
    path: Path
    offset: float = 0.0


def named_file(text: str, option: str) -> File:
    """`NAME=FILE[@SECONDS]`: FILE begins SECONDS after the edit's start (before, if negative)."""
    name, mark, rest = text.partition("=")
    if not mark or not name or not rest:
        raise InputError(f"{option} {text}: expected NAME=FILE, or NAME=FILE@SECONDS")
    path, at, offset = rest.rpartition("@")
    try:
        return File(name, Path(path), float(offset)) if at else File(name, Path(rest))
    except ValueError:
        return File(name, Path(rest))  # an @ of the file's own name


def lay(cameras_: list[File], mics: list[File], name: str) -> Timeline:
    """A stack of media files: cameras on tracks, microphones on audio tracks, by their offsets.

    Raises:
        InputError: a file cannot be read, or a camera holds no picture.
    """
    probed = [(file, *probe(file.path, "video")) for file in cameras_]
    rate = probed[0][2]
    width, height = max((size for *_, size in probed), key=lambda s: s[0] * s[1])
    timeline = Timeline(name, rate, width, height)
    for number, (file, seconds, own, size) in enumerate(probed, 1):
        media = Media(
            f"file-v{number}", file.path.name, *size, round(seconds * own.fps), own,
            file.path.resolve().as_uri(),
        )  # fmt: skip
        start, first, length = _placed(file.offset, seconds, rate, own)
        last = first + int(length * own.fps / rate.fps)
        clip = Clip(
            f"clipitem-v{number}", file.name, start, start + length, first, last, own, media
        )
        timeline.tracks.append(Track([clip]))
    timeline.audio = Element("audio")
    for number, file in enumerate(mics, 1):
        seconds, *_ = probe(file.path, "audio")
        start, first, length = _placed(file.offset, seconds, rate, rate)
        track = SubElement(timeline.audio, "track")
        item = SubElement(track, "clipitem", id=f"clipitem-a{number}")
        _leaves(item, name=file.name, enabled="TRUE", duration=round(seconds * rate.fps))
        _rate(item, rate)
        _leaves(item, start=start, end=start + length)
        _leaves(item, **{"in": first, "out": first + length})
        media = SubElement(item, "file", id=f"file-a{number}")
        _leaves(media, name=file.path.name, pathurl=file.path.resolve().as_uri())
        _rate(media, rate)
        _leaves(media, duration=round(seconds * rate.fps))
        SubElement(SubElement(media, "media"), "audio")
        _leaves(SubElement(item, "sourcetrack"), mediatype="audio", trackindex=1)
    timeline.duration = max(c.end for c in timeline.clips)
    return timeline


def _placed(offset: float, seconds: float, rate: Rate, own: Rate) -> tuple[int, int, int]:
    """Start on the timeline, first media frame, and length in the timeline's frames."""
    start = max(0, round(offset * rate.fps))
    skipped = max(0.0, -offset)
    return start, round(skipped * own.fps), round((seconds - skipped) * rate.fps)


def _leaves(parent: Element, **texts: object) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = str(text)


def _rate(parent: Element, rate: Rate) -> None:
    timebase = float(rate.timebase)
    text = int(timebase) if timebase.is_integer() else timebase
    _leaves(SubElement(parent, "rate"), timebase=text, ntsc=str(rate.ntsc).upper())


def probe(path: Path, kind: str) -> tuple[float, Rate, tuple[int, int]]:
    """Seconds, rate and size (pixels) of a media file; of sound alone the last two say nothing."""
    regular(path, "a media file")
    try:
        with av.open(str(path)) as container:
            streams = getattr(container.streams, kind)
            if not streams:
                raise InputError(f"{path}: expected {kind}, got none")
            stream = streams[0]
            units = stream.duration * stream.time_base if stream.duration else None
            seconds = float(
                units if units is not None else (container.duration or 0) / av.time_base
            )
            if seconds <= 0:
                raise InputError(f"{path}: expected a length in the file, got none: remux it")
            if kind == "audio":
                return seconds, Rate(Fraction(25)), (0, 0)
            fps = Fraction(stream.average_rate or stream.base_rate or 25)
            near = [rate for exact, rate in NTSC.items() if abs(exact - fps) < Fraction(1, 200)]
            return seconds, near[0] if near else Rate(fps), (stream.width, stream.height)
    except (OSError, av.error.FFmpegError) as error:
        said = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: expected a media file that can be read, got {said}") from None


def sound_end(timeline: Timeline) -> int | None:
    """The sequence frame at which the last sound ends; None without sound."""
    ends = [sound.edge(i, "end") for t in sound.tracks(timeline) for i in sound.items(t)]
    return max(ends, default=None)


def mic_names(timeline: Timeline) -> list[str]:
    """A name of each audio track: its first item's."""
    firsts = [next(iter(sound.items(t)), None) for t in sound.tracks(timeline)]
    return [text_of(item, "name") if item is not None else "" for item in firsts]
