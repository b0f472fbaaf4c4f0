"""What real files hold that a schema does not foresee: one law for each kind that was met."""

from fractions import Fraction

import pytest

from multitrack.edit.timeline import Rate, sample
from multitrack.xmeml import files
from multitrack.xmeml.media import file_name, is_still
from tests.multitrack.documents import FILE, check_references, clip, content, document, motion

SECOND = 254_016_000_000  # Premiere's ticks
AGAIN = '<file id="f1"/>'


def through(data: bytes):
    """Read, and read again after writing."""
    timeline = files.parse(data)
    return timeline, files.parse(files.dumps(timeline))


@pytest.mark.parametrize(
    ("faulty", "says"),
    [
        ("<clipitem/>", "V1 clip 'unnamed': expected a frame number in <start>"),
        ("<clipitem id='x'><name>slug</name><rate><timebase>0</timebase></rate><start>100</start>"
         "<end>150</end><in>0</in><out>0</out></clipitem>", "V1 clip 'slug': expected a frame"),
        (clip(7, start="soon"), "V1 clip 'c7': expected a frame number in <start>, got 'soon'"),
        ("<transitionitem><start>9</start></transitionitem>", "V1 transition: expected a frame"),
    ],
)  # fmt: skip
def test_one_faulty_clip_is_named_and_the_rest_is_read(faulty, says):
    timeline, again = through(document(clip() + faulty + clip(3, 150, 250, file=AGAIN)))
    assert [(c.start, c.end) for c in again.clips] == [(0, 100), (150, 250)]
    (note,) = timeline.notes
    assert note.startswith(f"left out: {says}")
    assert again.notes == []


def test_a_file_of_rate_0_is_shown_all_the_same():
    file = FILE.replace("<pathurl>", "<rate><timebase>0</timebase></rate><pathurl>")
    timeline, again = through(document(clip(file=file)))
    assert len(again.clips) == 1
    assert "its length is unknown" in timeline.notes[0]


def test_keys_before_the_trim_are_held_after_a_razor_cut():
    """Both parts of a cut clip hold all keys of the whole; they are the source's frames."""
    keys = motion("scale", (10, 50), (20, 100))
    parts = clip(filters=keys) + clip(2, 100, 200, 100, 200, file=AGAIN, filters=keys)
    for timeline in through(document(parts)):
        scale = sample(timeline).values[:, 0, 2]
        assert scale[0] == 50
        assert (scale[8:] == 100).all()


LINK = "<link><mediatype>{}</mediatype><trackindex>1</trackindex><clipindex>{}</clipindex></link>"


def test_links_by_track_and_number_are_kept_and_find_their_ends():
    both = LINK.format("video", 2) + LINK.format("audio", 1)
    sound = (
        f"<audio><track><clipitem><name>a</name><start>50</start><end>100</end>{AGAIN}{both}"
        "</clipitem></track></audio>"
    )
    data = document(clip(end=50) + clip(2, 50, file=AGAIN, filters=both))
    outer = "</video></media></sequence>"
    data = data.replace(outer.encode(), outer.replace("</video>", f"</video>{sound}").encode())
    timeline, again = through(data)
    assert timeline.notes == again.notes == []
    written = files.dumps(timeline)
    check_references(written)
    assert written.count(b"<linkclipref>c2</linkclipref>") == 2
    assert written.count(b"<link>") == 4
    assert content(data)["mediatype", (), "audio"] == content(written)["mediatype", (), "audio"]


def graphic(rate: int, first: int, last: int) -> str:
    ticks = "".join(
        f"<pproTicks{side}>{SECOND // 30 * at}</pproTicks{side}>"
        for side, at in (("In", first), ("Out", last))
    )
    return clip(end=last - first, first=first, last=last, base=rate, filters=ticks)


def test_a_graphic_counts_at_the_rate_that_its_ticks_prove():
    thirty = "<timebase>30</timebase><ntsc>FALSE</ntsc>"
    given = document(graphic(24, 107_892, 108_042), rate=thirty)
    timeline, again = through(given)
    assert timeline.clips[0].rate == again.clips[0].rate == Rate(Fraction(30))
    assert not content(given) - content(files.dumps(timeline))
    # What is moved no longer has ticks to prove it, and says its rate itself.
    timeline.clips[0].last -= 30
    written = files.dumps(timeline)
    assert b"pproTicks" not in written
    assert files.parse(written).clips[0].rate == Rate(Fraction(30))


