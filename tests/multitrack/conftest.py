"""Timelines to test with, random ones for Hypothesis among them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import strategies as st

from multitrack import corpus
from multitrack.edit.timeline import Clip, Curve, Media, Rate, Timeline, Track, Transition

pytest.register_assert_rewrite("tests.multitrack.documents")

RATES = st.builds(
    Rate, st.sampled_from([Fraction(n) for n in (24, 25, 30, 50, 57, 59, 60)]), st.booleans()
)
# What an XML document can hold: no surrogates, no control characters, not U+FFFE and U+FFFF.
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
NAMES = st.text(CHARACTERS, min_size=1, max_size=12).map(lambda text: text.strip() or "clip")


def _numbers(low: float, high: float) -> st.SearchStrategy:
    return st.floats(low, high, allow_nan=False).map(lambda v: round(v, 6))


@st.composite
def timelines(draw) -> Timeline:
    """Up to 4 tracks with gaps, stills, generators, keyframes, both crops, transitions, nesting."""
    rate = draw(RATES)
    medias = [
        Media(
            f"file-{n}",
            draw(NAMES),
            *draw(st.sampled_from([(1920, 1080), (640, 480), (500, 900)])),
            100_000,
            rate,
            f"file://localhost/m{n}.{draw(st.sampled_from(['mov', 'png']))}",
        )
        for n in range(3)
    ]
    inner = Timeline(
        "inner", rate, 640, 360, [Track([_clip(draw, 0, 50, medias[0], rate, 99)])], 50, "s-2"
    )
    nested = Media("s-2", "inner", 640, 360, 50, rate, sequence=inner)
    tracks = []
    for number in range(draw(st.integers(1, 4))):
        track, at = Track(enabled=draw(st.integers(0, 9)) > 0), draw(st.integers(0, 40))
        for place in range(draw(st.integers(0, 4))):
            length = draw(st.integers(2, 120))
            media = draw(st.sampled_from([*medias, nested]))
            track.clips.append(_clip(draw, at, at + length, media, rate, 10 * number + place))
            at += length + draw(st.sampled_from([0, 0, 7]))
        for one, two in zip(track.clips, track.clips[1:], strict=False):
            half = min(one.end - one.start, two.end - two.start) // 4
            if one.end == two.start and half and not one.lead and draw(st.booleans()):
                side = draw(st.sampled_from(["center", "start", "end"]))
                early, late = half * (side != "start"), half * (side != "end")
                track.transitions.append(Transition(one.end - early, one.end + late, side))
                one.tail, two.lead = late, early
        tracks.append(track)
    if not any(track.clips for track in tracks):
        tracks[0].clips.append(_clip(draw, 0, 60, medias[0], rate, 77))
    made = Timeline(draw(NAMES), rate, *draw(st.sampled_from([(1920, 1080), (1080, 1920)])), tracks)
    made.duration = max(c.end + c.tail for c in made.clips)
    return made


def _clip(draw, start: int, end: int, media: Media, rate: Rate, number: int) -> Clip:
    kind = "nested" if media.sequence else "still" if media.path.endswith("png") else "video"
    first = draw(st.sampled_from([0, 100, 215_914]))

    def curve(low: float, high: float) -> Curve:
        keys = draw(
            st.lists(
                st.tuples(st.integers(first, first + end - start).map(float), _numbers(low, high)),
                max_size=3,
                unique_by=lambda key: key[0],
            )
        )
        return Curve(draw(_numbers(low, high)), tuple(sorted(keys)))

    motion = {
        "scale": curve(1, 400), "x": curve(-1, 1), "y": curve(-1, 1), "left": curve(0, 60),
        "top": curve(0, 60), "anchor_x": Curve(draw(_numbers(-0.5, 0.5))),
        "rotation": Curve(draw(_numbers(-90, 90))),
    }  # fmt: skip
    crop = {"right": curve(0, 60)} if draw(st.booleans()) else {}
    return Clip(
        f"clip-{number}", draw(NAMES), start, end, first, first + end - start, rate, media, kind,
        draw(st.integers(0, 9)) > 0, motion if draw(st.booleans()) else {}, crop,
    )  # fmt: skip


@pytest.fixture(scope="session")
def edit() -> tuple[Timeline, np.ndarray, dict]:
    """A made edit with stickers, lower thirds and speakers."""
    return corpus.make_edit(0, "test", 1, styles=4, seconds=(40, 40))


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory):
    """Seven short timelines in all four splits."""
    folder = tmp_path_factory.mktemp("edits")
    counts = {"train": 3, "val": 1, "test": 2, "heldout": 1}
    corpus.make_corpus(folder, counts, styles=3, seconds=(20, 30))
    return folder
