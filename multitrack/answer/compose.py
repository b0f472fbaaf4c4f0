"""Lays predicted cells over a timeline as clips, with donors for their media.

`N` predicted samples (0.1 s), `K` tracks.
"""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from xml.etree.ElementTree import Element

import numpy as np

from multitrack.answer.pieces import curve, hysteresis, segments
from multitrack.edit.timeline import (
    SAMPLES_PER_SECOND,
    Clip,
    Curve,
    Timeline,
    Track,
    asset_classes,
    source_size,
)
from multitrack.xmeml.references import item_ids, links
from multitrack.xmeml.safe import text_of
from multitrack.xmeml.write import AHEAD

# What counts as standing still, and how far a straight line may miss: percent, pixels, percent.
SLACK = {"scale": 0.5, "place": 2.0, "crop": 0.5}


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
        chosen = range(values.shape[1]) if tracks is None else tracks
        given = {clip.id for clip in self.timeline.clips}
        self._run_on(start, chosen)
        before = np.zeros(values.shape[1], bool)
        for k, track in enumerate(self.timeline.tracks[: values.shape[1]]):
            before[k] = track.enabled and any(
                c.enabled and c.start < self.frame(start) <= c.end for c in track.clips
            )
        on = hysteresis(sure, before)
        for k in chosen:
            found = segments(on[:, k], values[:, k, 1].round().astype(int))
            while len(self.timeline.tracks) <= k and found:
                self.timeline.tracks.append(Track())
            if k < len(self.timeline.tracks) and self.timeline.tracks[k].enabled:
                self._track(k, found, values[:, k], start, count)
        ends = [c.end + c.tail for c in self.timeline.clips]
        self.timeline.duration = max(self.frame(start + count), self.timeline.duration, *ends, 0)
        gone = given - {clip.id for clip in self.timeline.clips}
        lost = {text_of(link, "linkclipref") for link in links(self.timeline)} & gone
        if lost:
            self.notes.append(
                f"{len(lost)} clips with links were taken out: what they were linked to stays, "
                "without the link"
            )
        self.timeline.notes = [*self.timeline.notes, *self.notes]
        return self.timeline

    def _run_on(self, start: int, tracks: Sequence[int]) -> None:
        """Let clips that are shown at the last sample before `start` last until it.

        Their ends may lie between two samples, and the frames from there on would stay empty.
        """
        seen, first = self.frame(start - 1), self.frame(start)
        for track in (self.timeline.tracks[k] for k in tracks if k < len(self.timeline.tracks)):
            for clip in track.clips:
                follows = any(clip.end <= other.start < first for other in track.clips)
                fades = any(t.cut == clip.end for t in track.transitions)
                if clip.enabled and seen < clip.end < first and not follows and not fades:
                    end = self._reach(clip, first)
                    clip.last += int((end - clip.end) * clip.rate.fps / self.timeline.rate.fps)
                    clip.end = end

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
        self._clear(track, first, last)
        for begin, end, kind in found:
            one, two = self.frame(start + begin), self.frame(start + end)
            self._clear(track, one, two, enabled=False)
            left = self._left(track, one)
            if begin == 0 and left is not None and self.classes[id(left)] == kind:
                self._prolong(track, left, two, values[begin:end], start)
            else:
                self._insert(number, kind, one, two, values[begin:end], start + begin)
        track.clips.sort(key=lambda c: c.start)

    def _left(self, track: Track, frame: int) -> Clip | None:
        """The clip that shows until `frame`, or would, had its source not ended just before."""
        seen = frame - self.timeline.rate.fps / SAMPLES_PER_SECOND
        fitting = [
            clip
            for clip in track.clips
            if clip.enabled and not clip.tail and seen < clip.end <= frame
            and (clip.end == frame or self._reach(clip, frame) == clip.end)
        ]  # fmt: skip
        return max(fitting, key=lambda c: c.end, default=None)

    def _source_end(self, clip: Clip) -> Fraction | None:
        """The media frame at which the clip's source ends; None: never, or nobody says."""
        media = clip.media
        if clip.kind not in ("video", "nested") or media is None or media.duration <= 0:
            return None
        if clip.speed == 0:
            return None
        ratio = clip.rate.fps / (media.rate or clip.rate).fps * Fraction(100 / abs(clip.speed))
        return max(media.duration * ratio, Fraction(clip.last))

    def _reach(self, clip: Clip, end: int) -> int:
        """The sequence frame, `end` at most, up to which the clip's source lasts."""
        limit = self._source_end(clip)
        if limit is None:
            return end
        return min(
            end, clip.end + int((limit - clip.last) * self.timeline.rate.fps / clip.rate.fps)
        )

    def _clear(self, track: Track, first: int, last: int, enabled: bool = True) -> None:
        """Take [first, last) out of the track's clips, and transitions that reach into it.

        Of the enabled clips or of the disabled: these are an editor's alternatives, which go only
        where something is put.
        """
        kept = []
        for clip in track.clips:
            if clip.end <= first or clip.start >= last or clip.enabled != enabled:
                kept.append(clip)
                continue
            if not enabled:
                self.notes.append(f"disabled {clip.name!r} gives way from frame {first}")
            ratio = clip.rate.fps / self.timeline.rate.fps
            if clip.start < first:
                cut = int((clip.end - first) * ratio)
                kept.append(replace(clip, end=first, last=clip.last - cut, tail=0))
                self.classes[id(kept[-1])] = self.classes[id(clip)]
            if clip.end > last:
                skip = int((last - clip.start) * ratio)
                rest = replace(
                    clip, start=last, first=clip.first + skip, lead=0,
                    motion=dict(clip.motion), crop=dict(clip.crop),  # the part before may go on
                )  # fmt: skip
                if clip.start < first:  # the part before keeps the id, and what is linked to it
                    rest.id = self._new_id(f"{clip.id}-after")
                    rest.kept = [e for e in clip.kept if e.tag != "link"]
                    if len(rest.kept) < len(clip.kept):
                        self.notes.append(
                            f"{clip.name!r} is cut in two: from frame {last} unlinked"
                        )
                kept.append(rest)
                self.classes[id(kept[-1])] = self.classes[id(clip)]
        track.clips = kept
        gone = [t for t in track.transitions if t.end > first and t.start < last]
        track.transitions = [t for t in track.transitions if t not in gone]
        for clip in track.clips:  # an edge whose transition is gone is a plain cut
            clip.lead = 0 if any(t.cut == clip.start for t in gone) else clip.lead
            clip.tail = 0 if any(t.cut == clip.end for t in gone) else clip.tail

    def _prolong(self, track: Track, clip: Clip, end: int, values: np.ndarray, start: int) -> None:
        """Let `clip` run on to sequence frame `end`; what moves gets further keys."""
        old, ratio = clip.end, clip.rate.fps / self.timeline.rate.fps
        wanted, end = end, self._reach(clip, end)
        if end < wanted:
            self.notes.append(
                f"{clip.name!r}: its source ends at frame {end}, predicted until {wanted}: "
                "left empty from there"
            )
        values = values[: sum(self.frame(start + i) < end for i in range(len(values)))]
        if end <= old or not len(values):
            return
        track.transitions = [t for t in track.transitions if t.cut != old]
        at = self._media_frames(clip, start, len(values))
        for name, (series, slack) in self._geometry(values, clip, at).items():
            curves = clip.crop if name in clip.crop else clip.motion
            known = curves.get(name, Curve(100.0 if name == "scale" else 0.0))
            held = np.asarray(known.at(at)) * np.ones(len(at))
            if name in clip.motion and name in clip.crop:
                continue  # both encodings at once: left as they are
            if np.abs(series - held).max() > slack:
                seam = float(at[0]) - 1  # up to here it moves as it did
                keys = [key for key in known.keys if key[0] < seam]
                keys.append((seam, float(known.at(seam))))
                ahead = curve(series, at, slack)
                more = ahead.keys or ((float(at[0]), ahead.value),)
                curves[name] = Curve(known.value, (*keys, *more))
                if known.keys and _eased(clip):
                    self.notes.append(f"{clip.name!r}: {name} goes on, its keys lose their easing")
        clip.end = end
        clip.last += int((end - old) * ratio)

    def _insert(
        self, number: int, kind: int, first: int, last: int, values: np.ndarray, start: int
    ) -> None:
        donor = self._donor(number, kind, first)
        if donor is None:
            self.notes.append(f"V{number + 1}: nothing to show at frame {first}, left empty")
            return
        ratio = donor.rate.fps / self.timeline.rate.fps
        if donor.speed != 100:  # a clip's times are those of the retimed source
            real = abs(donor.speed) / 100
            times = {"first": int(donor.first * real), "last": int(donor.last * real)}
            donor = replace(donor, speed=100.0, **times)
        length, begin = int((last - first) * ratio), donor.first
        limit = self._source_end(donor)
        if limit is not None:
            if donor.kind == "video" and donor.last + length <= limit:
                begin = donor.last  # footage goes on where it was left
            begin = max(0, min(begin, int(limit) - length))
            if begin + length > limit:
                wanted, last = last, first + int((limit - begin) / ratio)
                length = int((last - first) * ratio)
                self.notes.append(
                    f"V{number + 1}: {donor.name!r} ends at frame {last}, predicted until {wanted}"
                )
        values = values[: sum(self.frame(start + i) < last for i in range(len(values)))]
        if not len(values):
            return
        clip = replace(
            donor, id=self._new_id("clipitem-predicted"), start=first, end=last, first=begin,
            last=begin + length, lead=0, tail=0, motion={}, crop={}, opacity=None,
            kept=[e for e in donor.kept if _of_the_source(e)],
        )  # fmt: skip
        at = self._media_frames(clip, start, len(values))
        for name, (series, slack) in self._geometry(values, clip, at).items():
            clip.motion[name] = curve(series, at, slack)
        self.classes[id(clip)] = kind
        self.timeline.tracks[number].clips.append(clip)

    def _donor(self, number: int, kind: int, first: int) -> Clip | None:
        """The clip whose media a new one shows: the latest of its class, on its own track first."""
        own = self.timeline.tracks[number].clips
        for clips, same in ((own, True), (self.timeline.clips, True), (own, False)):
            fitting = [c for c in clips if c.enabled and (not same or self.classes[id(c)] == kind)]
            if fitting:
                past = [c for c in fitting if c.start <= first]
                return max(past, key=lambda c: c.start) if past else fitting[0]
        return None

    def _media_frames(self, clip: Clip, start: int, count: int) -> np.ndarray:
        ratio = float(clip.rate.fps / self.timeline.rate.fps)
        frames = np.array([self.frame(start + i) for i in range(count)])
        return np.round(clip.first + (frames - clip.start) * ratio)

    def _geometry(
        self, values: np.ndarray, clip: Clip, at: np.ndarray
    ) -> dict[str, tuple[np.ndarray, float]]:
        """Each parameter's series in the file's units, and its slack.

        values (N, 9); `at` (N,): the media frames that show then, where the clip's anchor counts.
        """
        canvas, size = (
            (self.timeline.width, self.timeline.height), source_size(clip, self.timeline)
        )  # fmt: skip
        unit = size if self.rule == "source" else canvas
        scale = values[:, 2].clip(0, 1000)
        series = {"scale": (scale, SLACK["scale"])}
        for i, name in enumerate("xy"):
            anchor = size[i] * clip.curve(f"anchor_{name}").at(at)
            pixels = values[:, 3 + i] * canvas[i] + scale / 100 * anchor
            series[name] = (pixels / unit[i], SLACK["place"] / unit[i])
        for i, side in enumerate(("left", "right", "top", "bottom")):
            series[side] = (values[:, 5 + i].clip(0, 100), SLACK["crop"])
        return series


def _of_the_source(element: Element) -> bool:
    """Whether what is kept of a clip belongs to what it shows, not to this one use of it."""
    text = text_of(element, "effect/effectid").lower() == "graphicandtype"
    return text or element.tag in ("effect", *AHEAD)


def _eased(clip: Clip) -> bool:
    keyframes = (k for e in clip.kept if e.tag == "filter" for k in e.iter("keyframe"))
    return any(child.tag not in ("when", "value") for keyframe in keyframes for child in keyframe)