def test_the_ticks_of_a_retimed_clip_stay_with_its_trim():
    """They count the source, `in` and `out` the retimed clip."""
    speed = motion("speed", value=50).replace("Basic Motion", "Time Remap").replace(
        "<effectid>basic", "<effectid>timeremap"
    )  # fmt: skip
    ticks = f"<pproTicksIn>{SECOND * 2}</pproTicksIn><pproTicksOut>{SECOND * 4}</pproTicksOut>"
    given = document(clip(first=100, last=200, filters=ticks + speed))
    assert not content(given) - content(files.dumps(files.parse(given)))


REMAP = """<filter><effect><name>Time Remap</name><effectid>timeremap</effectid><parameter>
<parameterid>variablespeed</parameterid><value>{}</value></parameter><parameter><parameterid>speed
</parameterid><value>40</value></parameter><parameter><parameterid>reverse</parameterid><value>{}
</value></parameter><parameter><parameterid>graphdict</parameterid><keyframe><when>0</when><value>
0</value></keyframe><keyframe><when>100</when><value>40</value></keyframe></parameter></effect>
</filter>"""


@pytest.mark.parametrize(("backwards", "speed"), [("TRUE", -40), ("FALSE", 40)])
def test_what_runs_backwards_is_read_so(backwards, speed):
    for timeline in through(document(clip(filters=REMAP.format(0, backwards)))):
        assert timeline.clips[0].speed == speed
        assert timeline.clips[0].remap is None


def test_a_speed_that_varies_is_a_curve():
    for timeline in through(document(clip(filters=REMAP.format(1, "FALSE")))):
        assert timeline.clips[0].remap.keys == ((0, 0), (100, 40))


@pytest.mark.parametrize(
    ("name", "asset"),
    [("frame_%23%23%23%23.png", 0), ("frame.%2504d.exr", 0), ("f_%5B0001-0250%5D.dpx", 0),
     ("a.webp", 5), ("a.svg", 5), ("a.exr", 5), ("a.dpx", 5), ("a.avif", 5), ("a%20b.PNG", 5)],
)  # fmt: skip
def test_a_picture_is_a_still_and_a_numbered_one_footage(name, asset):
    given = document(clip(file=FILE.replace("/a.mov", f"/{name}")))
    timeline, again = through(given)
    assert sample(timeline).values[0, 0, 1] == sample(again).values[0, 0, 1] == asset
    assert b"stillframe" not in files.dumps(timeline)


def test_2997_marked_ntsc_is_30_frames_in_1001_milliseconds():
    rate = "<timebase>29.97</timebase><ntsc>TRUE</ntsc>"
    for timeline in through(document(clip(), rate=rate)):
        assert timeline.rate == Rate(Fraction(30), True)
    plain = rate.replace("TRUE", "FALSE")
    for timeline in through(document(clip(), rate=plain)):
        assert timeline.rate.fps == Fraction("29.97")


@pytest.mark.parametrize(
    "url", [r"file://localhostC:\\media\\title.png", r"file://localhost/C%3a\\m%20x\\title.png"]
)
def test_a_windows_path_is_understood_and_written_as_it_was(url):
    given = document(clip(file=FILE.replace("file:///a.mov", url)))
    timeline = files.parse(given)
    assert file_name(url) == "title.png"
    assert is_still(url)
    assert timeline.clips[0].kind == "still"
    assert url.encode() in files.dumps(timeline)


@pytest.mark.parametrize(
    ("encoding", "name"), [("Shift_JIS", "カメラ①"), ("GBK", "镜头"), ("EUC-KR", "카메라")]
)
def test_encodings_of_several_bytes_are_read(encoding, name):
    text = document(clip()).decode().replace("?>", f' encoding="{encoding}"?>', 1)
    codec = {"Shift_JIS": "cp932"}.get(encoding, encoding)
    data = text.replace("<name>c1", f"<name>{name}").encode(codec)
    for timeline in through(data):
        assert timeline.clips[0].name == name
