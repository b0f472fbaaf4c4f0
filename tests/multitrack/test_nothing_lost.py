"""An edit that is sent through keeps what it holds; what refers to something finds it."""

from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitrack.answer.compose import Composer
from multitrack.edit.timeline import sample
from multitrack.xmeml import files
from tests.multitrack.conftest import timelines
from tests.multitrack.test_xmeml import FILE, RATE, clip, document

BEZIER = "<interpolation><name>FCPCurve</name></interpolation><inscale>0.4</inscale>"
MOTION = f"""<filter><enabled>TRUE</enabled><start>-1</start><effect><name>Basic Motion</name>
<effectid>basic</effectid><parameter authoringApp="PremierePro"><parameterid>scale</parameterid>
<value>100</value><keyframe><when>10</when><value>100</value>{BEZIER}</keyframe><keyframe>
<when>60</when><value>150</value>{BEZIER}</keyframe></parameter><parameter>
<parameterid>antiflicker</parameterid><value>0.7</value></parameter></effect></filter>"""
FADE = f"""<transitionitem><start>90</start><end>110</end><alignment>center</alignment>
<rate>{RATE}</rate><effect><name>Iris</name><wipecode>101</wipecode></effect></transitionitem>"""
SOUND = """<audio><numOutputChannels>2</numOutputChannels><track><clipitem id="a1"><name>a</name>
<file id="f1"/><link><linkclipref>c1</linkclipref></link></clipitem><clipitem id="a2">
<name>b</name><sequence id="inner"/><link><linkclipref>c2</linkclipref></link></clipitem>
</track></audio>"""
INNER = f"""<sequence id="inner"><name>in</name><rate>{RATE}</rate><media><video><format>
<samplecharacteristics><width>640</width><height>360</height></samplecharacteristics></format><track>
<clipitem id="i1"><name>i1</name><start>0</start><end>100</end><in>0</in><out>100</out>
<marker><name>within</name></marker><file id="f2"><name>b.mov</name></file></clipitem></track>
</video></media></sequence>"""
EXTRAS = """<alphatype>none</alphatype><pixelaspectratio>HD-(960x720)</pixelaspectratio>
<pproTicksIn>0</pproTicksIn><marker><name>hier</name><in>3</in></marker><logginginfo><scene>7
</scene></logginginfo><labels><label2>Iris</label2></labels>"""


def rich() -> bytes:
    """A cut from a file to a nested sequence, with sound and all that hangs on an edit."""
    link = "<link><linkclipref>{}</linkclipref><mediatype>audio</mediatype></link>"
    one = clip(1, 0, -1, 0, 110, filters=MOTION + EXTRAS + link.format("a1"))
    two = clip(2, -1, 200, 0, 110, file=INNER, filters=link.format("a2"))
    three = clip(3, 50, 80, 5, 35, file='<file id="f1"/>')
    text = document(one + FADE + two, three).decode()
    for old, new in (
        ("<format>", "<format><codec><name>ProRes</name></codec>"),
        ("</samplecharacteristics></format>", "<pixelaspectratio>NTSC-601</pixelaspectratio>"
         "<fielddominance>upper</fielddominance></samplecharacteristics></format>"),
        ("<track>", '<track TL.SQTrackShy="1"><outputname>eins</outputname>'),
        ('<clipitem id="c1">', '<clipitem id="c1" frameBlend="TRUE">'),
        ('<sequence id="s">', '<sequence id="s" MZ.WorkInPoint="5"><uuid>u-1</uuid><marker><name>'
         "Akt 2</name><in>9</in></marker><timecode><string>10:00:00:00</string></timecode>"),
    ):  # fmt: skip
        text = text.replace(old, new, 1)
    outer, inner = "</video></media></sequence></xmeml>", "</video></media></sequence>"
    cut = text.rindex(inner)
    assert text.endswith(outer)
    return f"{text[:cut]}</video>{SOUND}</media></sequence></xmeml>".encode()


def content(data: bytes) -> Counter:
    """How often each element stands in a document, by tag, attributes and text."""
    elements = ElementTree.fromstring(data).iter()
    return Counter(
        (e.tag, tuple(sorted(e.attrib.items())), (e.text or "").strip()) for e in elements
    )


