"""The corpus: same bytes from the same seed, read back as meant, regularities as stated."""

import json

import numpy as np
import pytest

from experiments.shared.errors import InputError
from multitrack import baselines, corpus
from multitrack.edit.drivers import DRIVERS
from multitrack.edit.timeline import PARAMETERS, sample
from multitrack.editors.styles import style
from multitrack.xmeml import files


def test_the_same_numbers_give_the_same_bytes(tmp_path, small_corpus):
    corpus.make_corpus(
        tmp_path, {"train": 3, "val": 1, "test": 2, "heldout": 1}, styles=3, seconds=(20, 30)
    )
    for file in sorted(small_corpus.rglob("*")):
        if file.is_file():
            assert file.read_bytes() == (tmp_path / file.relative_to(small_corpus)).read_bytes()


def test_xml_reads_back_as_the_timeline_that_was_made():
    for number in range(5):  # one of each scene
        timeline, signals, about = corpus.make_edit(3, "train", number, styles=5, seconds=(30, 40))
        frames = sample(timeline)
        again = files.parse(files.dumps(timeline))
        assert again.notes == []
        np.testing.assert_array_equal(sample(again).values, frames.values)
        assert signals.shape == (about["ticks"], len(DRIVERS))
        assert len(frames.values) == about["ticks"]


def test_held_out_editors_are_unknown_to_training(small_corpus):
    files = json.loads((small_corpus / "manifest.json").read_text())["files"]
    editors = {split: {f["style"] for n, f in files.items() if n.startswith(split)}
               for split in ("train", "heldout")}  # fmt: skip
    assert not editors["train"] & editors["heldout"]
    assert style(0, 1) != style(0, 2)
    assert style(0, 1) == style(0, 1)


def test_the_truth_names_every_clip_that_shows():
    for number in range(5):
        timeline, _, about = corpus.make_edit(1, "val", number, styles=5, seconds=(40, 40))
        values = sample(timeline).values
        active = np.zeros(values.shape[:2], bool)
        for rule in about["rules"]:
            active[rule["from"] : rule["to"], rule["track"]] = True
        np.testing.assert_array_equal(active, values[..., 0] > 0)


def test_lower_thirds_last_as_long_as_the_editor_always_makes_them():
    _, _, about = corpus.make_edit(0, "train", 0, styles=4, seconds=(120, 120))
    lengths = {r["to"] - r["from"] for r in about["rules"] if r["rule"] == "R3"}
    assert style(0, about["style"]).lower_length in lengths
    assert len(lengths) <= 2  # one may be cut off by the edit's end


def test_the_wipe_is_a_straight_line_in_the_right_crop():
    for number in range(0, 20, 5):
        timeline, _, about = corpus.make_edit(0, "train", number, styles=4, seconds=(60, 60))
        values = sample(timeline).values
        for rule in (r for r in about["rules"] if r["rule"] == "R3"):
            wipe = values[rule["from"] : rule["to"], rule["track"], PARAMETERS.index("right")]
            length = style(0, about["style"]).wipe
            line = 100 * (1 - np.arange(len(wipe)) / length).clip(0)
            np.testing.assert_allclose(wipe, line, atol=11)  # key times are whole frames


@pytest.mark.parametrize("horizon", [1, 10])
def test_the_reference_lies_between_persistence_and_truth(horizon):
    from multitrack.edit.state import states

    for number in range(5):
        timeline, _, about = corpus.make_edit(2, "test", number, styles=5, seconds=(60, 60))
        values = sample(timeline).values
        past = states(values).carried[: len(values) - horizon]
        errors = [np.abs(past[..., 0] - values[horizon:, :, 0]).sum()]
        for driven in (False, True):
            best = baselines.reference(values, about["rules"], horizon, driven)
            errors.append(np.abs(best[horizon:, :, 0] - values[horizon:, :, 0]).sum())
        assert errors[0] >= errors[1] >= errors[2]
        if number != 3:  # what follows from history alone is rare in a reframed single take
            assert errors[0] > errors[1]


def test_a_command_makes_a_corpus(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv", ["corpus", str(tmp_path), "--timelines", "5", "--seconds", "10", "12"]
    )
    corpus.main()
    assert len(list(tmp_path.rglob("*.xml"))) == 5
    assert (tmp_path / "manifest.json").is_file()


def test_a_corpus_is_not_written_where_a_file_is(tmp_path, monkeypatch):
    (tmp_path / "out").write_text("mine")
    monkeypatch.setattr("sys.argv", ["corpus", str(tmp_path / "out"), "--timelines", "5"])
    with pytest.raises(InputError, match="out: is a file: expected a folder"):
        corpus.main()
    assert (tmp_path / "out").read_text() == "mine"
