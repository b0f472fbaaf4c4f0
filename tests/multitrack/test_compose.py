"""What a composer keeps: linked sound, transitions, a source's size and place, stillness."""

from xml.etree import ElementTree

import numpy as np
import pytest

from multitrack.answer.compose import Composer
from multitrack.answer.pieces import curve
from multitrack.edit.timeline import sample
from multitrack.xmeml import files
from tests.multitrack.documents import FILE, RATE, check_references, clip, document, motion

AGAIN = '<file id="f1"/>'
OTHER = FILE.replace("a.mov", "b.mov").replace("f1", "f2")
FADE = f"""<transitionitem><start>70</start><end>80</end><alignment>center</alignment>
<rate>{RATE}</rate><effect><name>Cross Dissolve</name></effect></transitionitem>"""


def linked(*ends: str) -> str:
    return "".join(f"<link><linkclipref>{end}</linkclipref></link>" for end in ends)


def sound(key: str, start: int, end: int, first: int, file: str = AGAIN, links: str = "") -> str:
    return (
        f'<clipitem id="{key}"><name>{key}</name><rate>{RATE}</rate><start>{start}</start>'
        f"<end>{end}</end><in>{first}</in><out>{first + end - start}</out>{file}{links}</clipitem>"
    )


def with_audio(data: bytes, *tracks: str):
    audio = "<audio>" + "".join(f"<track>{track}</track>" for track in tracks) + "</audio>"
    return files.parse(data.replace(b"</media></sequence>", f"{audio}</media></sequence>".encode()))


def heard(timeline) -> list[tuple[str, int, int, int, int]]:
    root = ElementTree.fromstring(files.dumps(timeline))
    return [
        (item.get("id"), *(int(item.findtext(tag)) for tag in ("start", "end", "in", "out")))
        for item in root.iterfind(".//audio/track/clipitem")
    ]


def going_on(timeline, count: int, start: int | None = None) -> tuple:
    values = sample(timeline).values
    start = len(values) if start is None else start
    ahead = np.repeat(values[start - 1 : start], count, 0)
    return ahead, ahead[:, :, 0], start


def test_linked_and_free_sound_goes_on_with_the_picture_and_ends_with_it():
    long = FILE.replace("<pathurl>", "<duration>900</duration><pathurl>")
    one = clip(file=long, filters=linked("a1"))
    timeline = with_audio(
        document(one), sound("a1", 0, 100, 0, links=linked("c1")), sound("a2", 0, 100, 40)
    )
    made = Composer(timeline).lay(*going_on(timeline, 40))
    assert made.duration == 200
    assert heard(made) == [("a1", 0, 200, 0, 200), ("a2", 0, 200, 40, 240)]


def test_sound_lasts_no_longer_than_its_source_and_meets_nothing():
    short = FILE.replace("<pathurl>", "<duration>120</duration><pathurl>").replace("f1", "f3")
    timeline = with_audio(document(clip()), sound("a1", 0, 100, 0, short))
    made = Composer(timeline).lay(*going_on(timeline, 40))
    assert heard(made) == [("a1", 0, 120, 0, 120)]


def test_a_new_clip_brings_its_sound_linked_both_ways():
    parts = clip(end=50, last=50, filters=linked("a1")) + clip(
        2, 50, file=OTHER, filters=linked("a2")
    )
    timeline = with_audio(
        document(parts),
        sound("a1", 0, 50, 0, links=linked("c1"))
        + sound("a2", 50, 100, 0, '<file id="f2"/>', linked("c2")),
    )
    values = np.repeat(sample(timeline).values[:1], 20, 0)
    made = Composer(timeline).lay(values, values[:, :, 0], 40)
    new = made.clips[-1]
    assert (new.start, new.end, new.first) == (100, 150, 100)  # in sync with its first use
    assert heard(made)[-1][1:] == (100, 150, 100, 150)
    written = files.dumps(made)
    check_references(written)
    root = ElementTree.fromstring(written)
    both = {new.id, heard(made)[-1][0]}
    for item in root.iter("clipitem"):
        if item.get("id") in both:
            assert {e.text for e in item.iter("linkclipref")} == both
            assert [e.text for e in item.iter("clipindex")] == ["3", "3"]


def test_sync_is_known_from_sound_alone():
    """The camera's picture was never in sync; its sound lies on the timeline."""
    parts = clip(end=50, last=50) + clip(2, 50, first=0, last=50, file=OTHER)
    timeline = with_audio(document(parts), sound("a1", 0, 100, 700, '<file id="f2"/>'))
    timeline.tracks[0].clips[1].speed = 200.0
    values = np.repeat(sample(timeline).values[30:31], 20, 0)
    values[:10] = sample(timeline).values[0]
    made = Composer(timeline).lay(values, values[:, :, 0], 40)
    assert made.clips[-1].first - made.clips[-1].start == 700


def test_a_transition_stays_where_its_cut_is_laid_again():
    parts = clip(end=75, last=80) + FADE + clip(2, 75, 200, 300, 430, file=OTHER)
    parts = parts.replace("<end>75", "<end>-1").replace("<start>75", "<start>-1")
    timeline = files.parse(document(parts))
    true = sample(timeline).values
    made = Composer(timeline).lay(true[20:60], true[20:60, :, 0], 20)
    (fade,) = made.tracks[0].transitions
    assert (fade.start, fade.end) == (70, 80)
    again = files.parse(files.dumps(made))
    assert [(c.start, c.end, c.lead, c.tail) for c in again.clips][:2] == [
        (0, 75, 0, 5), (75, 150, 5, 0)
    ]  # fmt: skip
    elsewhere = np.repeat(true[20:21], 40, 0)
    assert Composer(timeline).lay(elsewhere, elsewhere[:, :, 0], 20).tracks[0].transitions == []


@pytest.mark.parametrize(("off", "kept"), [(1.03, 80.0), (1.2, 96.0)])
def test_a_still_size_near_the_sources_last_is_the_sources_last(off, kept):
    parts = clip(end=50, last=50, filters=motion("scale", value=80)) + clip(2, 50, file=OTHER)
    timeline = files.parse(document(parts))
    values = np.repeat(sample(timeline).values[:1], 20, 0)
    values[:, 0, 2] *= off
    made = Composer(timeline).lay(values, values[:, :, 0], 40)
    assert made.clips[-1].curve("scale").keys == ()
    assert made.clips[-1].curve("scale").value == pytest.approx(kept)


def test_what_does_not_move_has_no_keys_and_what_moves_has():
    frames, rng = np.arange(40.0), np.random.default_rng(0)
    uncertain = 100 + rng.uniform(-2, 2, 40)
    assert curve(uncertain, frames, 0.5).keys == ()
    assert len(curve(100 + 0.1 * frames, frames, 0.5).keys) == 2
    pop = np.minimum(10 + 30 * frames, 100.0)
    assert curve(pop, frames, 0.5).moves


def test_a_camera_runs_on_where_nothing_can_be_shown_in_its_place():
    """Another source is predicted that the edit does not hold; a switched-off angle gives way."""
    off = "<enabled>FALSE</enabled>"
    timeline = files.parse(document(clip() + clip(2, 100, 150, 100, 150, file=AGAIN, enabled=off)))
    values = np.repeat(sample(timeline).values[:1], 20, 0)
    values[:, 2], values[:, 0, 0] = values[:, 0], 0
    values[:, 2, 1] = 6
    made = Composer(timeline).lay(values, values[:, :, 0], 40)
    assert [(c.start, c.end, c.enabled) for c in made.clips] == [(0, 150, True)]