def check_references(data: bytes) -> None:
    """A source is defined once, at its first use; links have ends; every item's id is its own."""
    root = ElementTree.fromstring(data)
    for tag in ("file", "sequence"):
        by_id = {}
        for element in root.iter(tag):
            by_id.setdefault(element.get("id"), []).append(len(element) > 0)
        for key, defined in by_id.items():
            assert defined == [True] + [False] * (len(defined) - 1), (tag, key)
    items = [e.get("id") for tag in ("clipitem", "generatoritem") for e in root.iter(tag)]
    assert len(set(items)) == len(items)
    assert {e.text for e in root.iter("linkclipref")} <= set(items)


def test_a_document_loses_nothing_on_its_way_through():
    given = rich()
    timeline = files.parse(given)
    assert timeline.notes == []
    written = files.dumps(timeline)
    assert content(given) - content(written) == Counter()
    check_references(written)
    assert content(files.dumps(files.parse(written))) == content(written)


def test_a_continued_document_loses_only_where_it_ended():
    given = rich()
    timeline = files.parse(given)
    start = len(sample(timeline).values)
    going_on = np.repeat(sample(timeline).values[-1:], 30, 0)
    made = Composer(timeline).lay(going_on, going_on[:, :, 0], start)
    lost = content(given) - content(files.dumps(made))
    assert {tag for tag, _, _ in lost} <= {"end", "out", "duration"}


def test_finer_edges_go_with_the_trim_that_they_are_of():
    second = 254_016_000_000  # ticks
    ticks = f"<pproTicksIn>{second // 25}</pproTicksIn><pproTicksOut>{second * 4}</pproTicksOut>"
    timeline = files.parse(document(clip(first=1, last=100, end=99, filters=ticks)))
    assert files.dumps(timeline).count(b"pproTicks") == 4
    hole = np.zeros((6, 20, 9))
    made = Composer(timeline).lay(hole, hole[:, :, 0], 14)
    assert len(made.clips) == 2
    assert b"pproTicks" not in files.dumps(made)


def test_where_motion_changes_the_rest_of_its_filter_stays():
    given = document(clip(filters=MOTION))
    timeline = files.parse(given)
    values = np.repeat(sample(timeline).values[-1:], 30, 0)
    values[:, 0, 3] = 0.3
    made = Composer(timeline).lay(values, values[:, :, 0], 40)
    assert [note for note in made.notes if "easing" in note] == []
    written = files.dumps(made)
    for kept in (b"FCPCurve", b"antiflicker", b"0.7"):
        assert kept in written
    np.testing.assert_allclose(sample(files.parse(written)).values[40:, 0, 3], 0.3, atol=1e-4)
    values[:, 0, 2] = 60
    made = Composer(timeline).lay(values, values[:, :, 0], 40)
    assert [note for note in made.notes if "easing" in note] == [
        "'c1': scale goes on, its keys lose their easing"
    ]


@pytest.mark.parametrize("relative", [(0, 40), (10, 90)])
def test_a_clip_cut_in_two_moves_as_before(relative):
    """Keys that lie before the second part's trim are not taken for the part's own time."""
    keys = MOTION.replace("<when>10", f"<when>{relative[0]}").replace(
        "<when>60", f"<when>{relative[1]}"
    )
    timeline = files.parse(document(clip(filters=keys)))
    true = sample(timeline).values
    hole = np.zeros((6, 20, 9))
    made = Composer(timeline).lay(hole, hole[:, :, 0], 14)
    again = sample(files.parse(files.dumps(made))).values
    assert not again[14:20, 0, 0].any()
    np.testing.assert_allclose(again[20:, 0], true[20:, 0], atol=1e-4)


