"""The reader and the writer: nothing of the nine parameters is lost, and OTIO agrees on timing."""

import copy

import numpy as np
import pytest
from hypothesis import given

from multitrack.edit.timeline import sample
from multitrack.xmeml import files
from tests.multitrack.conftest import timelines
from tests.multitrack.documents import FILE, clip, document, motion


@given(timelines())
def test_a_written_timeline_reads_back_equal_on_all_nine_parameters(timeline):
    again = files.parse(files.dumps(timeline))
    assert again.notes == []
    np.testing.assert_array_equal(sample(again).values, sample(timeline).values)
    np.testing.assert_array_equal(sample(again).sizes, sample(timeline).sizes)
    assert again.rate == timeline.rate
    assert [c.name for c in again.clips] == [c.name for c in timeline.clips]


@pytest.mark.parametrize(("name", "read"), [("a\x00b\ufffec\uffff", "abc"), ("\ufffe", "unnamed")])
def test_characters_that_xml_cannot_hold_are_left_out(name, read):
    timeline = files.parse(document(clip()))
    timeline.tracks[0].clips[0].name = name
    assert [c.name for c in files.parse(files.dumps(timeline)).clips] == [read]


@given(timelines())
def test_a_read_document_survives_writing(timeline):
    """parse(write(parse(x))) = parse(x)."""
    once = files.parse(files.dumps(timeline, "bin"))
    twice = files.parse(files.dumps(copy.deepcopy(once), "project"))
    np.testing.assert_array_equal(sample(twice).values, sample(once).values)
    for one, two in zip(once.clips, twice.clips, strict=True):
        assert (one.first, one.last, one.lead, one.tail) == (
            two.first,
            two.last,
            two.lead,
            two.tail,
        )
        assert one.curve("rotation") == two.curve("rotation")


def test_opentimelineio_agrees_on_timing(small_corpus, tmp_path):
    otio = pytest.importorskip("opentimelineio")
    if "fcp_xml" not in otio.adapters.available_adapter_names():
        pytest.skip("otio-fcp-adapter is not installed")
    dissolves = 0
    for file in sorted(small_corpus.rglob("*.xml")):
        mine = files.read(file)
        theirs = otio.adapters.read_from_file(str(file), adapter_name="fcp_xml")
        if not isinstance(theirs, otio.schema.Timeline):
            theirs = theirs.find_children(descended_from_type=otio.schema.Timeline)[0]
        assert len(theirs.video_tracks()) == len(mine.tracks)
        for one, two in zip(theirs.video_tracks(), mine.tracks, strict=True):
            items = [i for i in one if isinstance(i, (otio.schema.Clip, otio.schema.Stack))]
            ranges = [one.range_of_child(i) for i in items]
            edges = [(r.start_time.value, r.end_time_exclusive().value) for r in ranges]
            assert edges == [(c.start, c.end) for c in two.clips], file
            dissolves += len(two.transitions)
    assert dissolves > 0


def test_keyframes_replace_the_value():
    written = clip(first=500, last=600, filters=motion("scale", (500, 100), (600, 200)))
    values = sample(files.parse(document(written))).values
    np.testing.assert_allclose(values[:, 0, 2], 100 + np.arange(0, 100, 2.5).astype(int))


def test_keys_in_the_handles_shape_the_ramp():
    written = clip(first=500, last=600, filters=motion("scale", (450, 0), (550, 100), (650, 200)))
    assert sample(files.parse(document(written))).values[0, 0, 2] == 50


def test_keys_outside_the_clip_are_held_and_noted():
    written = clip(first=500, last=600, filters=motion("scale", (900, 30), (950, 40)))
    timeline = files.parse(document(written))
    assert (sample(timeline).values[:, 0, 2] == 30).all()
    assert "outside the clip" in timeline.notes[0]


def test_both_crop_encodings_add_up():
    crop = """<filter><effect><effectid>crop</effectid><parameter><parameterid>left</parameterid>
    <value>5</value></parameter></effect></filter>"""
    written = clip(filters=motion("leftcrop", value=20) + crop)
    values = sample(files.parse(document(written))).values
    assert (values[:, 0, 5] == 25).all()


def test_the_centre_is_in_units_of_the_source():
    """Position 1530 in a 1080 wide sequence with a 3840 wide source is written as 0.2578125."""
    file = FILE.replace("1920", "3840").replace("1080", "2160")
    centre = """<filter><effect><effectid>basic</effectid><parameter>
    <parameterid>center</parameterid><value><horiz>0.2578125</horiz><vert>0</vert></value></parameter></effect></filter>"""
    timeline = files.parse(document(clip(file=file, filters=centre), size=(1080, 1920)))
    x = sample(timeline).values[0, 0, 3]
    assert 540 + x * 1080 == pytest.approx(1530)
    other = sample(timeline, rule="sequence").values[0, 0, 3]
    assert other == pytest.approx(0.2578125)


