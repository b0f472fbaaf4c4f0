"""A first cut as an edit: every camera cut where its state changes, its own sound cut with it.

Frames are the sequence's. Microphones that belong to no camera run through whole.
"""

import copy
import itertools
from dataclasses import replace
from fractions import Fraction
from xml.etree.ElementTree import Element

import numpy as np

from multitrack.answer import sound
from multitrack.cutting.stack import Camera, sound_end
from multitrack.edit.timeline import Clip, Timeline, Track, sample_frames
from multitrack.xmeml.references import item_ids
from multitrack.xmeml.times import TICKS


def assemble(
    timeline: Timeline, cameras: list[Camera], shown: np.ndarray, *, delete: bool = False
) -> Timeline:
    """The stack with `shown` (T,), a camera's number for each tenth of a second, -1 for none.

    Angles that lose are switched off, or taken out with `delete`. Picture and sound end together,
    where the shorter of the two does.
    """
    made = copy.deepcopy(replace(timeline, sources={}))
    made.sources, made.name = timeline.sources, f"{timeline.name}, first cut"
    heard = sound_end(made)
    end = max(c.end for camera in cameras for c in camera.clips)
    if heard is not None and heard != end:
        step = float(abs(heard - end) / made.rate.fps)
        made.notes.append(
            f"{'sound' if heard > end else 'picture'} ended {step:.2f} s after the "
            f"{'picture' if heard > end else 'sound'}: both now end together"
        )
        end = min(end, heard)
    cutter = _Cutter(made, delete)
    for number, camera in enumerate(cameras):
        states = _states(shown == number, made, end)
        cutter.cut(made.tracks[camera.track], states)
    made.duration = end
    _trim(made, end)
    return made


def _states(on: np.ndarray, timeline: Timeline, end: int) -> list[tuple[int, int, bool]]:
    """(begin, end, whether it shows) in frames: the stretches of equal state up to `end`."""
    frames = sample_frames(timeline.rate, timeline.duration)[: len(on)]
    edges = np.nonzero(np.diff(on[: len(frames)].astype(np.int8)))[0] + 1
    cuts = [0, *(int(frames[e]) for e in edges if frames[e] < end), end]
    kinds = [bool(on[0]), *(bool(on[e]) for e in edges)]
    return list(zip(cuts, cuts[1:], kinds, strict=False))


class _Cutter:
    """Cuts tracks of one timeline; knows which ids are taken."""

    def __init__(self, timeline: Timeline, delete: bool):
        self.timeline, self.delete = timeline, delete
        self.ids, self.numbers = item_ids(timeline), itertools.count(1)

    def new_id(self, of: str) -> str:
        return next(i for i in (f"{of}-cut-{n}" for n in self.numbers) if i not in self.ids)

    def cut(self, track: Track, states: list[tuple[int, int, bool]]) -> None:
        """Cut the track's enabled clips where the state changes."""
        laid: list[Clip] = []
        for clip in track.clips:
            if not clip.enabled or clip.kind not in ("video", "nested", "unknown"):
                laid.append(clip)
                continue
            parts = [(max(a, clip.start), min(b, clip.end), on) for a, b, on in states]
            parts = [part for part in parts if part[0] < part[1]]
            laid += self._parts(clip, parts)
        edges = {c.start for c in laid} & {c.end for c in laid}
        kept = [t for t in track.transitions if t.cut in edges and _alike(laid, t.cut)]
        for clip in laid:
            clip.lead = clip.lead if any(t.cut == clip.start for t in kept) else 0
            clip.tail = clip.tail if any(t.cut == clip.end for t in kept) else 0
        track.clips, track.transitions = laid, kept

    def _parts(self, clip: Clip, parts: list[tuple[int, int, bool]]) -> list[Clip]:
        ratio = clip.rate.fps / self.timeline.rate.fps
        made, linked = [], self._linked(clip)
        for number, (begin, end, on) in enumerate(parts):
            first = clip.first + int((begin - clip.start) * ratio)
            last = clip.first + int((end - clip.start) * ratio) if end < clip.end else clip.last
            part = replace(
                clip, id=clip.id if number == 0 else self.new_id(clip.id), start=begin, end=end,
                first=first, last=last, enabled=on, lead=clip.lead if begin == clip.start else 0,
                tail=clip.tail if end == clip.end else 0, motion=dict(clip.motion),
                crop=dict(clip.crop), kept=[e for e in clip.kept if e.tag != "link"],
            )  # fmt: skip
            sounds = self._sounds(linked, begin, end, number == 0)
            if on or not self.delete:
                made.append(part)
                if sounds:
                    keys = [(part.id, "video"), *((s.get("id"), "audio") for s in sounds)]
                    sound.join(keys, part, sounds)
        for track, item in linked:
            track.remove(item)
        return made

    def _linked(self, clip: Clip) -> list[tuple[Element, Element]]:
        """(audio track, item) of the sound that is linked to the clip and lies beside it."""
        wanted = set(sound.links(clip))
        return [
            (track, item)
            for track in sound.tracks(self.timeline)
            for item in sound.items(track)
            if item.get("id") in wanted and sound.edge(item, "start") < clip.end
            and sound.edge(item, "end") > clip.start and sound.edge(item, "start") >= 0
        ]  # fmt: skip

    def _sounds(
        self, linked: list[tuple[Element, Element]], begin: int, end: int, first: bool
    ) -> list[Element]:
        """A stretch of each linked item, laid before the item that it is of."""
        made = []
        for track, item in linked:
            one, two = max(begin, sound.edge(item, "start")), min(end, sound.edge(item, "end"))
            if one >= two:
                continue
            part = copy.deepcopy(item)
            part.set("id", item.get("id") if first else self.new_id(item.get("id")))
            for link in part.findall("link"):
                part.remove(link)
            trim(part, one, two, self.timeline)
            track.insert(list(track).index(item), part)
            made.append(part)
        return made


def _alike(clips: list[Clip], cut: int) -> bool:
    return len({c.enabled for c in clips if cut in (c.start, c.end)}) == 1


def trim(item: Element, begin: int, end: int, timeline: Timeline) -> None:
    """Let an audio item last from `begin` to `end`, both within it; its finer ticks with it."""
    rate = sound.rate(item, timeline)
    start, first = sound.edge(item, "start"), sound.edge(item, "in")
    ratio = rate.fps / timeline.rate.fps
    edges = {
        "in": first + round((begin - start) * ratio), "out": first + round((end - start) * ratio)
    }  # fmt: skip
    for tag, frame in {"start": begin, "end": end, **edges}.items():
        item.find(tag).text = str(frame)
    for tag, frame in edges.items():
        finer = item.find(f"pproTicks{tag.title()}")
        if finer is not None:
            finer.text = str(int(Fraction(frame) / rate.fps * TICKS))


def _trim(timeline: Timeline, end: int) -> None:
    """Cut off whatever lasts beyond frame `end`."""
    for track in timeline.tracks:
        track.clips = [c for c in track.clips if c.start < end]
        for clip in track.clips:
            if clip.end > end:
                clip.last -= int((clip.end - end) * clip.rate.fps / timeline.rate.fps)
                clip.end, clip.tail = end, 0
    for track in sound.tracks(timeline):
        for item in sound.items(track):
            if sound.edge(item, "start") >= end:
                track.remove(item)
            elif sound.edge(item, "end") > end and sound.edge(item, "start") >= 0:
                trim(item, sound.edge(item, "start"), end, timeline)
