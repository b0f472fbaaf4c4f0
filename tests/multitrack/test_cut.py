"""From recordings to a first cut: signals in, an edit out that programs and editors can use."""

import itertools
import json
from fractions import Fraction
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments.shared.errors import InputError
from multitrack import corpus, cut
from multitrack.cutting import model, signals, stack
from multitrack.cutting.hear import voices
from multitrack.cutting.report import shots
from multitrack.cutting.settings import load
from multitrack.cutting.switch import Cast, Constants, switch
from multitrack.edit.floor import floor, noisy
from multitrack.examples.moments import listening
from multitrack.module import Multitrack
from multitrack.networks.hazard import CutHead
from multitrack.xmeml import files
from tests.multitrack.documents import check_references
from tests.multitrack.test_module import SIZES, WEIGHTS


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    corpus.make_stacks(folder, 1, seconds=(60, 60))
    return folder / "stack_0000"


@pytest.fixture
def command(monkeypatch):
    def run(*arguments) -> None:
        monkeypatch.setattr("sys.argv", ["cut", *map(str, arguments)])
        cut.main()

    return run


def edges(data: bytes, medium: str) -> dict[str, tuple[int, int]]:
    root = ElementTree.fromstring(data)
    return {
        e.get("id"): (int(e.findtext("start")), int(e.findtext("end")))
        for e in root.iterfind(f".//{medium}/track/clipitem")
    }


def shown(timeline) -> list[tuple[int, int, str]]:
    """(start, end, camera) of what shows, in order."""
    clips = [c for c in timeline.clips if c.enabled]
    return [(c.start, c.end, c.name) for c in sorted(clips, key=lambda c: c.start)]


@pytest.mark.parametrize("losing", ["disable", "delete"])
def test_a_first_cut_is_whole_in_sync_and_linked_both_ways(recording, tmp_path, command, losing):
    out = tmp_path / "cut.xml"
    command(recording / "stack.xml", out, "--rttm", recording / "speakers.rttm",
            "--settings", recording / "settings.yaml", "--losing", losing,
            "--longest", 8)  # fmt: skip
    given, made = files.read(recording / "stack.xml"), files.read(out)
    assert made.notes == []
    data = out.read_bytes()
    check_references(data)
    video, audio = edges(data, "video"), edges(data, "audio")
    assert max(e for _, e in video.values()) == max(e for _, e in audio.values()) == made.duration
    spans = shown(made)
    assert spans[0][0] == 0
    assert spans[-1][1] == made.duration
    assert all(one[1] == two[0] for one, two in itertools.pairwise(spans))
    offsets = {c.name: c.first - c.start for c in given.clips}
    assert all(c.first - c.start == offsets[c.name] for c in made.clips)
    assert any(not c.enabled for c in made.clips) == (losing == "disable")
    root = ElementTree.fromstring(data)
    ends = {
        item.get("id"): {link.text for link in item.iterfind("link/linkclipref")}
        for item in root.iter("clipitem")
    }
    linked = {key: to for key, to in ends.items() if to}
    assert linked
    for key, to in linked.items():
        assert all(key in ends[other] for other in to)
        assert all({**video, **audio}[other] == {**video, **audio}[key] for other in to)
    assert out.with_suffix(".png").is_file()
    otio = pytest.importorskip("opentimelineio")
    if "fcp_xml" in otio.adapters.available_adapter_names():
        read = otio.adapters.read_from_file(str(out), adapter_name="fcp_xml")
        ends = [
            max(t.duration().to_seconds() for t in tracks if len(t))
            for tracks in (read.video_tracks(), read.audio_tracks())
        ]
        assert ends[0] == pytest.approx(ends[1], abs=1e-3)


def test_the_sound_of_the_microphones_tells_who_speaks_through_bleed(recording):
    names = sorted(path.stem for path in recording.glob("*.wav"))
    heard = voices([recording / f"{name}.wav" for name in names])
    spans = signals.rttm(recording / "speakers.rttm")
    true = np.stack([signals.on_ticks(spans[name.upper()], len(heard)) for name in names], 1)
    one, two = floor(heard), floor(true)
    assert (one[10:] == two[10:]).mean() > 0.93


def test_the_same_cut_comes_of_rttm_and_of_wavs(recording, tmp_path, command):
    ways = {
        "rttm": ("--rttm", recording / "speakers.rttm"),
        "wav": [a for w in recording.glob("*.wav") for a in ("--wav", f"{w.stem.upper()}={w}")],
    }
    found = {}
    for name, way in ways.items():
        out = tmp_path / f"{name}.xml"
        command(recording / "stack.xml", out, *way, "--settings", recording / "settings.yaml")
        found[name] = [span[0] for span in shown(files.read(out))]
    near = [min(abs(a - b) for b in found["wav"]) for a in found["rttm"]]
    assert np.mean(np.array(near) <= 12) > 0.7  # frames


