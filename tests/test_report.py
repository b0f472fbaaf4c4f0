"""The report tells the truth about whatever a folder holds, and needs nothing but the folder."""

import re
import subprocess
import sys

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from experiments.report import write_report
from experiments.reporting.published import CONF, read_published
from experiments.shared.errors import InputError
from experiments.shared.plots import new_figure
from tests.report_runs import make_run, row, write_events


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A complete run with a picture and a sound, and its two texts."""
    import soundfile

    folder = make_run(tmp_path_factory.mktemp("runs") / "one")
    (folder / "figures").mkdir()
    (folder / "audio").mkdir()
    new_figure()[0].savefig(folder / "figures" / "masks.png")
    soundfile.write(folder / "audio" / "output.wav", np.zeros(2400), 24000)
    path = write_report(folder)
    return folder, path.read_text(), (folder / "report.md").read_text()


def test_targets_are_judged_with_numbers(reported):
    _, _, text = reported
    assert row(text, "test/complementarity") == [
        "test/complementarity",
        ">= 0.8",
        "0.81",
        "**met**",
    ]
    assert row(text, "test/error")[2:] == ["0.25", "**missed by 0.05**"]
    assert row(text, "test/mean")[2:] == ["–", "not measured"]


def test_terms_have_first_last_change_and_share(reported):
    name, weight, first, lowest, _, percent, share = row(reported[2], "a")
    assert (name, weight, first, lowest) == ("a", "1", "1", "0.961")
    assert percent == "-3.8 %"
    assert share == "75.0 %"


def test_every_metric_stands_beside_its_baseline(reported):
    assert row(reported[2], "error")[1:] == ["0.991", "0.961", "0.25", "0.625"]


def test_published_numbers_stand_beside_ours_with_source_and_remark(reported):
    text = reported[2]
    name, published, epochs, there, last, remark = row(text, "complementarity, %")
    assert name.endswith("(val/complementarity)")
    assert (published, epochs) == ("75.4 → 86", "1 → 20")
    assert there == "75.9 (epoch 1)"  # ours after its first epoch: 0.75 + 0.001 * 9
    assert last == "78.9"
    assert "doing nothing" in remark
    assert read_published(CONF / "published" / "creative_agent.yaml").source in text


def test_a_warning_of_the_data_stands_before_the_first_section(reported):
    _, html, text = reported
    assert text.index("WARNING: codec untrained") < text.index("## ")
    assert '<p class="warning">WARNING: codec untrained</p>' in html


def test_command_configuration_and_efficiency_are_given(reported):
    text = reported[2]
    for expected in ("+exp=demo/x", "seed: 7", "1,234,567", "2.9 GiB", "1 min 01 s", "c0ffee"):
        assert expected in text


def test_html_needs_no_other_file_and_no_network(reported):
    folder, html, _ = reported
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    plain = html.replace("http://www.w3.org/2000/svg", "")  # a name, which is not looked up
    assert not re.search(r"https?://|file://|<script[^>]* src|<link|@import|url\(", plain)
    assert html.count("data:image/png") >= 4
    assert "data:audio/wav" in html
    assert str(folder) not in html


def test_markdown_pictures_exist(reported):
    folder, _, text = reported
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
    assert {"figures/masks.png", "figures/report_published.png"} <= set(pictures)
    assert all((folder / picture).is_file() for picture in pictures)


def test_reporting_again_does_not_take_its_own_plots_for_the_runs(reported):
    folder, html, _ = reported
    assert write_report(folder).read_text() == html


def test_milestones_end_with_the_last_epoch(tmp_path):
    folder = make_run(tmp_path / "run")
    board = SummaryWriter(str(folder / "tb"), filename_suffix=".test")
    board.add_scalar("test/error", 0.25, 40)
    board.add_scalar("epoch", 4, 40)  # Lightning counts the test after four epochs so
    board.close()
    text = write_report(folder).with_suffix(".md").read_text()
    assert row(text, "4")[:3] == ["4", "0.961", "1.966"]
    assert row(text, "change")[:3] == ["change", "-3.0 %", "-1.5 %"]


def test_what_says_how_sure_a_metric_is_stands_beside_it(tmp_path):
    metrics = {"error": 0.25, "error_se": 0.01, "iou": 0.5, "iou_low": 0.4, "iou_high": 0.6}
    metrics |= {"rare_iou": 0.3, "matched_error": 0.2, "matched_iou": 0.2, "task/error": 0.1}
    tags = {f"test/{name}": value for name, value in metrics.items()}
    folder = make_run(tmp_path / "run", metrics=tags, baselines={"a": {"error": 1.0, "iou": 0.1}})
    text = write_report(folder).with_suffix(".md").read_text()
    assert row(text, "error")[3:] == ["0.250 ± 0.01", "1"]
    assert row(text, "iou")[3:] == ["0.50 (0.40 to 0.60)", "0.1"]
    parts = re.findall(r"<summary>(\w+): \d metrics", text)
    assert parts == ["matched", "task"]
    assert text.index("| rare_iou") < text.index("<summary>") < text.index("| matched_error")
    assert "| error_se" not in text
    assert "| iou_low" not in text


def test_many_sparse_baselines_share_a_column(tmp_path):
    baselines = {f"b{i}": {"error": i} if i % 2 else {"complementarity": i} for i in range(6)}
    folder = make_run(tmp_path / "run", baselines=baselines)
    text = write_report(folder).with_suffix(".md").read_text()
    assert row(text, "error")[4] == "b1 1; b3 3; b5 5"


def test_an_unfinished_run_is_reported_from_its_events(tmp_path):
    text = write_report(make_run(tmp_path / "run", status=None)).with_suffix(".md").read_text()
    assert "No summary.json yet" in text
    assert "lowest val/error: 0.961" in text
    assert row(text, "test/error")[3] == "not measured (on validation data 0.961)"
    assert "python -m experiments.run +exp=demo/x loss.b=5" in text


def test_a_run_without_validation_or_events_says_so(tmp_path):
    folder = tmp_path / "run"
    write_events(folder, 0, 5, validate=False)
    text = write_report(folder).with_suffix(".md").read_text()
    assert "Missing in this folder: validation and test metrics" in text
    assert row(text, "a")[2] == "1"
    (tmp_path / "bare" / "tb").mkdir(parents=True)
    text = write_report(tmp_path / "bare").with_suffix(".md").read_text()
    assert "Missing in this folder: event files" in text


def test_events_cut_short_and_a_broken_summary_are_survived(tmp_path):
    folder = make_run(tmp_path / "run")
    (events,) = (folder / "tb").glob("events*")
    events.write_bytes(events.read_bytes()[:-1001])
    (folder / "summary.json").write_text('{"name": ')
    text = write_report(folder).with_suffix(".md").read_text()
    assert "summary.json is not valid JSON" in text
    assert row(text, "a")[2] == "1"


def test_nan_is_named_with_its_first_step(tmp_path):
    board = SummaryWriter(str(tmp_path / "tb"))
    for step, value in enumerate([1.0, 0.5, float("nan"), float("nan")]):
        board.add_scalar("train/total", value, step)
    board.close()
    text = write_report(tmp_path).with_suffix(".md").read_text()
    assert "train/total was NaN or infinite, first at step 2" in text


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_a_folder_without_a_run_is_refused(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "file":
        path.write_text("")
    elif kind == "empty":
        path.mkdir()
    with pytest.raises(InputError, match="expected"):
        write_report(path)


def test_the_command_line_names_the_fault_without_a_trace(tmp_path):
    command = [sys.executable, "-m", "experiments.report", str(tmp_path / "nothing")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: folders: ")
    assert "Traceback" not in done.stderr
