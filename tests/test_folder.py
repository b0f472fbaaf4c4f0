"""A run's folder: named once, moved at will, never damaged by what is refused."""

import json
import shutil
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from omegaconf import OmegaConf

from experiments.running import compare
from experiments.running.again import file_name, merged, quoted, rewritten
from experiments.running.record import recorded
from experiments.shared.errors import InputError
from experiments.shared.folder import VERSION, Folder
from tests.suite import command, configuration, run

WORDS = ("+exp=smoke/waves", "test=false")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    run(folder, "+exp=smoke/waves")
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, elsewhere, with a space and a quote in its name."""
    return Path(shutil.copytree(finished, tmp_path / "it's a copy"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def weights(folder: Path, name: str = "best") -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def test_the_configuration_names_the_same_files(tmp_path: Path):
    config, place = configuration("+exp=smoke/waves", folder=tmp_path), Folder(tmp_path)
    for key, file in (("best", place.best), ("last", place.last)):
        own = config.callbacks[key]
        assert Path(own.dirpath) / f"{own.filename}.ckpt" == file
    assert config.callbacks.interrupt.path == str(place.last)
    board = config.logger.tensorboard
    assert Path(board.save_dir) / board.version == place.board


def test_a_summary_comes_back_as_it_was_written(tmp_path: Path):
    place = Folder(tmp_path)
    place.write({"name": "a", "metrics": {"val/x": float("nan"), "val/y": 1.0}})
    expected = {"version": VERSION, "name": "a", "metrics": {"val/x": None, "val/y": 1.0}}
    assert place.read() == expected
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize(
    ("text", "told"), [("{", "not valid"), ("[1]", "no summary"), ('{"version": 99}', "later")]
)
def test_a_summary_that_cannot_be_read_is_said(tmp_path: Path, text: str, told: str):
    Folder(tmp_path).summary.write_text(text)
    problems: list[str] = []
    assert "name" not in Folder(tmp_path).read(problems)
    assert told in problems[0]


def test_a_summary_says_where_when_and_on_what(finished: Path):
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["version"] == VERSION
    assert summary["host"]
    assert summary["device"]
    assert summary["started"] <= summary["ended"]
    assert summary["traceback"] is None
    assert str(finished) not in json.dumps({k: v for k, v in summary.items() if k != "command"})


def test_the_log_holds_what_was_printed(finished: Path):
    log = (finished / "run.log").read_text()
    assert "waves_smoke: " in log
    assert "epoch 1/1" in log
    assert "report: " in log


def test_the_log_is_what_a_terminal_shows_in_the_end(tmp_path: Path):
    before = sys.stdout
    with recorded(tmp_path / "run.log"):
        print("\x1b[1mbold\x1b[0m")
        print("10 %\r 50 %\rdone")
        print("Epoch 0 ━━━━╸ 3/4", end="\r\x1b[2K")
        print("unfinished", end="")
    assert sys.stdout is before
    assert (tmp_path / "run.log").read_text().splitlines()[1:] == ["bold", "done", "unfinished"]


class FailsIn(pl.Callback):
    """Fails in the first step; for the tests' own use."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        raise OSError(28, "No space left on device", "somewhere")


def test_a_failure_keeps_its_traceback_and_its_output(tmp_path: Path):
    with pytest.raises(OSError, match="No space"):
        run(tmp_path, *WORDS, "+callbacks.fails={_target_: tests.test_folder.FailsIn}")
    assert "in on_train_batch_start" in (tmp_path / "traceback.txt").read_text()
    assert "No space left" in (tmp_path / "run.log").read_text()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["status"], summary["traceback"]) == ("failed", "traceback.txt")


def test_what_is_refused_leaves_the_folder_as_it_was(copy: Path):
    before = contents(copy)
    told = r"data\.length: was 128, is 96\n  loss\.level: was 1\.0, is 3\n.*accept_changes=true"
    with pytest.raises(InputError, match=told):
        run(copy, *WORDS, "loss.level=3", "data.length=96", "trainer.max_epochs=2", "paths.data=x")
    assert contents(copy) == before


def test_a_change_that_is_accepted_is_recorded(copy: Path, capsys):
    run(copy, *WORDS, "loss.level=3", "trainer.max_epochs=2", "accept_changes=true")
    summary = json.loads((copy / "summary.json").read_text())
    assert summary["accepted_changes"] == [{"key": "loss.level", "was": 1.0, "now": 3}]
    assert "accepted: loss.level: was 1.0, is 3" in capsys.readouterr().out
    assert OmegaConf.load(copy / ".hydra" / "config.yaml").loss.level == 3


def test_another_width_is_one_line(copy: Path):
    wider = ("model.width=48", "trainer.max_epochs=2")
    with pytest.raises(InputError, match=r"model\.width"):
        run(copy, *WORDS, *wider)
    with pytest.raises(InputError, match=r"last\.ckpt does not fit the model as it is configured"):
        run(copy, *WORDS, *wider, "accept_changes=true")