def cast(cameras: int = 3, ticks: int = 600) -> Cast:
    return Cast([0, 1], [2], np.ones((ticks, cameras), bool))


def talk(*turns: tuple[int, int, int], ticks: int = 600) -> np.ndarray:
    speech = np.zeros((ticks, 2), np.float32)
    for speaker, begin, end in turns:
        speech[begin:end, speaker] = 1
    return speech


def test_the_rule_cuts_after_the_floor_passes_and_skips_what_is_over_soon():
    speech = talk((0, 0, 100), (1, 100, 108), (0, 108, 200), (1, 200, 600))
    made = switch(floor(speech), speech, cast(), Constants())
    assert shots(made) == [(0, 205, 0), (205, 600, 1)]


def test_several_at_once_or_nobody_for_long_are_seen_wide():
    speech = talk((0, 0, 200), (1, 150, 300), (0, 400, 600))
    made = switch(floor(speech), speech, cast(), Constants(together=20, silence=40))
    cameras = [camera for _, _, camera in shots(made)]
    assert cameras == [0, 2, 1, 2, 0]


def test_a_long_shot_is_interrupted_by_the_wide_or_a_listener():
    speech = talk((0, 0, 600))
    made = switch(floor(speech), speech, cast(), Constants(longest=200, wide_length=30))
    assert [shot[2] for shot in shots(made)] == [0, 2, 0, 2, 0]
    assert max(end - begin for begin, end, _ in shots(made)) <= 200
    reaction = Constants(reaction_after=100, reaction_length=20)
    made = switch(floor(speech), speech, cast(), reaction)
    assert {1} == {camera for _, _, camera in shots(made)} - {0}


