"""Broken, hostile and absurd files: a message that names the file, never a hang or another file."""

import time

import numpy as np
import pytest

from experiments.shared.errors import InputError
from multitrack.edit.timeline import sample
from multitrack.xmeml import files, safe
from tests.multitrack.documents import FILE, clip, document, motion

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE xmeml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><xmeml>&c;</xmeml>"""


def refused(data: bytes) -> str:
    started = time.perf_counter()
    with pytest.raises(InputError) as caught:
        sample(files.parse(data, "bad.xml"))
    assert time.perf_counter() - started < 5
    assert str(caught.value).startswith("bad.xml")
    return str(caught.value)


def test_entity_expansion_is_refused():
    assert "entity" in refused(LAUGHS)


def test_external_entities_are_refused_unread(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("token")
    for inside in (
        f'<!DOCTYPE xmeml [<!ENTITY x SYSTEM "{secret.as_uri()}">]><xmeml>&x;</xmeml>',
        f'<!DOCTYPE xmeml [<!ENTITY % x SYSTEM "{secret.as_uri()}"> %x;]><xmeml/>',
    ):
        message = refused(f'<?xml version="1.0"?>{inside}'.encode())
        assert "token" not in message


def test_a_200_mib_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.xml"
    with path.open("wb") as stream:
        stream.truncate(200 << 20)
    with pytest.raises(InputError, match="at most 128 MiB"):
        files.read(path)


def test_deep_nesting_is_refused():
    assert "deep" in refused(b"<a>" * 100_000)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "well-formed"),
        (b"<xmeml><sequence>", "well-formed"),
        (b"\x00\x01\x02PNG", "well-formed"),
        (b'<?xml version="1.0" encoding="no-such"?><xmeml/>', "well-formed"),
        (b"<fcpxml/>", "<fcpxml>"),
        (b"<xmeml/>", "sequence"),
        (b"<xmeml><sequence><media><audio/></media></sequence></xmeml>", "video track"),
        (document(""), "empty sequence"),
        (document(clip(), rate="<timebase>0</timebase>"), "frame rate above 0"),
        (document(clip(), rate="<timebase>-25</timebase>"), "frame rate above 0"),
        (document(clip(), rate="<timebase>nan</timebase>"), "frame rate above 0"),
        (document(clip(), rate="<timebase>1e99</timebase>"), "frame rate above 0"),
        (document(clip(), rate="<timebase>1/0</timebase>"), "frame rate above 0"),
        (document(clip(start="x")), "frame number"),
        (document(clip(end="nan")), "frame number"),
        (document(clip(end=10**30)), "frame number"),
        (document(clip(end=10**9)), "24 hours"),
    ],
)  # fmt: skip
def test_each_fault_has_its_message(data, says):
    assert says in refused(data)


def test_a_folder_and_a_missing_file_have_a_message(tmp_path):
    for path, message in ((tmp_path, "is a folder"), (tmp_path / "none.xml", "cannot be read")):
        with pytest.raises(InputError, match=message):
            files.read(path)


def test_overlapping_clips_are_cut_and_noted():
    timeline = files.parse(document(clip(1, 0, 100) + clip(2, 60, 120)))
    assert [(c.start, c.end) for c in timeline.clips] == [(0, 60), (60, 120)]
    assert "overlaps" in timeline.notes[0]


@pytest.mark.parametrize(
    ("when", "value"), [("nan", 5), (10, "nan"), ("x", 5), (10, "inf"), (10**30, 5)]
)
def test_keyframes_that_are_no_numbers_are_dropped_and_noted(when, value):
    timeline = files.parse(document(clip(filters=motion("scale", (0, 50), (when, value)))))
    values = sample(timeline).values
    assert np.isfinite(values).all()
    assert (values[:, 0, 2] == 50).all()
    assert "dropped" in timeline.notes[0]


def test_negative_keyframe_times_are_handles():
    timeline = files.parse(document(clip(filters=motion("scale", (-100, 0), (100, 100)))))
    assert sample(timeline).values[0, 0, 2] == 50


def test_a_missing_file_definition_is_noted():
    timeline = files.parse(document(clip(file='<file id="gone"/>')))
    assert "'gone' is not defined" in timeline.notes[0]
    assert sample(timeline).values[0, 0, 1] == 9
    again = files.parse(files.dumps(timeline))
    assert sample(again).values[0, 0, 1] == 9


def test_a_sequence_that_contains_itself_ends():
    inner = '<sequence id="s"/>'
    timeline = files.parse(document(clip(file=inner)))
    assert sample(timeline).values[0, 0, 1] == 8
    loop = document(clip(file='<sequence id="t"><name>t</name><rate><timebase>25</timebase></rate>'
                    "<media><video><track>" + clip(2, file='<sequence id="t"/>')
                    + "</track></video></media></sequence>"))  # fmt: skip
    timeline = files.parse(loop)
    assert any("contains itself" in note for note in timeline.notes)
    files.parse(files.dumps(timeline))


def test_edges_without_a_transition_are_told_from_the_media():
    timeline = files.parse(document(clip(1, 0, -1, 10, 60)))
    assert (timeline.clips[0].start, timeline.clips[0].end) == (0, 50)


def test_of_several_sequences_one_can_be_named():
    one = document(clip()).decode().split("<sequence", 1)[1].split("</xmeml>")[0]
    two = one.replace("<name>s</name>", "<name>t</name>", 1)
    both = f"<xmeml><project><children><sequence{one}<sequence{two}</children></project></xmeml>"
    assert files.parse(both.encode(), sequence="t").name == "t"
    with pytest.raises(InputError, match="'s', 't'"):
        files.parse(both.encode(), sequence="u")


def test_many_elements_are_read_in_reasonable_time():
    track = "".join(clip(n, 10 * n, 10 * n + 10, file=FILE if n == 0 else '<file id="f1"/>')
                    for n in range(5000))  # fmt: skip
    started = time.perf_counter()
    timeline = files.parse(document(track))
    assert len(sample(timeline).values) == 20_000
    assert time.perf_counter() - started < 10


def test_many_sequences_without_an_id_and_many_definitions_do_not_hang():
    inner = "<sequence><media><video/></media></sequence>"
    large = FILE.replace("<media>", "<x/>" * 10_000 + "<media>")
    track = clip(0, 0, 1, file=large)
    track += "".join(clip(n, n, n + 1, file=inner) for n in range(1, 4000))
    track += "".join(clip(n, n, n + 1) for n in range(4000, 8000))
    started = time.perf_counter()
    timeline = files.parse(document(track))
    files.dumps(timeline)
    assert time.perf_counter() - started < 10


def test_the_limit_is_on_bytes_too():
    with pytest.raises(InputError, match="at most"):
        safe.parse(b" " * (safe.MAX_BYTES + 1), "x")
