"""What an edit's sources can still show: whose picture a new clip takes, from where, how long.

Cameras and microphones run together: a source that has been shown keeps its offset to the edit, so
that a new clip of it is in lip sync. Frames are the sequence's unless a name says otherwise.
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from multitrack.answer.sound import heard_offsets
from multitrack.edit.timeline import ASSETS, Clip, Timeline

MORE = ASSETS.index("more video")


class Footage:
    """The sources of `timeline`. `classes`: asset class of each clip by its `id()`."""

    def __init__(self, timeline: Timeline, classes: dict[int, int]):
        self.timeline, self.classes = timeline, classes
        self.heard = heard_offsets(timeline)

    def limit(self, clip: Clip) -> Fraction | None:
        """The media frame at which the clip's source ends; None: never, or nobody says."""
        media = clip.media
        if clip.kind not in ("video", "nested") or media is None or media.duration <= 0:
            return None
        if clip.speed == 0:
            return None
        ratio = clip.rate.fps / (media.rate or clip.rate).fps * Fraction(100 / abs(clip.speed))
        return max(media.duration * ratio, Fraction(clip.last))

    def reach(self, clip: Clip, end: int) -> int:
        """The frame, `end` at most, up to which the clip's source lasts."""
        limit = self.limit(clip)
        if limit is None:
            return end
        return min(
            end, clip.end + int((limit - clip.last) * self.timeline.rate.fps / clip.rate.fps)
        )

    def donor(self, number: int, kind: int, first: int, scale: float) -> Clip | None:
        """The clip whose source a new one at frame `first` shows, at its own speed.

        Of class `kind`, on its own track first. Of several sources the one last shown about as
        large as `scale` (percent), of these the latest.
        """
        own = self.timeline.tracks[number].clips
        others = [c for t in self.timeline.tracks if t.enabled for c in t.clips]
        # "More video" is no source of its own: what the track has shown comes first there.
        alike = set(range(kind + 1)) if kind == MORE else {kind}
        whole = self.timeline.clips
        for clips, kinds in (
            (own, {kind}), (own, alike), (others, {kind}), (own, None), (whole, {kind})
        ):  # fmt: skip
            fitting = [c for c in clips if c.enabled]
            fitting = [c for c in fitting if kinds is None or self.classes[id(c)] in kinds]
            past = [c for c in fitting if c.start <= first] or fitting[:1]
            if past:
                latest = {c.media.id if c.media else c.name: c for c in self._by_start(past)}
                return min(
                    reversed(latest.values()),
                    key=lambda c: round(abs(np.log(_scale(c) / max(scale, 1.0))), 1),
                )
        return None

    def _by_start(self, clips: list[Clip]) -> list[Clip]:
        """In order of time, a source's last use last."""
        ordered = sorted(clips, key=lambda c: c.start)
        last = {c.media.id if c.media else c.name: c.start for c in ordered}
        return sorted(ordered, key=lambda c: last[c.media.id if c.media else c.name])

    def begin(self, donor: Clip, first: int, length: int) -> int:
        """The media frame from which a clip of `length` media frames shows at frame `first`.

        In sync with the latest use of the source, picture or sound, if the source lasts; else
        where the footage was left; else as late as it allows. Stills begin where they did.
        """
        if donor.kind not in ("video", "nested"):
            return donor.first
        limit = self.limit(donor)
        for offset in self._offsets(donor, first):
            at = round(first * donor.rate.fps / self.timeline.rate.fps + offset)
            if at >= 0 and (limit is None or at + length <= limit):
                return at
        begin = donor.first if limit is None or donor.last + length > limit else donor.last
        return begin if limit is None else max(0, min(begin, int(limit) - length))

    def _offsets(self, donor: Clip, first: int) -> list[Fraction]:
        """Offsets (media frames) of the source's earlier uses, the nearest in time first."""
        if donor.media is None or donor.kind == "nested":
            return []
        ratio = donor.rate.fps / self.timeline.rate.fps
        seen = [
            (clip.start, clip.first - clip.start * ratio)
            for clip in self.timeline.clips
            if clip.media is not None and clip.media.id == donor.media.id
            and clip.speed == 100 and clip.remap is None and clip.rate == donor.rate
        ] + self.heard.get((donor.media.id, donor.rate), [])  # fmt: skip
        seen.sort(key=lambda use: (use[0] > first, abs(use[0] - first)))
        return list(dict.fromkeys(offset for _, offset in seen))


def at_own_speed(clip: Clip) -> Clip:
    """The clip of an unretimed source: a retimed clip's times are those of the retimed one."""
    if clip.speed == 100 and clip.remap is None:
        return clip
    real = abs(clip.speed) / 100
    times = {"first": int(clip.first * real), "last": int(clip.last * real)}
    return replace(clip, speed=100.0, remap=None, **times)


def _scale(clip: Clip) -> float:
    return max(1.0, float(clip.curve("scale", 100.0).at(np.array(clip.last))))
