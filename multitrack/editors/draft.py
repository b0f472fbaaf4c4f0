"""An edit in the making: clips laid on tracks, and when each of their edges could be known.

An edge may be known from the edit so far (`history`), or with the recording's signals as well
(`drivers`). Times are ticks of 0.1 s.
"""

from dataclasses import dataclass, field

import numpy as np

from multitrack.edit.timeline import Clip, Curve, Media, Rate, Timeline, Track
from multitrack.editors.styles import Style

Ramp = float | list[tuple[int, float]]


@dataclass
class Draft:
    """A timeline in the making. Everything in ticks; frames are exact when it is written down."""

    rate: Rate
    width: int
    height: int
    ticks: int
    rng: np.random.Generator
    style: Style
    tracks: list[Track] = field(default_factory=lambda: [Track() for _ in range(14)])
    taken: list[list[tuple[int, int]]] = field(default_factory=lambda: [[] for _ in range(14)])
    media: dict[str, Media] = field(default_factory=dict)
    truth: list[dict] = field(default_factory=list)

    def frame(self, tick: int) -> int:
        """The sequence frame that shows at `tick`."""
        step = self.rate.fps / 10
        return int(tick * step.numerator // step.denominator)

    def source(
        self, name: str, width: int = 1920, height: int = 1080, kind: str = "video"
    ) -> Media:
        """The media called `name`, made at its first use."""
        if name not in self.media:
            suffix = {"still": "png", "video": "mov"}.get(kind, "mov")
            path = f"file://localhost/D%3a/media/{len(self.media):03d}.{suffix}"
            self.media[name] = Media(
                f"file-{len(self.media) + 1}", name, width, height, self.frame(self.ticks) * 2,
                self.rate, path,
            )  # fmt: skip
        return self.media[name]

    def put(
        self,
        track: int,
        start: int,
        end: int,
        media: Media | None,
        kind: str = "video",
        motion: dict[str, Ramp] | None = None,
        known: tuple[int | None, ...] = (None, None, None, None),
        rule: str = "N",
        enabled: bool = True,
        name: str = "",
    ) -> bool:
        """Lay a clip on `track` in [start, end) unless something lies there already.

        `known`: tick at which its start was decided by history, by drivers, its end by history, by
        drivers (None: not before it happens).
        """
        start, end = max(start, 0), min(end, self.ticks)
        if end - start < 2 or not self.is_free(track, start, end):
            return False
        self.taken[track].append((start, end))
        begin, stop = self.frame(start), self.frame(end)
        # A still's media time starts at one hour, as Premiere writes it.
        first = self.frame(36000) if kind == "still" else begin + 7 * track
        curves = {
            key: Curve(float(ramp))
            if isinstance(ramp, (int, float))
            else Curve(
                float(ramp[0][1]),
                tuple((float(first + self.frame(tick) - begin), float(v)) for tick, v in ramp),
            )
            for key, ramp in (motion or {}).items()
        }
        crops = {k: v for k, v in curves.items() if k in ("left", "right", "top", "bottom")}
        moves = {k: v for k, v in curves.items() if k not in crops}
        if self.style.crop_in_motion:
            moves, crops = curves, {}
        number = sum(len(t.clips) for t in self.tracks) + 1
        self.tracks[track].clips.append(
            Clip(
                f"clipitem-{number}",
                name or (media.name if media else kind),
                begin,
                stop,
                first,
                first + stop - begin,
                self.rate,
                media,
                kind,
                enabled,
                moves,
                crops,
            )
        )
        if enabled:
            times = dict(zip(("start", "start_driven", "end", "end_driven"), known, strict=True))
            self.truth.append({"track": track, "from": start, "to": end, "rule": rule, **times})
        return True

    def is_free(self, track: int, start: int, end: int) -> bool:
        return all(end <= a or b <= start for a, b in self.taken[track])

    def timeline(self, name: str) -> Timeline:
        for track in self.tracks:
            track.clips.sort(key=lambda clip: clip.start)
        return Timeline(
            name, self.rate, self.width, self.height, self.tracks, self.frame(self.ticks)
        )

    def fit(self, media: Media) -> float:
        """The scale (percent) at which the source fills the canvas."""
        return 100.0 * max(self.width / media.width, self.height / media.height)
