"""Editors at work: rules that turn a recording and a style into clips, with some noise.

Times are ticks of 0.1 s.
"""

import itertools
from fractions import Fraction

import numpy as np

from multitrack.edit.drivers import World
from multitrack.edit.timeline import Media, Rate
from multitrack.editors.draft import Draft, Ramp

NAMES = ("Kamera Ä", "カメラ B", 'take "3" & <more>', "широкий план", "slide – wide")
KEN_BURNS = ("still", "video")


def cameras(edit: Draft, world: World, speakers: int) -> None:
    """Multicam: V1 the first camera, V2 the others, V3 the wide shot; cuts follow the speaker.

    R1: the cut comes `lag` after the change, not before `min_shot`. R2: under another camera the
    first runs on, or is off. R4: shots creep in. A wide shot lasts `wide_length`.
    """
    style, rng = edit.style, edit.rng
    mics = [edit.source(f"{NAMES[i % 2]} {i}", *_camera(edit, i)) for i in range(speakers)]
    wide = edit.source(NAMES[3], 3840, 2160)
    # Tick, what is shown (-1: wide), tick when decided (None: by chance, when it happens).
    cuts: list[tuple[int, int, int | None]] = []
    for turn in world.turns:
        at = max(turn.start + style.lag, (cuts[-1][0] + style.min_shot) if cuts else 0)
        if not cuts:
            at = 0
        if turn.end - turn.start < style.lag + 4 or at >= turn.end:
            continue
        cuts.append((at, turn.speaker, turn.start))
        if rng.random() < style.wide_share and turn.end - at > style.wide_length + style.min_shot:
            into = at + style.min_shot
            cuts.append((into, -1, None))
            cuts.append((into + style.wide_length, turn.speaker, into))
    cuts.append((edit.ticks, -2, edit.ticks))
    first = _Shot()
    for (at, who, decided), (until, _, ended) in itertools.pairwise(cuts):
        returns = who == -1  # the end of a wide shot is known when it begins
        early = decided is not None and decided < at and not _from_turn(world, decided)
        known = (decided if early else None, decided, at if returns else None, ended)
        if who == 0 or not style.cover:
            first.close(edit, mics[0], at)
        if who == 0 or (style.cover and first.start is None):
            first.start, first.known = at, known
        if who != 0:
            track, media = (2, wide) if who == -1 else (1, mics[who])
            scale = edit.fit(media)
            edit.put(track, at, until, media, motion=_creep(edit, scale, at, until), known=known,
                     rule="R1")  # fmt: skip
            if not style.cover:
                # Switched off rather than cut out: the clip stays, disabled.
                edit.put(0, at, until, mics[0], known=known, enabled=False, rule="R2")
    first.close(edit, mics[0], edit.ticks)


def _from_turn(world: World, tick: int) -> bool:
    return any(turn.start == tick for turn in world.turns)


class _Shot:
    """The shot of the first camera that is open."""

    start: int | None = None
    known: tuple = (None, None, None, None)

    def close(self, edit: Draft, media: Media, at: int) -> None:
        if self.start is not None and at > self.start:
            motion = _creep(edit, edit.fit(media), self.start, at)
            edit.put(0, self.start, at, media, motion=motion, known=self.known, rule="R1")
        self.start = None


def _camera(edit: Draft, number: int) -> tuple[int, int]:
    return (3840, 2160) if number % 2 else (1920, 1080)


def _creep(edit: Draft, scale: float, start: int, end: int) -> dict[str, Ramp]:
    """R4: half of an editor's shots grow by `zoom` percent a second."""
    if edit.rng.random() < 0.5:
        return {"scale": round(scale, 4)}
    grown = scale * (1 + edit.style.zoom / 100 * (end - start) / 10)
    return {"scale": [(start, round(scale, 4)), (end, round(grown, 4))]}