@pytest.mark.parametrize("first", [0, 10, 30, 60])
@pytest.mark.parametrize("length", [5, 20, 40])
def test_references_hold_after_any_block_is_taken_out(first, length):
    timeline = files.parse(rich())
    hole = np.zeros((length, 20, 9))
    for made in (
        Composer(timeline).lay(hole, hole[:, :, 0], first),
        Composer(timeline).lay(hole, hole[:, :, 0], first, [0]),
    ):
        check_references(files.dumps(made))
        for number in (1, 2):
            if f"c{number}" not in {c.id for c in made.clips}:
                assert any("without the link" in note for note in made.notes)


@given(timelines(), st.integers(0, 60), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_outside_the_block_that_is_predicted_nothing_changes(timeline, start, length, seed):
    timeline = files.parse(files.dumps(timeline))
    true = sample(timeline).values
    start = min(start, len(true))
    rng = np.random.default_rng(seed)
    values = np.repeat(
        rng.random((-(-length // 5), 20, 9)) * (1, 9, 150, 1, 1, 50, 50, 50, 50), 5, 0
    )
    made = Composer(timeline).lay(values[:length], values[:length, :, 0], start, [0, 1, 2])
    written = files.dumps(made)
    check_references(written)
    again = sample(files.parse(written)).values
    outside = np.ones((max(len(true), start + length), 20), bool)
    outside[start : start + length, :3] = False
    outside = outside[: len(true)]
    np.testing.assert_array_equal(again[: len(true)][outside][:, 0], true[outside][:, 0])
    # Asset classes number the sources in order of appearance, which a new clip may change.
    np.testing.assert_allclose(
        again[: len(true)][outside][:, 2:], true[outside][:, 2:], rtol=1e-4, atol=2e-3
    )
    for clip_ in made.clips:
        if clip_.kind in ("video", "nested"):
            given_ = [c.last for c in timeline.clips if c.media.id == clip_.media.id]
            assert clip_.last <= max(clip_.media.duration, *given_)


def test_the_second_part_of_a_clip_does_not_take_the_first_ones_motion():
    timeline = files.parse(document(clip(filters=MOTION)))
    true = sample(timeline).values
    values = np.repeat(true[10:11], 10, 0)
    values[:, 0, 2], values[6:, 0, 0] = 30, 0  # the first part goes on for a while, smaller
    made = Composer(timeline).lay(values, values[:, :, 0], 10)
    again = sample(files.parse(files.dumps(made))).values
    np.testing.assert_allclose(again[10:16, 0, 2], 30)
    np.testing.assert_allclose(again[20:, 0], true[20:, 0], atol=1e-4)


def test_a_prediction_over_a_prediction_gives_no_id_twice():
    timeline = files.parse(rich())
    for first in (20, 50, 50, 12):
        values = np.repeat(sample(timeline).values[10:11], 6, 0)
        values[:, :, 1] = 8  # cut the clips of another class, lay others in between
        written = files.dumps(Composer(timeline).lay(values, values[:, :, 0], first))
        check_references(written)
        timeline = files.parse(written)


def test_a_link_to_nothing_is_noted_and_left_out():
    timeline = files.parse(document(clip(filters="<link><linkclipref>c9</linkclipref></link>")))
    assert timeline.notes == ["1 links lead to no clip: not written again"]
    assert b"c9" not in files.dumps(timeline)


@pytest.mark.parametrize("start", [40, 70])  # a clip that goes on, a new one of the same source
def test_no_clip_runs_past_the_end_of_its_source(start):
    file = FILE.replace("<pathurl>", "<duration>130</duration><pathurl>")
    timeline = files.parse(document(clip(file=file)))
    going_on = np.repeat(sample(timeline).values[-1:], 60, 0)
    made = Composer(timeline).lay(going_on, going_on[:, :, 0], start)
    assert all(0 <= c.first < c.last <= 130 for c in made.clips)
    assert made.clips[-1].last == 130
    assert len(made.clips) == 1 + (start == 70)
    assert any("ends at frame" in note for note in made.notes)
    still = document(clip(file=file.replace("a.mov", "a.png")))
    made = Composer(files.parse(still)).lay(going_on * 1.0, going_on[:, :, 0], 40)
    assert made.clips[-1].end == 250


def test_a_source_that_ends_between_two_samples_is_not_shown_beyond_it():
    file = FILE.replace("<pathurl>", "<duration>101</duration><pathurl>")
    timeline = files.parse(document(clip(end=101, last=101, file=file)))
    true = sample(timeline).values
    going_on = np.repeat(true[-1:], 30, 0)
    made = Composer(timeline).lay(going_on, going_on[:, :, 0], len(true))
    assert [(c.start, c.end, c.last) for c in made.clips] == [(0, 101, 101)]
    assert any("ends at frame 101" in note for note in made.notes)


def test_nested_sequences_without_an_id_are_told_apart():
    inner = INNER.replace(' id="inner"', "")
    other = inner.replace(">in<", ">other<").replace("b.mov", "c.mov").replace('"f2"', '"f3"')
    other = other.replace("i1", "i2")
    timeline = files.parse(
        document(clip(1, file=inner), clip(2, file=other)).replace(b' id="s"', b"")
    )
    assert [c.media.name for c in timeline.clips] == ["in", "other"]
    written = files.dumps(timeline)
    check_references(written)
    assert [c.media.name for c in files.parse(written).clips] == ["in", "other"]


def test_a_nested_sequence_that_cannot_be_opened_is_written_as_it_was():
    empty = '<sequence id="n"><name>leer</name><media><audio><track/></audio></media></sequence>'
    timeline = files.parse(document(clip(file=empty)))
    assert "left closed" in timeline.notes[0]
    assert b"leer" in files.dumps(timeline)


def test_every_angle_of_a_multicam_clip_is_kept():
    angle = "<angle><activevideoangle>{}</activevideoangle><clip>{}</clip></angle>"
    other = FILE.replace("a.mov", "b.mov").replace("f1", "f2")
    multi = f"<multiclip>{angle.format('FALSE', other)}{angle.format('TRUE', FILE)}</multiclip>"
    timeline = files.parse(document(clip(file=multi), clip(2, file='<file id="f2"/>')))
    assert timeline.notes == []
    again = files.parse(files.dumps(timeline))
    assert [c.media.id for c in again.clips] == ["f1", "f2"]
    assert files.dumps(again).count(b"<pathurl>") == 2


def test_clips_in_bins_are_noted_and_what_they_define_is_taken_along():
    bare = document(clip(file='<file id="f1"/>')).decode()
    given = bare.replace("<sequence", f"<project><children><clip>{FILE}</clip><sequence", 1)
    given = given.replace("</xmeml>", "</children></project></xmeml>").encode()
    timeline = files.parse(given)
    assert timeline.notes == ["1 clips in the project's bins: only the sequence is read"]
    assert b"a.mov" in files.dumps(timeline)


def test_a_sound_without_a_source_is_no_fault_of_the_reader():
    given = rich().replace(b'<file id="f1"/><link>', b'<file/><file id="gone"/><link>')
    notes = files.parse(given).notes
    assert "audio: file 'gone' is not defined in the document" in notes


def test_only_what_is_left_out_is_said_to_be():
    given = rich().replace(
        b"</video></media></sequence>", b"</video><other/></media></sequence>", 1
    )
    timeline = files.parse(given)  # in the nested one, which is written as it was
    assert timeline.notes == []
    assert b"<other" in files.dumps(timeline)
    given = given.replace(b"</audio></media>", b"</audio><more/></media>")
    assert files.parse(given).notes == [
        "sequence 's': <more> among its tracks is not written again"
    ]


def test_an_unknown_source_only_heard_is_noted():
    given = rich().replace(b'<file id="f1"/><link>', b'<file id="gone"/><link>')
    assert files.parse(given).notes == ["audio: file 'gone' is not defined in the document"]


def test_of_two_definitions_the_first_counts_and_the_other_is_noted():
    same = files.parse(document(clip(1), clip(2)))
    assert same.notes == []
    check_references(files.dumps(same))
    timeline = files.parse(document(clip(1), clip(2, file=FILE.replace("a.mov", "b.mov"))))
    assert timeline.notes == ["file 'f1' is defined again, otherwise: the first one counts"]
    written = files.dumps(timeline)
    check_references(written)
    assert b"b.mov" not in written
