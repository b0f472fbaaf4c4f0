"""Geometry, sampling and pictures of timelines."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError, cli
from multitrack import figures
from multitrack.answer.output import summary
from multitrack.edit.geometry import area, iou, rectangles
from multitrack.edit.timeline import Clip, Media, Rate, Timeline, Track, sample
from multitrack.show import main, table
from multitrack.xmeml import files


def raster(box: np.ndarray, size: int) -> np.ndarray:
    """Pixels of a `size` x `size` canvas whose centres lie in the box."""
    at = np.arange(size) + 0.5
    inside = [(at >= box[i]) & (at < box[i + 2]) for i in (0, 1)]
    return inside[1][:, None] & inside[0][None]


def test_iou_equals_a_brute_force_raster_on_1000_random_cases():
    rng, size = np.random.default_rng(0), 400
    worst = 0.0
    for _ in range(1000):
        cells = [
            rectangles(
                torch.tensor(rng.uniform(20, 200)),
                torch.tensor(rng.uniform(-0.4, 0.4, 2)),
                torch.tensor(rng.uniform(0, 45, 4)),
                torch.tensor(rng.uniform(100, 400, 2)),
                torch.tensor([float(size)] * 2, dtype=torch.float64),
            )
            for _ in range(2)
        ]
        one, two = (raster(c.numpy(), size) for c in cells)
        expected = (one & two).sum() / max(1, (one | two).sum())
        worst = max(worst, abs(float(iou(*cells)) - expected))
    assert worst <= 0.01


def test_a_rectangle_follows_the_formula():
    """Left = W/2 + x W - s w / 2 + s w l / 100 and so on, clipped to the canvas."""
    box = rectangles(
        torch.tensor(50.0),
        torch.tensor([0.1, 0.0]),
        torch.tensor([10.0, 20.0, 0.0, 50.0]),
        torch.tensor([1000.0, 800.0]),
        torch.tensor([1920.0, 1080.0]),
    )
    left = 960 + 192 - 250
    torch.testing.assert_close(box, torch.tensor([left + 50.0, 340.0, left + 400.0, 540.0]))
    assert float(area(box)) == 350 * 200


def test_the_anchor_moves_the_picture():
    """An anchor at the source's right edge shows the source to the left of the position."""
    rate = Rate(25)
    media = Media("f", "f", 400, 400)
    clip = Clip("c", "c", 0, 25, 0, 25, rate, media)
    from multitrack.edit.timeline import Curve

    clip.motion = {"anchor_x": Curve(0.5), "scale": Curve(50.0)}
    values = sample(Timeline("t", rate, 1000, 500, [Track([clip])], 25)).values
    assert values[0, 0, 3] * 1000 == -100


def test_every_sample_shows_the_frame_that_holds_its_instant():
    for base, ntsc in ((24, True), (59, False), (25, False)):
        rate = Rate(base, ntsc)
        clip = Clip("c", "c", base, 2 * base, 0, base, rate, Media("f", "f", 10, 10))
        values = sample(Timeline("t", rate, 100, 100, [Track([clip])], 3 * base)).values
        at = np.nonzero(values[:, 0, 0])[0] / 10 * float(rate.fps)
        assert (np.floor(at + 1e-9) >= base).all()
        assert (np.floor(at + 1e-9) < 2 * base).all()
        assert 9 <= len(at) <= 11


def test_the_command_prints_a_table_and_draws(tmp_path, edit):
    timeline, _, _ = edit
    files.write(timeline, tmp_path / "a.xml")
    png = tmp_path / "a.png"
    done = subprocess.run(
        [sys.executable, "-m", "multitrack.show", tmp_path / "a.xml", "--png", png],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "V1" in done.stdout
    assert png.read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "b.xml").write_text("<xmeml/>")
    done = subprocess.run(
        [sys.executable, "-m", "multitrack.show", tmp_path / "b.xml"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("xml", "png"),
    [("none.xml", "a.png"), (".", "a.png"), ("a.xml", "a.docx"),
     ("a.xml", "folder.png"), ("a.xml", "a"), ("a.xml", "a.xml/b.png")],
)  # fmt: skip
def test_wrong_paths_end_in_one_line_that_names_one(tmp_path, monkeypatch, edit, capsys, xml, png):
    files.write(edit[0], tmp_path / "a.xml")
    (tmp_path / "folder.png").mkdir()
    arguments = ["show", str(tmp_path / xml), "--png", str(tmp_path / png)]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as caught:
        cli(main)
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert said.count("\n") == 1
    assert str(tmp_path) in said


def test_the_picture_s_folder_is_made(tmp_path, monkeypatch, edit):
    files.write(edit[0], tmp_path / "a.xml")
    png = tmp_path / "none" / "a.png"
    monkeypatch.setattr("sys.argv", ["show", str(tmp_path / "a.xml"), "--png", str(png)])
    main()
    assert png.stat().st_size


def test_lanes_show_exactly_the_active_cells(edit):
    frames = sample(edit[0])
    image = figures.lanes({"edit": frames.values}).axes[0].images[0].get_array()
    tracks = image.shape[0]
    np.testing.assert_array_equal(image > 0, frames.values[:, :tracks, 0].T > 0)
    assert not frames.values[:, tracks:, 0].any()
    assert "V1" in table(edit[0])


def test_several_files_are_shown_the_good_among_the_bad(tmp_path, monkeypatch, edit, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "c"):
        files.write(edit[0], tmp_path / f"{name}.xml")
    (tmp_path / "b.xml").write_text("<xmeml/>")
    arguments = ["show", *(f"{name}.xml" for name in "abc"), "--rule", "sequence"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(InputError, match="1 of 3"):
        main()
    told = capsys.readouterr().out
    assert told.count("lanes: ") == 2
    assert "skipped: b.xml" in told


def test_many_notes_of_a_kind_are_one_line():
    notes = [f"V{n} clip 'c{n}': keyframes lie outside the clip" for n in range(500)]
    assert summary(["alone", *notes]) == ["alone", f"500 times such as: {notes[0]}"]