def broll(edit: Draft, world: World) -> None:
    """R5: in long turns, `broll_delay` in, `broll_length` long, with a Ken-Burns move (R4)."""
    style, rng = edit.style, edit.rng
    for turn in world.turns:
        start = turn.start + style.broll_delay
        if turn.end - turn.start < style.broll_delay + 15 or rng.random() < 0.15:
            continue
        end = start + style.broll_length
        kind = KEN_BURNS[int(rng.integers(2))]
        size = (4000, 3000) if kind == "still" else (1920, 1080)
        media = edit.source(f"b-roll {kind} {rng.integers(6)}", *size, kind=kind)
        scale, way = edit.fit(media) * 1.1, rng.choice([-1, 1])
        motion = {
            "scale": [(start, round(scale, 3)), (end, round(scale * (1 + style.zoom / 50), 3))],
            "x": [(start, -0.02 * way), (end, 0.02 * way)],
            "y": 0.0,
        }
        track = 3 if edit.is_free(3, start, end) else 4
        edit.put(track, start, end, media, kind, motion, (None, start, start, start), "R5")


def lower_thirds(edit: Draft, world: World) -> None:
    """R3: at a topic's start, exactly `lower_length` long, wiped in from the left."""
    style = edit.style
    for number, topic in enumerate(world.topics):
        start, end = topic + 5, topic + 5 + style.lower_length
        motion: dict[str, Ramp] = {
            "right": [(start, 100.0), (start + style.wipe, 0.0)],
            "scale": 100.0,
            "x": -0.2,
            "y": style.lower_y,
        }
        media = edit.source("lower third", 1200, 200, "text")
        edit.put(style.first_overlay, start, end, media, "text", motion,
                 (None, topic, start, start), "R3", name=f"Dr. Ω & Söhne <{number}>")  # fmt: skip


def stickers(edit: Draft, world: World) -> None:
    """R8: stacks of stickers, each on the next track `sticker_gap` after the one below."""
    style, rng = edit.style, edit.rng
    for at in _poisson(rng, edit.ticks, style.sticker_rate):
        before, track = None, style.first_overlay + 1
        while track < 13:
            end = at + style.sticker_length
            kind = "still" if track % 2 else "text"
            media = edit.source(f"sticker {track} {rng.integers(3)}", 500, 500, kind)
            motion: dict[str, Ramp] = {
                "scale": [(at, 10.0), (at + style.pop, round(style.sticker_scale, 2))],
                "x": round(0.5 * ((track % 3) - 1), 3),
                "y": round(0.35 * ((track % 4) / 1.5 - 1), 3),
            }
            # No signal tells of stickers: only those below do.
            if not edit.put(track, at, end, media, kind, motion, (before, None, at, None), "R8"):
                break
            if rng.random() > style.chain:
                break
            before, at, track = at, at + style.sticker_gap, track + 1


def screencast(edit: Draft, world: World) -> None:
    """R6: at a slide the screen covers for `slide_length`; the face shrinks into its corner."""
    style = edit.style
    for slide in world.slides:
        start, end = slide + 3, slide + 3 + style.slide_length
        screen = edit.source("screen", 2560, 1440)
        face = edit.source("face", 1920, 1080)
        known = (None, slide, start, start)
        scale = round(edit.fit(screen), 4)
        if edit.put(3, start, end, screen, "video", {"scale": scale}, known, "R6"):
            edit.put(4, start, end, face, "video", _pip(edit, face), known, "R6")


def _pip(edit: Draft, media: Media) -> dict[str, Ramp]:
    style = edit.style
    return {
        "scale": style.pip_scale,
        "x": style.pip_x * edit.width / media.width,
        "y": style.pip_y * edit.height / media.height,
        "left": style.pip_crop,
        "right": style.pip_crop,
    }