def test_a_finished_run_is_moved_and_repeated(finished: Path, copy: Path):
    before = json.loads((finished / "summary.json").read_text())
    away = finished.with_name("away")
    finished.rename(away)  # what still looks for the old folder finds nothing there
    try:
        done = command(f"resume={copy}")
    finally:
        away.rename(finished)
    assert done.returncode == 0, done.stderr
    assert "dirpath has changed" not in done.stderr
    after = json.loads((copy / "summary.json").read_text())
    assert after["status"] == "completed"
    assert after["metrics"] == before["metrics"]
    assert after["objective"] == before["objective"]
    assert after["started"] == before["started"]


def test_what_follows_a_key_that_may_change_is_said(tmp_path: Path, capsys):
    words = ("+exp=smoke/molecular_flow", "seed=1")
    place = Folder(tmp_path)
    place.checkpoints.mkdir()
    place.last.touch()
    place.asked.mkdir()
    own = configuration(*words, folder=tmp_path)
    keys = [key for key in own if key != "hydra"]
    place.config.write_text(OmegaConf.to_yaml(OmegaConf.masked_copy(own, keys)))
    longer = configuration(*words, "trainer.max_epochs=7", folder=tmp_path)
    assert compare.check(longer, tmp_path) == []
    assert "model.schedule.total: was 1, is 7" in capsys.readouterr().out
    with pytest.raises(InputError, match="seed: was 1, is 2"):
        compare.check(configuration(words[0], "seed=2", folder=tmp_path), tmp_path)


# Starting from another run's weights


def test_a_warm_start_takes_the_weights_alone(finished: Path, tmp_path: Path, capsys):
    run(tmp_path, *WORDS, f"init_from='{finished}'", "model.optimizer.lr=0")
    assert f"begins with all weights of {finished}" in capsys.readouterr().out
    own, theirs = weights(tmp_path, "last"), weights(finished)
    assert all(torch.equal(own[name], value) for name, value in theirs.items())
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["steps"] == 2
    assert summary["init_from"]["step"] == 2
    assert summary["init_from"]["checkpoint"].endswith("best.ckpt")


def test_a_warm_start_of_parts_and_its_errors(finished: Path, tmp_path: Path):
    words = (*WORDS, f"init_from='{finished}'", "model.optimizer.lr=0")
    run(tmp_path / "part", *words, "init_parts=[network]")
    assert all(
        torch.equal(weights(tmp_path / "part", "last")[name], value)
        for name, value in weights(finished).items()
        if name.startswith("network.")
    )
    with pytest.raises(InputError, match=r"has no netwrk; it has: .*network"):
        run(tmp_path / "none", *words, "init_parts=[netwrk]")
    with pytest.raises(InputError, match="does not fit"):
        run(tmp_path / "wide", *words, "model.width=48")
    with pytest.raises(InputError, match="no checkpoint at"):
        run(tmp_path / "gone", *WORDS, "init_from=nowhere")


# The words of the command line


def test_resume_needs_nothing_retyped(finished: Path):
    words = rewritten([f"resume={finished}", "trainer.max_epochs=3"])
    assert words == [
        "+exp=smoke/waves", "trainer.max_epochs=3", f"hydra.run.dir={quoted(finished)}"
    ]  # fmt: skip


def test_new_words_win_over_the_runs_own():
    own = ["+exp=a", "loss.x=1", "+trainer.profiler=simple", "seed=3"]
    assert merged(own, ["loss.x=2", "trainer.profiler=null"]) == [
        "+exp=a", "seed=3", "loss.x=2", "+trainer.profiler=null"
    ]  # fmt: skip


def test_resume_of_what_is_no_run(tmp_path: Path):
    with pytest.raises(InputError, match="holds no run"):
        rewritten([f"resume={tmp_path}"])
    (tmp_path / "multirun.yaml").touch()
    with pytest.raises(InputError, match=r"is a sweep's folder.*hydra\.sweep\.dir"):
        rewritten([f"resume={tmp_path}"])


def test_names_of_job_folders_hold_what_differs():
    words = rewritten(["-m", "+exp=a", "loss.x=1,2", "seed=3", "hydra.sweep.dir=d"])
    assert words[-1] == "hydra.job.config.override_dirname.exclude_keys=[exp,seed]"


def test_different_overrides_have_different_folders():
    texts = ["data.root-a/b", "data.root-a-b", "x" * 300, "x" * 299, "", "loss.x-1"]
    names = [file_name(text) for text in texts]
    assert len(set(names)) == len(names)
    assert file_name("loss.x-1") == "loss.x-1"
    assert not any("/" in name or len(name) > 130 or not name for name in names)


def test_a_refused_run_removes_no_empty_folder_but_those_made_for_it(tmp_path, monkeypatch):
    from experiments.run import clear

    monkeypatch.chdir(tmp_path)
    for outputs, place, kept in (
        ("outputs", "outputs/name/run", "."),
        (".", "name/run", "."),
        (str(tmp_path / "mine"), "mine/name/run", "mine"),
        ("outputs", "mine/empty/run", "mine/empty"),
    ):
        (tmp_path / place).mkdir(parents=True)
        clear(tmp_path / place, Path(outputs))
        assert (tmp_path / kept).is_dir()
        assert not list((tmp_path / kept).iterdir()) or kept == "."
        assert not (tmp_path / place).exists()
        assert not (tmp_path / "outputs").exists()
