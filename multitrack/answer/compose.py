"""Lays predicted cells over a timeline as clips, as an editor would leave them.

Sources keep their sync, sound goes on with its picture, what stands still has no keys, no shot is a
flash, and no black comes in. `N` predicted samples (0.1 s), `K` tracks.
"""

import copy
import itertools
from dataclasses import replace
from xml.etree.ElementTree import Element

import numpy as np

from multitrack.answer import seams, shape, sound
from multitrack.answer.footage import Footage, at_own_speed
from multitrack.answer.pieces import SHORTEST, hysteresis, segments
from multitrack.edit.timeline import (
    SAMPLES_PER_SECOND,
    Clip,
    Timeline,
    Track,
    Transition,
    asset_classes,
)
from multitrack.xmeml.references import item_ids, links
from multitrack.xmeml.safe import text_of
from multitrack.xmeml.write import AHEAD


class Composer:
    """Lays predictions over a copy of `timeline`.

    `rule`: what Basic Motion's centre is in units of, as in `timeline.sample`.
    """

    def __init__(self, timeline: Timeline, rule: str = "source"):
        # The document's definitions are only read: as large as the document, they are shared.
        self.timeline, self.rule = copy.deepcopy(replace(timeline, sources={})), rule
        self.timeline.sources = timeline.sources
        self.ids, self.numbers = item_ids(self.timeline), itertools.count(1)
        self.classes = asset_classes(self.timeline)
        self.footage = Footage(self.timeline, self.classes)
        self.notes: list[str] = []

    def _new_id(self, stem: str) -> str:
        """An id that no item has, be it from an earlier prediction over the same edit."""
        return next(i for i in (f"{stem}-{n}" for n in self.numbers) if i not in self.ids)

    def frame(self, sample: int) -> int:
        step = self.timeline.rate.fps / SAMPLES_PER_SECOND
        return int(sample * step.numerator // step.denominator)

    def lay(
        self,
        values: np.ndarray,
        sure: np.ndarray,
        start: int,
        tracks: list[int] | None = None,
    ) -> Timeline:
        """Replace [start, start + N) on `tracks` by values (N, K, 9), P(active) `sure` (N, K)."""
        count = len(values)
        first, last = self.frame(start), self.frame(start + count)
        chosen = range(values.shape[1]) if tracks is None else tracks
        given = {clip.id: clip.end for clip in self.timeline.clips}
        shown = max((c.end for c in self.timeline.clips if c.enabled), default=0)
        empty = seams.black(self.timeline, first, min(last, shown))
        self._run_on(start, chosen)
        before = np.zeros(values.shape[1], bool)
        for k, track in enumerate(self.timeline.tracks[: values.shape[1]]):
            before[k] = track.enabled and any(
                c.enabled and c.start < first <= c.end for c in track.clips
            )
        on = hysteresis(sure, before)
        for k in chosen:
            found = segments(on[:, k], values[:, k, 1].round().astype(int))
            while len(self.timeline.tracks) <= k and found:
                self.timeline.tracks.append(Track())
            if k < len(self.timeline.tracks) and self.timeline.tracks[k].enabled:
                self._track(k, found, values[:, k], start, count)
        wanted = np.zeros(max(0, last - first), bool)
        for i, any_on in enumerate(on.any(1)):
            wanted[self.frame(start + i) - first : self.frame(start + i + 1) - first] = any_on
        self.notes += seams.hold(
            self.timeline, self.footage, (first, last), wanted, empty, self._make_way
        )
        sound.follow_picture(self.timeline, given)
        if last > shown:
            sound.go_on(self.timeline, shown, max([shown, *(c.end for c in self.timeline.clips)]))
        ends = [c.end + c.tail for c in self.timeline.clips]
        self.timeline.duration = max(last, self.timeline.duration, *ends, 0)
        gone = set(given) - {clip.id for clip in self.timeline.clips}
        lost = {text_of(link, "linkclipref") for link in links(self.timeline)} & gone
        if lost:
            self.notes.append(
                f"{len(lost)} clips with links were taken out: what they were linked to stays, "
                "without the link"
            )
        self.timeline.notes = [*self.timeline.notes, *self.notes]
        return self.timeline

    def _run_on(self, start: int, tracks: list[int] | range) -> None:
        """Let clips that are shown at the last sample before `start` last until it.

        Their ends may lie between two samples, and the frames from there on would stay empty.
        """
        seen, first = self.frame(start - 1), self.frame(start)
        for track in (self.timeline.tracks[k] for k in tracks if k < len(self.timeline.tracks)):
            for clip in track.clips:
                follows = any(clip.end <= other.start < first for other in track.clips)
                fades = any(t.cut == clip.end for t in track.transitions)
                if clip.enabled and seen < clip.end < first and not follows and not fades:
                    seams.move_end(clip, self.footage.reach(clip, first), self.timeline)

    def _track(
        self,
        number: int,
        found: list[tuple[int, int, int]],
        values: np.ndarray,
        start: int,
        count: int,
    ) -> None:
        track = self.timeline.tracks[number]
        first, last = self.frame(start), self.frame(start + count)
        whole = [c for c in track.clips if c.enabled and c.start < first and c.end > last]
        if whole and found == [(0, count, self.classes[id(whole[0])])]:
            return  # one clip runs through, as before
        gone = self._clear(track, first, last)
        for begin, end, kind in found:
            one, two = self.frame(start + begin), self.frame(start + end)
            gone += self._make_way(track, one, two)
            left = self._left(track, one)
            if begin == 0 and left is not None and self.classes[id(left)] == kind:
                self._prolong(track, left, two, values[begin:end], start)
            elif end - begin >= SHORTEST or not self._advance(track, one, two, kind):
                self._insert(number, kind, one, two, values[begin:end], start + begin)
        track.clips.sort(key=lambda c: c.start)
        seams.restore(track, gone, self.frame(1), self.footage)

    def _left(self, track: Track, frame: int) -> Clip | None:
        """The clip that shows until `frame`, or would, had its source not ended just before."""
        seen = frame - self.timeline.rate.fps / SAMPLES_PER_SECOND
        fitting = [
            clip
            for clip in track.clips
            if clip.enabled and not clip.tail and seen < clip.end <= frame
            and (clip.end == frame or self.footage.reach(clip, frame) == clip.end)
        ]  # fmt: skip
        return max(fitting, key=lambda c: c.end, default=None)

    def _advance(self, track: Track, first: int, last: int, kind: int) -> bool:
        """Let a clip of class `kind` that begins at `last` begin at `first`: no flash before it."""
        for clip in track.clips:
            earlier = int((last - first) * clip.rate.fps / self.timeline.rate.fps)
            fits = clip.enabled and clip.start == last and self.classes[id(clip)] == kind
            if fits and not clip.lead and clip.first >= earlier:
                clip.start, clip.first = first, clip.first - earlier
                return True
        return False

    def _clear(self, track: Track, first: int, last: int, enabled: bool = True) -> list[Transition]:
        """Take [first, last) out of the track's clips, and transitions that reach into it.

        Of the enabled clips or of the disabled: these are an editor's alternatives, which go only
        where something is put. The transitions that went are returned.
        """
        kept = []
        for clip in track.clips:
            if clip.end <= first or clip.start >= last or clip.enabled != enabled:
                kept.append(clip)
                continue
            if not enabled:
                self.notes.append(f"disabled {clip.name!r} gives way from frame {first}")
            before, after = seams.without(clip, first, last, self.timeline)
            if before is not None and after is not None:  # the first keeps the id and its links
                after.id = self._new_id(f"{clip.id}-after")
                after.kept = [e for e in clip.kept if e.tag != "link"]
                if len(after.kept) < len(clip.kept):
                    self.notes.append(f"{clip.name!r} is cut in two: from frame {last} unlinked")
            for part in (before, after):
                if part is not None:
                    kept.append(part)
                    self.classes[id(part)] = self.classes[id(clip)]
        track.clips = kept
        gone = [t for t in track.transitions if t.end > first and t.start < last]
        track.transitions = [t for t in track.transitions if t not in gone]
        for clip in track.clips:  # an edge whose transition is gone is a plain cut
            clip.lead = 0 if any(t.cut == clip.start for t in gone) else clip.lead
            clip.tail = 0 if any(t.cut == clip.end for t in gone) else clip.tail
        return gone

    def _make_way(self, track: Track, first: int, last: int) -> list[Transition]:
        """Take disabled clips out of [first, last)."""
        return self._clear(track, first, last, enabled=False)

    def _prolong(self, track: Track, clip: Clip, end: int, values: np.ndarray, start: int) -> None:
        """Let `clip` run on to sequence frame `end`; what moves gets further keys."""
        old, wanted, end = clip.end, end, self.footage.reach(clip, end)
        if end < wanted:
            self.notes.append(
                f"{clip.name!r}: its source ends at frame {end}, predicted until {wanted}: "
                "left empty from there"
            )
        frames = self._frames(start, end, len(values))
        if end <= old or not len(frames):
            return
        track.transitions = [t for t in track.transitions if t.cut != old]
        values, at = values[: len(frames)], shape.media_frames(self.timeline, clip, frames)
        found = shape.series(self.timeline, self.rule, values, clip, at)
        for name in shape.go_on(clip, at, found):
            self.notes.append(f"{clip.name!r}: {name} goes on, its keys lose their easing")
        seams.move_end(clip, end, self.timeline)

    def _insert(
        self, number: int, kind: int, first: int, last: int, values: np.ndarray, start: int
    ) -> None:
        donor = self.footage.donor(number, kind, first, float(np.median(values[:, 2])))
        if donor is None:
            self.notes.append(f"V{number + 1}: nothing to show at frame {first}, left empty")
            return
        own, ratio = at_own_speed(donor), donor.rate.fps / self.timeline.rate.fps
        length = int((last - first) * ratio)
        begin, limit = self.footage.begin(own, first, length), self.footage.limit(own)
        if limit is not None and begin + length > limit:
            wanted, last = last, first + int((limit - begin) / ratio)
            length = int((last - first) * ratio)
            self.notes.append(
                f"V{number + 1}: {donor.name!r} ends at frame {last}, predicted until {wanted}"
            )
        frames = self._frames(start, last, len(values))
        if not len(frames):
            return
        clip = replace(
            own, id=self._new_id("clipitem-predicted"), start=first, end=last, first=begin,
            last=begin + length, lead=0, tail=0, motion={}, crop={}, opacity=None,
            kept=[e for e in donor.kept if _of_the_source(e)],
        )  # fmt: skip
        at = shape.media_frames(self.timeline, clip, frames)
        found = shape.series(self.timeline, self.rule, values[: len(frames)], clip, at)
        shape.shaped(clip, donor, at, found)
        self.classes[id(clip)] = self.classes[id(donor)]
        self.timeline.tracks[number].clips.append(clip)
        sound.lay_beside(self.timeline, clip, donor, self._new_id)

    def _frames(self, start: int, end: int, count: int) -> np.ndarray:
        """Sequence frames of `count` samples from `start`, as far as they lie before `end`."""
        frames = np.array([self.frame(start + i) for i in range(count)])
        return frames[frames < end]


def _of_the_source(element: Element) -> bool:
    """Whether what is kept of a clip belongs to what it shows, not to this one use of it."""
    text = text_of(element, "effect/effectid").lower() == "graphicandtype"
    return text or element.tag in ("effect", *AHEAD)
