"""From predictions to clips: runs, keys within their bound, longer XML that reads back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments.shared.errors import InputError, cli
from multitrack import corpus, infer
from multitrack.answer import pieces
from multitrack.answer.compose import Composer
from multitrack.edit.drivers import listen
from multitrack.edit.timeline import Timeline, sample
from multitrack.module import Multitrack
from multitrack.xmeml import files
from tests.multitrack.documents import FILE, RATE, clip, document, motion
from tests.multitrack.test_module import SIZES, WEIGHTS


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A module whose outputs are its own, as a run's checkpoint holds it."""
    torch.manual_seed(0)
    module = Multitrack(WEIGHTS, sizes=SIZES)
    torch.nn.init.normal_(module.network.head.weight, std=0.02)
    path = tmp_path_factory.mktemp("run") / "best.ckpt"
    torch.save(
        {
            "state_dict": module.state_dict(),
            "hyper_parameters": dict(module.hparams),
            "class": "multitrack.module.Multitrack",
            "pytorch-lightning_version": "2.6.0",
        },
        path,
    )
    return path


def command(monkeypatch, *arguments) -> None:
    monkeypatch.setattr("sys.argv", ["infer", *map(str, arguments)])
    infer.main()


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=60), st.floats(0.1, 5))
def test_simplified_keys_miss_by_no_more_than_the_slack(values, slack):
    values = np.array(values)
    keys = pieces.simplify(values, slack)
    line = np.interp(np.arange(len(values)), keys, values[keys])
    assert np.abs(line - values).max() <= slack + 1e-9
    assert {0, len(values) - 1} <= set(keys)


def test_hysteresis_ignores_flicker_and_keeps_runs():
    sure = np.array([0.9] * 10 + [0.2] * 2 + [0.9] * 8 + [0.1] * 10 + [0.9] * 2 + [0.1] * 8)[
        :, None
    ]
    on = pieces.hysteresis(sure, np.array([True]))[:, 0]
    assert pieces.runs(on) == [(0, 20)]


def test_disabled_clips_stay_where_nothing_is_put_and_a_fade_goes_with_its_end():
    off = "<enabled>FALSE</enabled>"
    fade = "<transitionitem><start>80</start><end>100</end><alignment>end-black</alignment>"
    fade += f"<rate>{RATE}</rate><effect><name>Cross Dissolve</name></effect></transitionitem>"
    kept = clip(2, start=120, end=150, last=30, enabled=off)
    timeline = files.parse(document(clip() + fade, kept))
    assert len(timeline.tracks[0].transitions) == 1
    start = 40
    going_on = np.repeat(sample(timeline).values[start - 1 : start], 30, 0)
    made = Composer(timeline).lay(going_on, going_on[:, :, 0], start)
    assert [(c.start, c.end) for c in made.tracks[1].clips] == [(120, 150)]
    assert [(c.start, c.end) for c in made.tracks[0].clips] == [(0, 175)]
    assert made.tracks[0].transitions == []


@pytest.mark.parametrize("end", [100, 101, 103])
def test_a_clip_that_ends_between_two_samples_runs_on_without_a_gap(end):
    timeline = files.parse(document(clip(end=end, last=end)))  # a sample every 2.5 frames
    true = sample(timeline).values
    going_on = np.repeat(true[-1:], 30, 0)
    made = Composer(timeline).lay(going_on, going_on[:, :, 0], len(true))
    (only,) = made.tracks[0].clips
    assert (only.start, only.end, only.first, only.last) == (0, made.duration, 0, made.duration)


