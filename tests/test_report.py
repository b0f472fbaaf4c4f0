"""The report tells the truth about whatever a folder holds, and needs nothing but the folder."""

import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from omegaconf import OmegaConf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from experiments.report import compare, write_report
from experiments.reporting.curves import Curve, downsample, smooth
from experiments.reporting.events import Run, read_run
from experiments.reporting.published import CONF, published_for, read_published
from experiments.reporting.targets import parse_target
from experiments.shared.errors import InputError
from experiments.shared.numbers import change, duration, number
from experiments.shared.plots import new_figure

FIGURES = sorted((CONF / "published").glob("*.yaml"))
STEPS_PER_EPOCH = 10


def write_events(folder, first, last, *, slope=0.001, validate=True):
    """Steps first..last-1 of terms a and b; one validation an epoch."""
    board = SummaryWriter(str(folder / "tb"))
    for step in range(first, last):
        for term, value in (("a", 1 - slope * step), ("b", 0.5), ("total", 2 - slope * step)):
            board.add_scalar(f"train/{term}", value, step)
        board.add_scalar("share/a", 0.75, step)
        board.add_scalar("share/b", 0.25, step)
        board.add_scalar("epoch", step // STEPS_PER_EPOCH, step)
        if validate and (step + 1) % STEPS_PER_EPOCH == 0:
            board.add_scalar("val/error", 1 - slope * step, step)
            board.add_scalar("val/complementarity", 0.75 + slope * step, step)
            board.add_scalar("lr/0", 1e-3, step)
            board.add_scalar("grad/norm_max", 3.0, step)
    board.close()


def make_run(
    folder, *, name="creative_agent_demo", weight=5, best=0.25, status="completed", **more
):
    """A folder as experiments.run leaves it; status None: killed, without a summary."""
    config = {
        "name": name,
        "published_as": None,
        "seed": 7,
        "objective": {"name": "val/error", "mode": "min"},
        "targets": {
            "test/complementarity": ">= 0.8",
            "test/error": "<= 0.2",
            "test/mean": "0.4..0.6",
        },
        "loss": {"a": 1.0, "b": float(weight)},
        "data": {"seed": "${seed}", "folder": "${hydra:runtime.output_dir}"},
    }
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(config), folder / ".hydra" / "config.yaml")
    OmegaConf.save(["+exp=demo/x", f"loss.b={weight}"], folder / ".hydra" / "overrides.yaml")
    write_events(folder, 0, 4 * STEPS_PER_EPOCH)
    if status is None:
        return folder
    summary = {
        "name": name,
        "status": status,
        "error": "the gradient norm is nan" if status == "diverged" else None,
        "objective": {
            "name": "val/error",
            "mode": "min",
            "best": best,
            "best_step": 29,
            "last": best,
        },
        "metrics": {"test/complementarity": 0.81, "test/error": 0.25},
        "baselines": {"persistence": {"error": 0.625, "complementarity": 0.75}},
        "loss_weights": config["loss"],
        "parameters": {"total": 1234567, "trainable": 1234000, "gate": 567},
        "data": {
            "source": "embedded",
            "hash": "c0ffee",
            "notes": ["WARNING: codec untrained", "n1"],
        },
        "throughput": {"samples_per_s": 40.0, "step_s_median": 0.4, "peak_rss_mb": 3000.0},
        "duration_s": 61.0,
        "steps": 40,
        "epochs": 4,
        "versions": {"torch": "2.11.0"},
        "command": "python -m experiments.run +exp=demo/x",
    }
    (folder / "summary.json").write_text(json.dumps(summary | more))
    return folder


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


def row(markdown, name):
    """The cells of the table row that begins with `name`."""
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


# --- one run --------------------------------------------------------------------------------------


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
    assert not re.search(r"https?://|file://|<script|<link|@import|url\(", html)
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
    assert row(text, "error")[3:] == ["0.25 ± 0.01", "1"]
    assert row(text, "iou")[3:] == ["0.5 (0.4 to 0.6)", "0.1"]
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