@pytest.mark.parametrize(("align", "cut"), [("center", 100), ("start", 90), ("end", 110)])
def test_an_edge_inside_a_transition_is_its_cut(align, cut):
    dissolve = (
        "<transitionitem><start>90</start><end>110</end>"
        f"<alignment>{align}</alignment></transitionitem>"
    )
    track = clip(1, 0, -1, 0, 110) + dissolve + clip(2, -1, 200, 50, 160, file='<file id="f1"/>')
    timeline = files.parse(document(track))
    one, two = timeline.clips
    assert (one.end, two.start) == (cut, cut)
    # The media frame at the transition's start is `in`; at the cut it is as much later.
    assert two.first == 50 + cut - 90
    assert one.last == 110 - (110 - cut)


def test_disabled_clips_and_tracks_do_not_show():
    off = "<enabled>FALSE</enabled>"
    values = sample(files.parse(document(clip(enabled=off), clip(2) + off, clip(3)))).values
    assert values[:, 0:2, 0].max() == 0
    assert values[:, 2, 0].min() == 1


@pytest.mark.parametrize("word", ["TRUE", "FALSE"])
def test_a_locked_track_stays_locked_and_no_other(word):
    timeline = files.parse(document(clip() + f"<locked>{word}</locked>", clip(2)))
    assert [track.locked for track in timeline.tracks] == [word == "TRUE", False]
    again = files.parse(files.dumps(timeline))
    assert [track.locked for track in again.tracks] == [word == "TRUE", False]


@pytest.mark.parametrize(
    ("base", "ntsc", "exact"),
    [(30, "TRUE", 30000 / 1001), (59, "FALSE", 59), (60, "TRUE", 60000 / 1001)],
)
def test_rates_are_exact_over_an_hour_and_ntsc_is_never_guessed(base, ntsc, exact):
    frames = base * 3600
    rate = f"<timebase>{base}</timebase><ntsc>{ntsc}</ntsc>"
    track = clip(1, 0, frames - 1, 0, frames - 1, base=base) + clip(
        2, frames - 1, frames, 5, 6, base=base
    )
    timeline = files.parse(document(track, rate=rate))
    assert float(timeline.rate.fps) == pytest.approx(exact, rel=1e-12)
    assert timeline.seconds == pytest.approx(frames / exact)
    assert len(sample(timeline).values) == int(np.ceil(frames / exact * 10))


def test_a_clip_of_another_rate_is_read_at_its_own():
    """25 fps keys in a 50 fps sequence: one media frame is two sequence frames."""
    written = clip(end=200, filters=motion("scale", (0, 0), (100, 100)), base=25)
    rate = "<timebase>50</timebase><ntsc>FALSE</ntsc>"
    values = sample(files.parse(document(written, rate=rate))).values
    assert values[20, 0, 2] == pytest.approx(50)  # after 2 s = sequence frame 100


def test_a_file_is_defined_once_wherever_that_is():
    track = clip(1, 0, 50, file='<file id="f1"/>') + clip(2, 50, 100, file=FILE)
    timeline = files.parse(document(track))
    assert timeline.notes == []
    assert timeline.clips[0].media is timeline.clips[1].media


def test_more_than_twenty_tracks_says_which_are_dropped():
    timeline = files.parse(document(*[clip(n) for n in range(23)]))
    frames = sample(timeline)
    assert frames.values.shape[1] == 20
    assert [note.split()[1] for note in frames.notes] == ["V21", "V22", "V23"]
    assert len(timeline.tracks) == 23


def test_unicode_links_and_foreign_filters_are_kept():
    extra = """<filter><effect><name>Glitch 日本</name><effectid>x.glitch</effectid></effect>
    </filter>    <link><linkclipref>c1</linkclipref></link>"""
    timeline = files.parse(document(clip(filters=extra)))
    again = files.dumps(timeline).decode()
    assert "Glitch 日本" in again
    assert "<linkclipref>c1" in again


def test_opacity_rotation_anchor_and_speed_are_kept():
    filters = (
        motion("rotation", value=12)
        + """<filter><effect><effectid>opacity</effectid><parameter>
    <parameterid>opacity</parameterid><value>40</value></parameter></effect></filter><filter><effect>
    <effectid>timeremap</effectid><parameter><parameterid>speed</parameterid><value>50</value>
    </parameter></effect></filter>"""
    )
    timeline = files.parse(document(clip(filters=filters)))
    for made in (timeline, files.parse(files.dumps(timeline))):
        (only,) = made.clips
        assert (only.curve("rotation").value, only.opacity.value, only.speed) == (12, 40, 50)


def test_stills_texts_and_generators_have_their_classes():
    text = """<generatoritem id="g"><name>T</name><rate><timebase>25</timebase></rate>
    <start>0</start><end>50</end><in>0</in><out>50</out><effect><name>Text</name><effectid>Text</effectid></effect>
    </generatoritem>"""
    colour = text.replace("Text", "Color")
    still = clip(file=FILE.replace("a.mov", "a.png").replace("f1", "f2"))
    origin = "<mediaSource>GraphicAndType</mediaSource><media>"
    graphic = clip(file=FILE.replace("<media>", origin).replace("f1", "f3"))
    values = sample(files.parse(document(text, colour, still, graphic, clip()))).values
    names = [int(v) for v in values[0, :5, 1]]
    assert names == [6, 7, 5, 6, 0]
