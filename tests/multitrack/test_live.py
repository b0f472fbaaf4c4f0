"""A recording switched while it runs: a decision a line, from what was heard so far."""

import io
import json

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from multitrack import live
from multitrack.corpus import make_edit
from multitrack.cutting.ear import Ear
from multitrack.cutting.latency import exported
from multitrack.cutting.model import read_earlier
from multitrack.cutting.settings import Settings
from multitrack.edit.floor import floor, noisy
from multitrack.edit.pace import FIELDS
from multitrack.examples.moments import FORETOLD
from multitrack.networks.hazard import CutHead
from multitrack.xmeml import files

YAML = "speakers: {ANN: {camera: V1}, BOB: {camera: V2}}\nwide: [V3]\nlongest: null\n"
HEADS = {"rule": None, "model": CutHead().eval()}


def talk(seed: int, turns: int = 12) -> np.ndarray:
    """Two speakers in turn (T, 2), each for 3 to 8 seconds."""
    lengths = np.random.default_rng(seed).integers(30, 80, turns)
    return np.concatenate([np.eye(2)[[n % 2] * length] for n, length in enumerate(lengths)])


def switcher(engine: str = "rule", **options) -> live.Live:
    people = {"ANN": {"camera": "V1"}, "BOB": {"camera": "V2"}}
    given = {"longest": None, "together": None, "silence": None, **options}
    return live.Live(Settings(speakers=people, wide=["V3"], **given), HEADS[engine])


def run(made: live.Live, speech: np.ndarray) -> list[live.Decision]:
    return [made.step({"ANN": float(a), "BOB": float(b)}) for a, b in speech]


@pytest.mark.parametrize("engine", HEADS)
def test_each_change_of_the_floor_is_cut_half_a_second_later(engine):
    speech = talk(0)
    found = [round(10 * d.time) for d in run(switcher(engine), speech) if d.cut][1:]
    changes = np.nonzero(np.diff(speech[:, 0]))[0] + 1
    np.testing.assert_allclose(found, changes + 5, atol=1)


@pytest.mark.parametrize("engine", HEADS)
def test_what_comes_later_changes_nothing_that_was_decided(engine):
    one, two = talk(1, 8), talk(1, 8)
    two[250:] = 1 - two[250:]
    assert run(switcher(engine), one)[:250] == run(switcher(engine), two)[:250]


@pytest.mark.parametrize("engine", HEADS)
def test_no_shot_is_too_short_and_no_camera_without_a_picture_shows(engine):
    rng = np.random.default_rng(2)
    made, seen = switcher(engine, shortest=1.5), []
    for row in noisy(talk(2), rng, errors=0.1):
        off = ["V2"] if 200 <= len(seen) < 300 else []
        seen.append(made.step({"ANN": float(row[0]), "BOB": float(row[1])}, off))
    assert "V2" not in {d.camera for d in seen[200:300]}
    cuts = np.array([n for n, d in enumerate(seen) if d.cut and not 195 <= n <= 305])
    assert (np.diff(cuts) >= 15).all()


def test_an_earlier_edit_gives_its_pace_but_for_what_is_said(tmp_path):
    timeline, signals, _ = make_edit(0, "train", 1, styles=48, seconds=(80, 90))
    files.write(timeline, tmp_path / "like.xml")
    np.savez(tmp_path / "like.drivers.npz", drivers=signals)
    like = read_earlier(tmp_path / "like.xml")
    least, lag = (int(like.pace.row[FIELDS.index(name)]) for name in ("least", "usual lag"))
    assert (least, lag) != (15, 5)
    people = {"ANN": {"camera": "V1"}, "BOB": {"camera": "V2"}}
    settings = Settings(speakers=people, longest=None, together=None, silence=None)
    for head in HEADS.values():
        made = live.Live(settings, head, like)
        assert (made.constants.shortest, made.constants.lag) == (least, lag)
        kept = live.Live(settings, head, like, ("shortest", "lag"))
        assert (kept.constants.shortest, kept.constants.lag) == (15, 5)
    speech = talk(0)
    found = [round(10 * d.time) for d in run(live.Live(settings, None, like), speech) if d.cut][1:]
    changes = np.nonzero(np.diff(speech[:, 0]))[0] + 1
    np.testing.assert_allclose(found, changes + lag, atol=1)


def test_the_floor_heard_tick_by_tick_is_the_floor():
    speech = noisy(talk(3, 30), np.random.default_rng(3)).astype(np.float32)
    ear = Ear(2, 4)
    for row in speech:
        ear.push(row)
    heard = ear.heard
    assert (heard.holder[: len(speech)] == floor(speech)).mean() > 0.98
    np.testing.assert_array_equal(heard.holder[len(speech) :], heard.holder[len(speech) - 1])


def test_a_long_shot_and_a_lull_show_the_wide_camera():
    speech = np.eye(2)[[0] * 200]
    assert "V3" in {d.camera for d in run(switcher(longest=10.0), speech)}
    quiet = np.concatenate([speech[:60], np.zeros((100, 2))])
    assert run(switcher(silence=4.0), quiet)[-1].camera == "V3"
    assert {d.camera for d in run(switcher(), quiet)} == {"V1"}


@pytest.mark.parametrize("form", ["json", "numbers"])
def test_lines_in_decisions_out(tmp_path, monkeypatch, capsys, form):
    (tmp_path / "s.yaml").write_text(YAML)
    rows = talk(4, 4)
    lines = [json.dumps({"ANN": a, "BOB": b}) if form == "json" else f"{a} {b}" for a, b in rows]
    monkeypatch.setattr("sys.argv", ["live", "--settings", str(tmp_path / "s.yaml")])
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    live.main()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [d["time"] for d in said] == [n / 10 for n in range(len(rows))]
    assert sum(d["cut"] for d in said) == 4


@pytest.mark.parametrize("line", ["{", "0.1", "a b", '{"EVE": 1}', '{"off": "V1"}', '{"ANN": "x"}',
                                  '{"ANN": NaN}', '{"off": ["V9"]}'])  # fmt: skip
def test_a_line_that_cannot_be_used_is_named(line):
    with pytest.raises(InputError, match=r"line 2: .*expected"):
        list(live.decisions(switcher(), ["0 1", line]))


@pytest.mark.parametrize("people", [{}, {"ANN": {"camera": "V1"}}, {key: {} for key in "ABCDE"}])
def test_settings_without_a_choice_are_refused(people):
    with pytest.raises(InputError, match="expected"):
        live.Live(Settings(speakers=people))


def test_an_untrained_head_foretells_what_the_habits_do():
    torch.manual_seed(0)
    moments = torch.rand(5, 7, HEADS["model"].moment[0].in_features)
    np.testing.assert_allclose(
        HEADS["model"](moments).sigmoid().detach(), moments[..., FORETOLD].clamp(0.003, 0.97),
        rtol=1e-4,
    )  # fmt: skip


@pytest.mark.slow
def test_the_head_says_the_same_in_onnx_runtime(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    head = CutHead().eval()
    torch.nn.init.normal_(head.moment[-1].weight)
    head.heeded.fill_(1)
    moments = torch.rand(9, head.moment[0].in_features)
    true = head(moments).detach()
    whole, small = (exported(head, tmp_path / f"{n}.onnx", int8=n > 0) for n in range(2))
    np.testing.assert_allclose(whole(moments), true, atol=1e-4)
    np.testing.assert_allclose(small(moments), true, atol=0.5)
    assert small(moments[:3]).shape == (3,)
