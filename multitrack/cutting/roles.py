"""Who is seen by which camera: what the settings say, the rest by order."""

import numpy as np

from multitrack.cutting.settings import Settings
from multitrack.cutting.signals import Signals
from multitrack.cutting.stack import Camera, find, seen
from multitrack.cutting.switch import TICKS, Cast, Constants
from multitrack.edit.timeline import Timeline

FACELESS = 10  # ticks without a face after which a camera is not worth showing


def cast(timeline: Timeline, cameras: list[Camera], signals: Signals, settings: Settings) -> Cast:
    """Cameras of the signals' speakers. What is guessed is said in the signals' notes.

    Speakers without a camera take those nobody has, in the order in which both appear; one camera
    more than speakers is a wide one.

    Raises:
        InputError: the settings name a camera that is not there.
    """
    wide = [find(cameras, name, "wide") for name in settings.wide]
    of = []
    for name in signals.speakers:
        camera = settings.speakers.get(name, {}).get("camera")
        of.append(-1 if camera is None else find(cameras, camera, f"speakers: {name}"))
    for name in settings.speakers:
        if name not in signals.speakers:
            signals.notes.append(f"speaker {name!r} is in none of the signals")
    free = [c for c in range(len(cameras)) if c not in (*of, *wide)]
    spoken = (signals.speech > 0.5).any(0)
    waiting = [m for m, camera in enumerate(of) if camera < 0 and spoken[m]]
    if not wide and len(free) > len(waiting):
        wide = [free.pop()]
        signals.notes.append(f"{cameras[wide[0]].label} is taken for the wide shot (--wide)")
    for speaker, camera in zip(waiting, free, strict=False):
        of[speaker] = camera
        signals.notes.append(
            f"{signals.speakers[speaker]} is taken to be on {cameras[camera].label} (--settings)"
        )
    for speaker in waiting[len(free) :]:
        signals.notes.append(f"{signals.speakers[speaker]} has no camera: a wide shot, if any")
    usable = seen(cameras, timeline)
    for name, faces in signals.faces.items():
        number = find(cameras, name, "--faces")
        usable[:, number] &= _worth(faces[: len(usable)])
    return Cast(of, wide, usable)


def _worth(faces: np.ndarray) -> np.ndarray:
    """Where a face is in the picture, lapses of a detector below FACELESS ticks filled."""
    out = faces.copy()
    edges = np.nonzero(np.diff(np.concatenate([[1], faces.astype(np.int8), [1]])))[0]
    for begin, end in edges.reshape(-1, 2):
        if end - begin < FACELESS:
            out[begin:end] = True
    return out


def constants(settings: Settings, cameras: list[Camera]) -> Constants:
    """The settings' seconds as ticks."""

    def ticks(seconds: float | None) -> int | None:
        return None if seconds is None else round(seconds * TICKS)

    names = ("lag", "shortest", "longest", "wide_length", "together", "silence",
             "reaction_after", "reaction_length", "open_wide")  # fmt: skip
    made = Constants(**{name: ticks(getattr(settings, name)) for name in names})
    made.cutaways = [
        (round(c.at * TICKS), round((c.at + c.length) * TICKS), find(cameras, c.camera, "cutaways"))
        for c in settings.cutaways
    ]
    return made
