"""Where laid clips meet what was there: transitions that still have their cut, and no new black.

Frames are the sequence's.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from multitrack.answer.footage import Footage
from multitrack.edit.timeline import Clip, Timeline, Track, Transition

BLINK = 0.5  # seconds; a shorter stretch without any picture is nobody's intention


def restore(track: Track, gone: list[Transition], slack: int, footage: Footage) -> None:
    """Put back transitions whose cut is there again, within `slack` frames (a sample).

    Predictions know the cut to the sample, the transition to the frame.
    """
    for transition in gone:
        cut = transition.cut
        for one in track.clips:
            two = next((c for c in track.clips if c.enabled and c.start == one.end), None)
            if two is None or not one.enabled or not 0 <= one.end - cut <= slack:
                continue
            if one.start >= transition.start or two.end <= transition.end:
                continue
            if any(
                t.start < transition.end and t.end > transition.start for t in track.transitions
            ):
                continue
            tail, lead = transition.end - cut, cut - transition.start
            shift = one.end - cut
            ratio = two.rate.fps / footage.timeline.rate.fps
            if (
                footage.reach(one, one.end + tail) < cut + tail
                or two.first < (shift + lead) * ratio
            ):
                continue
            move_end(one, cut, footage.timeline)
            two.start, two.first = cut, two.first - int(shift * ratio)
            one.tail, two.lead = tail, lead
            track.transitions.append(transition)
            break


def move_end(clip: Clip, end: int, timeline: Timeline) -> None:
    """Let a clip end at frame `end`, its trim with it."""
    clip.last += int((end - clip.end) * clip.rate.fps / timeline.rate.fps)
    clip.end = end


def black(timeline: Timeline, first: int, last: int) -> list[tuple[int, int]]:
    """Stretches of [first, last) in which no track shows anything."""
    shown = np.zeros(max(0, last - first) + 2, bool)
    shown[[0, -1]] = True
    for track in timeline.tracks:
        for clip in track.clips if track.enabled else ():
            if clip.enabled:
                lo, hi = (
                    min(max(edge - first, 0), last - first) for edge in (clip.start, clip.end)
                )
                shown[lo + 1 : hi + 1] = True
    edges = np.nonzero(np.diff(shown))[0]
    return [(first + int(a), first + int(b)) for a, b in edges.reshape(-1, 2)]


def hold(
    timeline: Timeline,
    footage: Footage,
    block: tuple[int, int],
    wanted: np.ndarray,
    old: list[tuple[int, int]],
    make_way: Callable[[Track, int, int], object],
) -> list[str]:
    """Let the picture before new black in `block` run on through it; what is left black is said.

    `wanted`: (frames of the block,) whether a picture is predicted there. Black that is predicted
    and lasts longer than BLINK, and what was black before (`old`), stays. `make_way` takes disabled
    clips out of a stretch of a track.
    """
    notes, (first, last) = [], block
    for begin, end in black(timeline, first, last):
        brief = end - begin < BLINK * timeline.rate.fps
        meant = not brief and not wanted[begin - first : end - first].any()
        if meant or any(a <= begin and end <= b for a, b in old):
            continue
        reached = begin
        for clip, track in _endings(timeline, begin):
            to = min([end, *(c.start for c in track.clips if c.enabled and c.start >= begin)])
            reach = footage.reach(clip, to)
            if reach > begin:
                make_way(track, begin, reach)
                move_end(clip, reach, timeline)
                reached = max(reached, reach)
            if reached >= end:
                break
        if reached < end and not brief:
            notes.append(f"frames {reached} to {end}: nothing is left to show there")
    return notes


def _endings(timeline: Timeline, frame: int) -> list[tuple[Clip, Track]]:
    """The clips that show until `frame` and do not fade there, the lowest track's first."""
    return [
        (clip, track)
        for track in timeline.tracks
        if track.enabled
        for clip in track.clips
        if clip.enabled
        and clip.end == frame
        and not clip.tail
        and all(t.cut != frame for t in track.transitions)
    ]


def without(
    clip: Clip, first: int, last: int, timeline: Timeline
) -> tuple[Clip | None, Clip | None]:
    """What is left of a clip before `first` and after `last`."""
    ratio, before, after = clip.rate.fps / timeline.rate.fps, None, None
    if clip.start < first:
        cut = int((clip.end - first) * ratio)
        before = replace(clip, end=first, last=clip.last - cut, tail=0)
    if clip.end > last:
        skip = int((last - clip.start) * ratio)
        # Curves of its own: the part before may go on.
        after = replace(
            clip, start=last, first=clip.first + skip, lead=0,
            motion=dict(clip.motion), crop=dict(clip.crop),
        )  # fmt: skip
    return before, after