def test_no_shot_is_too_short_and_a_camera_without_a_picture_is_never_shown():
    rng, ticks = np.random.default_rng(0), 2000
    people = cast(ticks=ticks)
    people.usable = np.repeat(rng.random((ticks // 100, 3)) > 0.3, 100, 0)
    people.usable[:, 2] = True
    speech = (rng.random((ticks // 5, 2)) > 0.5).repeat(5, 0).astype(np.float32)
    made = switch(floor(speech), speech, people, Constants(shortest=15))
    assert people.usable[np.arange(ticks), made].all()
    people.usable[:] = True
    made = switch(floor(speech), speech, people, Constants(shortest=15, together=20, silence=20))
    assert min(end - begin for begin, end, _ in shots(made)) >= 15


def test_noise_of_a_detector_moves_the_floor_little():
    speech = talk(*((n % 2, 60 * n, 60 * n + 60) for n in range(10)))
    heard = floor(noisy(speech, np.random.default_rng(0)))
    assert (heard == floor(speech)).mean() > 0.9


SRT = "1\n00:00:01,000 --> 00:00:03,000\nANN: hello\n\n2\n00:00:03,000 --> 00:00:04,500\n[BOB] hi\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:03.000\n<v ANN>hello</v>\n\n00:03.000 --> 00:04.500\nBOB: hi\n"


@pytest.mark.parametrize(("name", "text"), [("a.srt", SRT), ("a.vtt", VTT)])
def test_subtitles_name_their_speakers(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert signals.subtitles(tmp_path / name) == {"ANN": [(1.0, 3.0)], "BOB": [(3.0, 4.5)]}


def test_words_and_faces_are_read(tmp_path):
    words = [{"word": "a", "start": 1, "end": 1.4, "speaker": "ANN"},
             {"word": "b", "start": 1.6, "end": 2.0, "speaker": "ANN"}, {"word": "c"}]  # fmt: skip
    (tmp_path / "w.json").write_text(json.dumps({"segments": [{"words": words}]}))
    assert signals.words(tmp_path / "w.json") == {"ANN": [(1.0, 2.0)]}
    boxes = [[[0, 0, 1, 1]]] * 25 + [[]] * 50
    (tmp_path / "f.json").write_text(json.dumps({"V1": {"fps": 25, "boxes": boxes}}))
    seen = signals.read_faces(tmp_path / "f.json", 40)["V1"]
    assert seen[:10].all()
    assert not seen[10:30].any()
    assert seen[30:].all()


@pytest.mark.parametrize(
    ("option", "name", "text"),
    [("--rttm", "a.rttm", "SPEAKER x 1 soon"), ("--srt", "a.srt", "ANN: no times"),
     ("--words", "a.json", "[1]"), ("--words", "b.json", "{"), ("--faces", "f.json", '{"V1": 3}'),
     ("--settings", "s.yaml", "shorter: 2"), ("--settings", "t.yaml", "shortest: -1"),
     ("--settings", "u.yaml", "wide: [V9]"), ("--settings", "v.yaml", "losing: burn"),
     ("--settings", "w.yaml", "a: ["), ("--wav", "ANN=none.wav", None)],
)  # fmt: skip
def test_what_cannot_be_used_is_named(recording, tmp_path, command, option, name, text):
    if text is not None:
        (tmp_path / name).write_text(text)
        name = tmp_path / name
    more = [] if option in ("--rttm", "--wav", "--words", "--srt") else [
        "--rttm", recording / "speakers.rttm"
    ]  # fmt: skip
    with pytest.raises(InputError, match="expected"):
        command(recording / "stack.xml", tmp_path / "o.xml", option, name, *more)
    assert not (tmp_path / "o.xml").exists()


def test_media_files_are_laid_as_a_stack(tmp_path):
    av = pytest.importorskip("av")
    for name, size in (("a.mp4", (64, 48)), ("b.mp4", (128, 96))):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("mpeg4", rate=Fraction(30000, 1001))
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for _ in range(60):
                image = np.zeros((size[1], size[0], 3), np.uint8)
                for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
    cameras = [stack.named_file(f"A={tmp_path / 'a.mp4'}", "--camera"),
               stack.named_file(f"B={tmp_path / 'b.mp4'}@0.5", "--camera")]  # fmt: skip
    made = files.parse(files.dumps(stack.lay(cameras, [], "x")))
    assert (made.width, made.height, made.rate.ntsc) == (128, 96, True)
    assert [(c.start, c.end - c.start, c.first) for c in made.clips] == [(0, 60, 0), (15, 60, 0)]


def test_what_the_settings_leave_out_is_the_default_and_the_command_line_counts(tmp_path):
    (tmp_path / "s.yaml").write_text("shortest: 3\nspeakers: {ANN: {camera: V1}, BOB: }\n")
    made = load(tmp_path / "s.yaml", {"shortest": 2.0, "longest": None})
    assert (made.shortest, made.longest, made.speakers["BOB"]) == (2.0, 30.0, {})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A model whose cut head has learnt nothing but to follow the rule's prior."""
    torch.manual_seed(0)
    made = Multitrack(WEIGHTS, sizes=SIZES)
    path = tmp_path_factory.mktemp("run") / "best.ckpt"
    torch.save(
        {
            "state_dict": made.state_dict(),
            "hyper_parameters": dict(made.hparams),
            "class": "multitrack.module.Multitrack",
            "pytorch-lightning_version": "2.6.0",
        },
        path,
    )
    return path


def test_the_model_cuts_like_an_earlier_edit_and_says_where_the_rule_differs(
    recording, tmp_path, command, checkpoint, edit, capsys
):
    files.write(edit[0], tmp_path / "like.xml")
    np.savez(tmp_path / "like.drivers.npz", drivers=edit[1])
    signals_ = ("--rttm", recording / "speakers.rttm", "--settings", recording / "settings.yaml")
    out = tmp_path / "cut.xml"
    command(recording / "stack.xml", out, *signals_, "--by", "model", "--checkpoint", checkpoint,
            "--like", tmp_path / "like.xml")  # fmt: skip
    said = capsys.readouterr().out
    assert "model and rule differ" in said
    check_references(out.read_bytes())
    assert files.read(out).notes == []
    with pytest.raises(InputError, match="--by model and --checkpoint"):
        command(recording / "stack.xml", out, *signals_, "--by", "model")


@given(st.integers(0, 2**32 - 1))
def test_a_head_that_is_sure_of_anything_still_makes_a_cut_of_whole_shots(seed):
    """Never a camera without a picture, never a flash, the same again."""
    torch.manual_seed(seed)
    head = CutHead().eval()
    torch.nn.init.normal_(head.moment[-1].weight, std=3.0)
    head.heeded.fill_(1)
    rng = np.random.default_rng(seed)
    speech = (rng.random((40, 2)) > 0.5).repeat(15, 0).astype(np.float32)
    heard = listening(speech, len(speech))
    made = model.switch(heard, model.Director(head, cast(), Constants()))
    assert (made >= 0).all()
    assert min(end - begin for begin, end, _ in shots(made)) >= 15
    again = model.switch(heard, model.Director(head, cast(), Constants()))
    np.testing.assert_array_equal(made, again)