def reframe(edit: Draft, world: World) -> None:
    """R9: a wide picture in a tall canvas; its place follows the smoothed face, key by key."""
    style = edit.style
    media = edit.source(NAMES[4], 1920, 1080)
    scale = edit.fit(media)
    room = (scale / 100 * media.width - edit.width) / 2 / media.width
    at, place = 0, 0.0
    for turn in world.turns:
        end = turn.end
        if end - at < style.min_shot and end < edit.ticks:
            continue
        keys = []
        for tick in range(at, end + 5, 5):
            face = world.signals[min(tick, edit.ticks - 1), 9]
            place += style.smoothing * 2 * (-face * room - place)
            keys.append((tick, round(float(place), 5)))
        motion: dict[str, Ramp] = {"scale": round(scale, 3), "x": keys, "y": 0.0}
        edit.put(0, at, end, media, "video", motion, (None, None, None, None), "R9")
        at = end


def montage(edit: Draft, world: World) -> None:
    """R10: V1 cut on every n-th beat; V2 carries an accent on every second shot."""
    style, rng = edit.style, edit.rng
    cuts = [0, *world.beats[style.beats_a_cut :: style.beats_a_cut], edit.ticks]
    for number, (at, end) in enumerate(itertools.pairwise(cuts)):
        media = edit.source(f"montage {rng.integers(4)}", *_camera(edit, int(rng.integers(2))))
        before = cuts[number - 1] if number > 1 else None
        scale = edit.fit(media)
        motion: dict[str, Ramp] = {
            "scale": [(at, round(scale, 3)), (end, round(scale * (1 + style.zoom / 40), 3))]
        }
        edit.put(0, at, end, media, "video", motion, (before, before, at, at), "R10")
        if number % 2 and end - at > 6:
            accent = edit.source("accent", 1080, 1080)
            half = (at + end) // 2
            shape = {"scale": 60.0, "top": 20.0, "bottom": 20.0}
            edit.put(1, at, half, accent, "video", shape, (before, before, at, at), "R10")


def split_screen(edit: Draft, world: World) -> None:
    """Two cameras side by side for the first moments of a topic, each cropped to its half."""
    style = edit.style
    for topic in world.topics[::2]:
        start, end = topic, topic + style.wide_length + 10
        known = (None, topic, start, start)
        for track, side in ((3, -1), (4, 1)):
            media = edit.source(f"split {side}", 1920, 1080)
            motion: dict[str, Ramp] = {
                "scale": round(edit.fit(media), 3),
                "x": 0.25 * side * edit.width / media.width,
                "left": 25.0,
                "right": 25.0,
            }
            edit.put(track, start, end, media, "video", motion, known, "R7")


def bug(edit: Draft, world: World) -> None:
    """A station's logo in the corner: on for a while, off for a while, by the clock."""
    period = 200 + 10 * (edit.style.lower_length % 7)
    for start in range(0, edit.ticks, period):
        media = edit.source("logo", 300, 300, "still")
        before = max(0, start - period)
        known = (before if start else None, None, start, None)
        shape: dict[str, Ramp] = {"scale": 40.0, "x": 0.42 * edit.width / 300, "y": -1.5}
        edit.put(13, start, start + period * 3 // 5, media, "still", shape, known, "R7")


def _poisson(rng: np.random.Generator, ticks: int, mean: float) -> list[int]:
    times, at = [], 0.0
    while (at := at + 15 + rng.exponential(mean)) < ticks - 10:
        times.append(int(at))
    return times


SCENES = {
    "interview": (cameras, broll, lower_thirds, split_screen, bug),
    "podcast": (cameras, lower_thirds, stickers, bug),
    "screencast": (cameras, screencast, lower_thirds, stickers),
    "vertical": (reframe, broll, stickers),
    "montage": (montage, lower_thirds, stickers),
}
FPS = (
    (24, True), (25, False), (30, False), (30, True), (50, False), (60, True), (60, False),
    (59, False), (24, False), (57, False),
)  # fmt: skip


def choose_rate(rng: np.random.Generator) -> Rate:
    timebase, ntsc = FPS[int(rng.integers(len(FPS)))]
    return Rate(Fraction(timebase), ntsc)
