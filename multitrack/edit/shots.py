"""What nine parameters do not say: where clips begin, which source they show, from which take.

Axes: `T` samples (0.1 s), `K` tracks. The programme is the picture that a viewer sees: the topmost
clip that fills the canvas.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from multitrack.edit.geometry import area, rectangles
from multitrack.edit.timeline import (
    KINDS,
    TRACKS,
    Clip,
    Frames,
    Timeline,
    sample_frames,
)

FILLS = 0.8  # of the canvas: such a clip is the picture, not something upon it
PICTURES = (*range(5), KINDS["still"], KINDS["nested"])
SOURCES = 8  # cameras that are told apart; further ones count as the last


@dataclass
class Shots:
    """Beside `timeline.Frames`, for the same cells.

    begins: (T, K) a clip begins here, be it the same source or not. source: (T, K) number of the
    source in this edit, in order of appearance, -1 where nothing shows. take: (T, K) number of its
    offset among those its source has had so far: 0 the first, its sync. speed: (T, K) percent.
    cuts, seen: how many cuts from clip to clip the edit has, and how many `begins` shows.
    """

    begins: np.ndarray
    source: np.ndarray
    take: np.ndarray
    speed: np.ndarray
    cuts: int = 0
    seen: int = 0


def shots(timeline: Timeline, tracks: int = TRACKS) -> Shots:
    """Sample the clips of the lowest `tracks` tracks."""
    frames = sample_frames(timeline.rate, timeline.duration)
    size = (len(frames), tracks)
    made = Shots(
        np.zeros(size, bool), np.full(size, -1, np.int16), np.zeros(size, np.int16),
        np.zeros(size, np.float32),
    )  # fmt: skip
    numbers: dict[str, int] = {}
    takes: dict[str, list[float]] = {}
    cells = [
        (clip, number)
        for number, track in enumerate(timeline.tracks[:tracks])
        for clip in (track.clips if track.enabled else ())
        if clip.enabled
    ]
    for clip, number in sorted(cells, key=lambda cell: (cell[0].start, cell[1])):
        key = clip.media.id if clip.media else clip.name
        lo, hi = np.searchsorted(frames, (clip.start, clip.end))
        if lo < hi:
            made.begins[lo, number] = True
            made.source[lo:hi, number] = numbers.setdefault(key, len(numbers))
            made.take[lo:hi, number] = _take(clip, takes.setdefault(key, []), timeline)
            made.speed[lo:hi, number] = clip.speed
    for track in timeline.tracks[:tracks] if len(frames) else ():
        clips = sorted((c for c in track.clips if c.enabled), key=lambda c: c.start)
        for one, two in itertools.pairwise(clips):
            made.cuts += one.end == two.start
            made.seen += one.end == two.start and two.end > _first_seen(frames, two.start)
    return made


def _first_seen(frames: np.ndarray, start: int) -> int:
    at = int(np.searchsorted(frames, start))
    return int(frames[at]) if at < len(frames) else int(frames[-1]) + 1


def _take(clip: Clip, known: list[float], timeline: Timeline) -> int:
    """The number of the clip's offset among those known of its source, within a frame."""
    offset = float(clip.first - clip.start * clip.rate.fps / timeline.rate.fps)
    for number, other in enumerate(known):
        if abs(other - offset) <= 1.5:
            return number
    known.append(offset)
    return len(known) - 1


def programme(frames: Frames, made: Shots, tracks: list[int] | None = None) -> np.ndarray:
    """The picture that is seen: (T,), a number for each source and take, -1 where nothing fills.

    Where cameras (sources shown twice at least, always in sync) are the picture for half of the
    time, the programme is what stands on their tracks: what lies over these is laid upon it.
    `tracks`: theirs, where somebody knows.
    """
    values = torch.from_numpy(frames.values)
    canvas = torch.tensor(frames.canvas, dtype=torch.float32)
    sizes = torch.from_numpy(frames.sizes)
    boxes = rectangles(values[..., 2], values[..., 3:5], values[..., 5:], sizes, canvas)
    fills = (area(boxes) >= FILLS * canvas.prod()).numpy()
    picture = (frames.values[..., 0] > 0.5) & np.isin(frames.values[..., 1].round(), PICTURES)
    picture &= fills & (made.source >= 0)
    cameras = picture & np.isin(made.source, _cameras(made, picture))
    known = np.isin(np.arange(picture.shape[1]), tracks if tracks else [])
    theirs = picture & (known if tracks else 2 * cameras.sum(0) > picture.sum(0))
    most = tracks or 2 * theirs.any(1).sum() >= max(1, picture.any(1).sum())
    chosen = theirs if most else picture
    top = np.where(chosen, np.arange(chosen.shape[1]), -1).max(1)
    rows = np.arange(len(top))
    shown = made.source[rows, top.clip(0)].astype(np.int64) * 1024 + made.take[rows, top.clip(0)]
    return np.where(top >= 0, shown, -1)


def _cameras(made: Shots, picture: np.ndarray) -> list[int]:
    """Sources that fill the canvas twice at least, or for half of the time, and keep one take."""
    found = []
    for source in np.unique(made.source[picture]):
        mine = picture & (made.source == source)
        long = 2 * mine.any(1).sum() > len(mine)
        if len(np.unique(made.take[mine])) == 1 and (long or (made.begins & mine).sum() > 1):
            found.append(int(source))
    return found


def cut_times(shown: np.ndarray) -> np.ndarray:
    """Samples at which one picture takes over from another: (N,), from `programme` (T,)."""
    now, before = shown[1:], shown[:-1]
    return np.nonzero((now != before) & (now >= 0) & (before >= 0))[0] + 1