# --- incomplete folders ---------------------------------------------------------------------------


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
    assert done.stderr.startswith("error: no folder")
    assert "Traceback" not in done.stderr


# --- sweeps ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    make_run(folder / "0_loss.b-2", weight=2, best=0.3)
    make_run(folder / "1_loss.b-5", weight=5, best=0.1)
    make_run(folder / "2_loss.b-10", weight=10, best=0.05, status="diverged")
    make_run(folder / "10_loss.b-20", weight=20, best=0.2)
    (folder / "11_loss.b-40" / ".hydra").mkdir(parents=True)
    OmegaConf.save(["+exp=demo/x", "loss.b=40"], folder / "11_loss.b-40" / ".hydra/overrides.yaml")
    OmegaConf.save({"name": "creative_agent_demo"}, folder / "11_loss.b-40" / ".hydra/config.yaml")
    write_report(folder)
    return folder


def results(folder):
    lines = (folder / "report.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| run "))
    table = [line for line in lines[start + 2 :] if line.startswith("|")]
    return [[cell.strip("* ") for cell in line.strip("|").split("|")] for line in table]


def test_a_sweep_is_sorted_by_its_objective_and_shows_failed_jobs(sweep):
    rows = [(number, weight, status, best) for number, weight, status, best, *_ in results(sweep)]
    assert rows == [
        ("1", "5", "completed", "0.1"),
        ("10", "20", "completed", "0.2"),
        ("0", "2", "completed", "0.3"),
        ("2", "10", "diverged", "0.05"),
        ("11", "40", "unfinished", "–"),
    ]
    assert "the gradient norm is nan" in (sweep / "report.md").read_text()


def test_a_sweep_sorts_the_other_way_for_max(tmp_path):
    for job, best in enumerate([0.3, 0.1, 0.2]):
        objective = {"name": "val/error", "mode": "max", "best": best, "best_step": 9, "last": best}
        make_run(tmp_path / f"{job}_x", weight=job + 1, objective=objective)
    write_report(tmp_path)
    assert [best for _, _, _, best, *_ in results(tmp_path)] == ["0.3", "0.2", "0.1"]


def test_a_sweep_draws_curves_and_results_against_the_setting(sweep):
    assert {path.name for path in (sweep / "figures").iterdir()} == {
        "report_metrics.png",
        "report_terms.png",
        "report_against_1.png",
    }


def test_runs_from_anywhere_can_be_compared(tmp_path):
    ours = make_run(tmp_path / "a" / "ours", name="creative_agent_demo", best=0.2)
    theirs = make_run(tmp_path / "b" / "theirs", name="creative_agent_published", best=0.4)
    compare([theirs, ours], tmp_path / "out")
    assert [cells[1] for cells in results(tmp_path / "out")] == [
        "creative_agent_demo",
        "creative_agent_published",
    ]


# --- reading --------------------------------------------------------------------------------------


def test_a_resumed_run_has_one_curve_in_which_the_later_file_wins(tmp_path):
    write_events(tmp_path, 0, 25, slope=0.0)
    time.sleep(1.1)  # event files are ordered by the second in their names
    write_events(tmp_path, 20, 40, slope=0.01)
    curve = read_run(tmp_path).curves["train/a"]
    assert curve.steps.tolist() == list(range(40))
    assert curve.values[:20] == pytest.approx(np.ones(20))
    assert curve.values[20:] == pytest.approx(1 - 0.01 * np.arange(20, 40))
    assert read_run(tmp_path).curves["val/error"].steps.tolist() == [9, 19, 29, 39]


def test_what_the_resume_undid_is_gone_even_where_it_was_not_logged_again(tmp_path):
    write_events(tmp_path, 0, 30)
    time.sleep(1.1)
    write_events(tmp_path, 20, 25)
    assert read_run(tmp_path).curves["val/error"].steps.tolist() == [9, 19]


