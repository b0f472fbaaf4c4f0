"""The trained model as a switcher: cuts where its cut head is sure enough, from its own cuts on.

Where it never is, though the floor has passed, the rule cuts half a second later than it would.

`T` ticks of 0.1 s, `C` cameras. The rule is the head's prior: among what it is told of a moment is
when the rule would cut, with the constants of this editor.
"""

import numpy as np
import torch

from experiments.shared.errors import InputError
from multitrack.answer.decode import APART, AROUND, LIKELY
from multitrack.cutting.switch import BRIEF, Cast, Constants, finished
from multitrack.edit.pace import CAMERAS, SPEAKERS, Pace
from multitrack.edit.shots import programme, shots
from multitrack.edit.timeline import Timeline, sample
from multitrack.examples.moments import Listening, features, listening, numbered
from multitrack.networks.hazard import CutHead

CHUNK = 64  # ticks that are told at once, as if no cut came
REACH = max(AROUND)
LATE = 5  # ticks after the rule would have cut: then it does, if the head never was sure
CERTAIN = 1e5  # ticks: whatever is shown meanwhile, the cast says who is on which camera


def habits(timeline: Timeline, speech: np.ndarray | None) -> Pace:
    """An editor's pace at the end of an earlier edit; speech (T, M) where it is known.

    Raises:
        InputError: the edit has no cut.
    """
    shown = numbered(programme(sample(timeline), shots(timeline)))
    heard, pace = listening(speech, len(shown)), Pace()
    for tick in range(len(shown)):
        pace.push(tick, int(shown[tick]), int(heard.holder[tick]), int(heard.since[tick]))
    if not pace.lengths:
        raise InputError(f"--like {timeline.name}: expected an edit with cuts, got none")
    return pace


@torch.inference_mode()
def switch(
    head: CutHead, speech: np.ndarray, cast: Cast, constants: Constants, like: Pace | None = None
) -> np.ndarray:
    """The camera shown at each tick: (T,), -1 where none has a picture.

    `like`: the pace of an earlier edit by the same editor, from which this one goes on.
    """
    ticks = len(cast.usable)
    heard = listening(speech, ticks)
    pace = _started(like, cast)
    shown, tick = np.full(ticks, -1), 0
    current = cast.camera(int(heard.holder[max(0, int(np.argmax(heard.holder >= 0)))]), 0)
    began = 0
    while tick < ticks:
        end = min(ticks, tick + (CHUNK if tick else 1))  # at first a camera has to show
        for t in range(tick, end):
            shown[t] = current
        earliest = began + max(APART, constants.shortest)
        cut = _next_cut(head, pace, heard, tick, end, earliest, current)
        sooner = end if cut is None else cut
        late = _overdue(heard, cast, constants, tick, sooner, earliest, current)
        cut = cut if late is None else late
        stop = end if cut is None else cut
        for t in range(tick, stop):
            if not cast.usable[t, current]:
                current = cast.camera(int(heard.holder[t]), t)
            shown[t] = current
            pace.push(t, min(current, CAMERAS - 1), int(heard.holder[t]), int(heard.since[t]))
        tick = stop
        if cut is not None and cut < ticks:
            following = _next_camera(heard, cast, cut, current)
            began, current = cut, following
    return finished(shown, heard.holder, cast, constants)


def _started(like: Pace | None, cast: Cast) -> Pace:
    """A new edit's pace: an editor's habits if known; who is seen when, as far as the cast says."""
    pace = Pace()
    if like is not None:
        pace.row[2:], pace.lengths, pace.lags = like.row[2:], like.lengths, like.lags
        # What unmapped cameras were shown for holds of the wide one.
        for wide in cast.wide:
            if like.of_camera:
                pace.of_camera[wide] = int(np.median(list(like.of_camera.values())))
    for speaker, camera in enumerate(cast.of[:SPEAKERS]):
        if 0 <= camera < CAMERAS:
            pace.together[speaker, camera] = CERTAIN
    return pace


def _next_cut(
    head: CutHead, pace: Pace, heard: Listening, begin: int, end: int, earliest: int, current: int
) -> int | None:
    """The first tick of [begin, end) at which the head cuts, if nothing is cut before."""
    if current < 0 or not (pace.row[0] >= 0):
        return None
    at = np.arange(begin - 2, end + REACH)
    rows = np.broadcast_to(pace.row, (len(at), len(pace.row)))
    together = np.broadcast_to(pace.together, (len(at), *pace.together.shape))
    told = features(rows, together, heard, at, np.maximum(at, begin) - 1)
    sure = head(torch.from_numpy(told)).sigmoid().numpy()
    sure[(at < begin) | (at >= len(heard.holder))] = 0
    within = np.convolve(sure, np.ones(5), "same")[2 : 2 + end - begin + 2]
    for number, tick in enumerate(range(begin, end)):
        later = within[number + 1 : number + 3].max(initial=0)
        if tick >= earliest and within[number] >= LIKELY and within[number] >= later - 1e-6:
            return tick
    return None


def _overdue(
    heard: Listening, cast: Cast, constants: Constants, begin: int, end: int, earliest: int,
    current: int,
) -> int | None:  # fmt: skip
    """The first tick of [begin, end) at which the rule's cut is LATE ticks overdue."""
    for tick in range(max(begin, earliest), end):
        due = heard.since[tick] >= constants.lag + LATE and heard.until[tick] > BRIEF
        began = earliest - max(APART, constants.shortest)
        passed = tick - heard.since[tick] > began or tick - began >= constants.wide_length
        if due and passed and cast.camera(int(heard.holder[tick]), tick) not in (-1, current):
            return tick
    return None


def _next_camera(heard: Listening, cast: Cast, tick: int, current: int) -> int:
    """The camera of who has the floor by then; where that one shows already, a wide one."""
    soon = min(tick + BRIEF, len(heard.holder) - 1)
    theirs = cast.camera(int(heard.holder[soon]), tick)
    if theirs not in (-1, current):
        return theirs
    wide = cast.wide_at(tick)
    return current if wide is None else wide
