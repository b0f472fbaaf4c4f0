"""Sources and nested sequences: defined once, told apart, and noted where they are not there."""

import numpy as np
import pytest

from multitrack.answer.compose import Composer
from multitrack.edit.timeline import sample
from multitrack.xmeml import files
from tests.multitrack.documents import FILE, INNER, check_references, clip, document, rich


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