def cut_and_laid(number: int) -> tuple[Timeline, Timeline, int]:
    """An edit, and what comes of laying its own values over it from sample 250, cut off there."""
    timeline, _, _ = corpus.make_edit(0, "test", number, styles=4, seconds=(40, 40))
    true = sample(timeline).values
    start = 250
    frame = int(start * timeline.rate.fps // 10)
    cutter = Composer(timeline)
    for track in cutter.timeline.tracks:
        cutter._clear(track, frame, timeline.duration)
    cutter.timeline.duration = frame
    made = Composer(cutter.timeline).lay(true[start:], true[start:, :, 0], start)
    return timeline, files.parse(files.dumps(made)), start


@pytest.mark.parametrize("number", range(5))
def test_laying_the_truth_over_a_cut_edit_gives_the_edit_back(number):
    """What was cut off the end comes back from its own values, but for which media it shows."""
    timeline, made, start = cut_and_laid(number)
    true, again = sample(timeline).values, sample(made).values
    assert len(again) == len(true)
    np.testing.assert_array_equal(again[:start], true[:start])
    # Classes never seen before are no clips; the camera before runs on where one had been.
    active = again[start:, :, 0] == true[start:, :, 0]
    assert active.mean() > 0.98
    both = (again[start:, :, 0] > 0) & (true[start:, :, 0] > 0)
    error = np.abs(again[start:] - true[start:])[both]
    steady = np.quantile(error, 0.97, axis=0)
    assert steady[2] <= 1.0
    assert (steady[3:5] <= 0.01).all()
    assert (steady[5:] <= 1.0).all()
    for track in made.tracks:
        for one, two in zip(track.clips, track.clips[1:], strict=False):
            assert one.end <= two.start


def test_laid_cameras_keep_their_sync_no_shot_is_a_flash_and_no_black_comes_in():
    errors = []
    for number in range(10):
        timeline, made, start = cut_and_laid(number)
        shown, before = (sample(t).values[start:, :, 0].any(1) for t in (made, timeline))
        assert not (before & ~shown).any()
        for own, track in zip(timeline.tracks, made.tracks, strict=False):
            for new in track.clips:
                if not new.id.startswith("clipitem-predicted") or new.kind != "video":
                    continue
                assert new.end - new.start >= 0.5 * timeline.rate.fps - 1
                meant = [c for c in own.clips if c.enabled]
                true = [c for c in meant if c.start < new.end and new.start < c.end]
                errors += [abs(new.first - new.start - (c.first - c.start)) for c in true[:1]]
    assert len(errors) > 20
    assert np.mean(np.array(errors) <= 1) >= 0.95


def test_a_forecast_makes_a_longer_xml_that_both_readers_read(
    tmp_path, monkeypatch, checkpoint, edit, capsys
):
    timeline, signals, _ = edit
    files.write(timeline, tmp_path / "in.xml")
    np.savez(tmp_path / "in.drivers.npz", drivers=signals)
    arguments = (tmp_path / "in.xml", tmp_path / "out.xml", "--checkpoint", checkpoint)
    command(monkeypatch, *arguments, "--ahead", 4)
    before, after = sample(timeline), sample(files.read(tmp_path / "out.xml"))
    assert len(after.values) == len(before.values) + 40
    np.testing.assert_array_equal(after.values[:400], before.values)
    assert after.values[400:, 0, 0].any()
    assert (tmp_path / "out.png").is_file()
    otio = pytest.importorskip("opentimelineio")
    if "fcp_xml" in otio.adapters.available_adapter_names():
        read = otio.adapters.read_from_file(str(tmp_path / "out.xml"), adapter_name="fcp_xml")
        assert read.duration().to_seconds() == pytest.approx(44, abs=0.2)


def test_a_file_alone_and_in_a_folder_gives_the_same_bytes(
    tmp_path, monkeypatch, checkpoint, capsys
):
    source = tmp_path / "in"
    source.mkdir()
    for number in range(2):
        made, _, _ = corpus.make_edit(0, "test", number, styles=4, seconds=(15, 20))
        files.write(made, source / f"{number}.xml")
    (source / "bad.xml").write_text("<xmeml>")
    with pytest.raises(InputError, match="1 of 3 files failed"):
        command(monkeypatch, source, tmp_path / "out", "--checkpoint", checkpoint, "--ahead", 0.5)
    command(monkeypatch, source / "1.xml", tmp_path / "one.xml", "--checkpoint", checkpoint,
            "--ahead", 0.5)  # fmt: skip
    assert (tmp_path / "out" / "1.xml").read_bytes() == (tmp_path / "one.xml").read_bytes()
    told = capsys.readouterr().out
    assert "skipped" in told
    assert not (tmp_path / "out" / "bad.xml").exists()
    (source / "bad.xml").unlink()
    command(monkeypatch, source, tmp_path / "out", "--checkpoint", checkpoint, "--ahead", 0.5)
    assert "already there" in capsys.readouterr().out


def test_an_infill_changes_nothing_outside_its_block(
    tmp_path, monkeypatch, checkpoint, edit, capsys
):
    timeline, _, _ = edit
    files.write(timeline, tmp_path / "in.xml")
    command(monkeypatch, tmp_path / "in.xml", tmp_path / "out.xml", "--checkpoint", checkpoint,
            "--infill", 12, 15, "--tracks", "V2,7")  # fmt: skip
    before, after = sample(timeline).values, sample(files.read(tmp_path / "out.xml")).values
    assert len(before) == len(after)
    outside = np.ones(before.shape[:2], bool)
    outside[120:150, [1, 6]] = False
    np.testing.assert_array_equal(before[..., 0][outside], after[..., 0][outside])
    np.testing.assert_allclose(before[outside][:, 2:], after[outside][:, 2:], atol=1e-4)


def test_int8_is_offered(tmp_path, monkeypatch, checkpoint, edit, capsys):
    files.write(edit[0], tmp_path / "in.xml")
    command(monkeypatch, tmp_path / "in.xml", tmp_path / "out.xml", "--checkpoint", checkpoint,
            "--int8", "--ahead", 0.5)  # fmt: skip
    assert "int8" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [("--ahead", 0), ("--infill", 5, 500), ("--infill", -1, 3), ("--infill", "nan", 3),
     ("--infill", 5, 8, "--tracks", "x"), ("--infill", 5, 8, "--tracks", ""), ("--tracks", "2")],
)  # fmt: skip
def test_wrong_arguments_have_messages(tmp_path, monkeypatch, checkpoint, edit, arguments):
    files.write(edit[0], tmp_path / "in.xml")
    with pytest.raises(InputError, match="expected"):
        command(monkeypatch, tmp_path / "in.xml", tmp_path / "out.xml", "--checkpoint", checkpoint,
                *arguments)  # fmt: skip
    assert not (tmp_path / "out.xml").exists()