def test_a_hundred_thousand_points_are_read_in_seconds(tmp_path):
    (tmp_path / "tb").mkdir()
    with (tmp_path / "tb" / "events.out.tfevents.1").open("wb") as file:
        records = RecordWriter(file)
        for step in range(100_000):
            value = Summary.Value(tag="train/total", simple_value=step % 7)
            records.write(Event(step=step, summary=Summary(value=[value])).SerializeToString())
    start = time.process_time()
    curve = read_run(tmp_path).curves["train/total"]
    assert len(curve.steps) == 100_000
    thin = downsample(smooth(curve, 5), 1500)
    assert time.process_time() - start < 15
    assert len(thin.steps) <= 1502


def test_downsampling_keeps_the_extremes():

    values = np.zeros(10_000)
    values[4321], values[8765] = 5.0, -3.0
    thin = downsample(Curve(np.arange(10_000), values), 200)
    assert (thin.values.max(), thin.values.min()) == (5.0, -3.0)
    assert (thin.steps[0], thin.steps[-1]) == (0, 9999)
    assert (np.diff(thin.steps) > 0).all()


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">= 0.97", [0.97, 1, float(np.float32(0.97))], [0.9699, float("nan")]),
        ("<=0.01", [0.01, -1], [0.0101]),
        ("< 5", [4.999], [5, float("inf")]),
        ("> 1e-3", [0.0011], [0.001]),
        ("0.49..0.51", [0.49, 0.5, 0.51], [0.489, 0.511]),
        ("-2 .. -1.5", [-1.7], [-1.4]),
        ("0.50 +- 0.02", [0.48, 0.52], [0.47, 0.53]),
    ],
)
def test_target_expressions(text, inside, outside):
    target = parse_target(text)
    assert all(target.met(value) for value in inside)
    assert not any(target.met(value) for value in outside)


@pytest.mark.parametrize("text", ["about 3", ">= high", "0.6..0.4", "", "=> 3"])
def test_a_target_that_cannot_be_read_is_named(tmp_path, text):
    with pytest.raises(InputError, match="target"):
        parse_target(text)


def test_every_experiment_with_a_published_report_has_its_figures():
    assert {file.stem for file in FIGURES} == {
        "creative_agent", "radiodiff_vae", "molecular_flow", "multitrack"
    }  # fmt: skip


@pytest.mark.parametrize("file", FIGURES, ids=lambda file: file.stem)
def test_published_figures_are_well_formed(file):
    entry = read_published(file)
    assert entry.source
    assert entry.axis in ("epoch", "step")
    for row in entry.rows:
        assert row.points or row.range
        values = [*row.points.values(), *(row.range or ())]
        assert all(isinstance(v, int | float) for v in values), row.name  # 1e13 is text in YAML


def test_published_figures_that_cannot_be_read_are_named(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "{source: a report, axis: epoch, remark: '', rows: [{name: loss, colour: red}]}"
    )
    with pytest.raises(InputError, match=r"mine\.yaml.*colour"):
        read_published(file)


@pytest.mark.parametrize(
    ("name", "published_as", "overrides", "found"),
    [
        ("creative_agent_demo", None, [], True),
        ("creative_agent_published", None, [], True),
        ("mine", "creative_agent", [], True),
        ("smoke", None, ["+exp=published/creative_agent"], True),
        ("mine", None, ["+exp=mine"], False),
    ],
)
def test_which_published_entry_belongs_to_a_run(tmp_path, name, published_as, overrides, found):

    config = {"name": name, "published_as": published_as}
    entry = published_for(Run(tmp_path, config=config, overrides=overrides))
    file = CONF / "published" / "creative_agent.yaml"
    assert entry == (read_published(file) if found else None)


def test_numbers_are_short_and_exact_enough():
    values = [0, 1, 0.25, 1234.56, 123456, 1.5e13, 1e-6, 0.00012346, -0.5, None, float("nan")]
    shown = ["0", "1", "0.25", "1235", "123,456", "1.5e13", "1e-6", "0.0001235", "-0.5", "–", "NaN"]
    assert [number(value) for value in values] == shown
    assert change(2.0, 1.0) == "-50 %"
    assert change(-4.0, -3.0) == "+25 %"
    assert change(2.0, 50.0) == "x 25"
    assert [duration(s) for s in (0.4, 61, 3725)] == ["0.4 s", "1 min 01 s", "1 h 02 min"]