@pytest.mark.parametrize(
    ("source", "target"),
    [("none.xml", "out.xml"), ("in.xml", "folder"), ("in.xml", "folder.xml"), ("in.xml", "out.png"),
     ("in.xml", "in.xml/out.xml"), ("folder", "in.xml"), ("folder", "in.xml/below")],
)  # fmt: skip
def test_wrong_paths_end_in_one_line_that_names_one(
    tmp_path, monkeypatch, checkpoint, edit, capsys, source, target
):
    files.write(edit[0], tmp_path / "in.xml")
    for folder in ("folder", "folder.xml"):
        (tmp_path / folder).mkdir()
    arguments = (tmp_path / source, tmp_path / target, "--checkpoint", checkpoint)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr("sys.argv", ["infer", *map(str, arguments), "--ahead", "0.5"])
    with pytest.raises(SystemExit) as caught:
        cli(infer.main)
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert said.count("\n") == 1
    assert str(tmp_path) in said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("rule", ["source", "sequence"])
@pytest.mark.parametrize("start", [20, 40])  # a clip that goes on, a new one
def test_positions_read_back_as_predicted_under_the_same_rule(rule, start):
    """A 3840 wide source on a 1080 wide canvas, its anchor off the middle."""
    file = FILE.replace("1920", "3840").replace("1080", "2160")
    anchor = motion("centerOffset", value="<horiz>0.1</horiz><vert>0</vert>")
    written = clip(end=50, last=50, file=file, filters=anchor)
    timeline = files.parse(document(written, size=(1080, 1920)))
    values = np.repeat(sample(timeline, rule=rule).values[-1:], 20, 0)
    values[:, 0, 3] = np.linspace(-0.05, 0.05, 20)
    values[:, 0, 4] = 0.25
    made = Composer(timeline, rule).lay(values, values[:, :, 0], start)
    again = sample(files.parse(files.dumps(made)), rule=rule).values[start:]
    pixels = np.abs(again - values)[:, 0, 3:5] * (1080, 1920)
    assert again[:, 0, 0].all()
    assert pixels.max() <= 3.5  # two for the straight line, the rest for whole frames


def test_bad_signals_have_a_message(tmp_path):
    (tmp_path / "a.drivers.npz").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="drivers"):
        infer.hear(tmp_path / "a.xml")
    np.savez(tmp_path / "b.drivers.npz", drivers=np.zeros((5, 2)))
    with pytest.raises(InputError, match="expected finite signals"):
        infer.hear(tmp_path / "b.xml")
    assert infer.hear(tmp_path / "c.xml") is None


def test_a_later_speech_changes_no_earlier_hearing():
    signals = np.random.default_rng(0).random((200, 11)).astype(np.float32).round()
    whole, part = listen(signals), listen(signals[:120])
    np.testing.assert_array_equal(whole.columns[:120], part.columns)
    np.testing.assert_array_equal(whole.ago[:120], part.ago)
