"""A finished run is tested on other data, and says what it cannot do."""

import json
from pathlib import Path

import pytest

import experiments
from experiments.evaluate import evaluate, parse
from experiments.shared.errors import InputError
from tests.suite import command, run


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "a run"
    run(folder, "+exp=smoke/waves")
    return folder


def test_other_data_give_other_numbers(finished: Path):
    quiet = evaluate(*parse([str(finished), "data.noise=0.01"]))
    assert quiet.name == "test_noise-0.01"
    own = json.loads((finished / "summary.json").read_text())
    said = json.loads((quiet / "summary.json").read_text())
    assert said["baselines"]["noisy"]["rmse"] < 0.1 * own["baselines"]["noisy"]["rmse"]
    assert not (quiet / "checkpoints").exists()


def test_validation_data_by_the_command(finished: Path):
    done = command(str(finished), "split=val", "as=again", module="experiments.evaluate")
    assert done.returncode == 0, done.stderr
    assert "val/rmse" in done.stdout
    said = json.loads((finished / "evaluation" / "again" / "summary.json").read_text())
    assert all(name.startswith("val/") for name in said["metrics"])
    assert list((finished / "evaluation" / "again" / "figures").glob("*.png"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "one run's folder"),
        (["nowhere"], "nowhere holds no run"),
        (["RUN", "split=train"], "expected test or val"),
        (["RUN", "loss.slope=3"], "no part of an evaluation"),
        (["RUN", "model.width=3"], "does not fit its model"),
        (["RUN", "model.with=3"], "no model.with"),
        (["RUN", "data.rot=x"], "no data.rot; there are: .*length"),
    ],
)
def test_what_cannot_be_evaluated_is_said(finished: Path, words: list[str], told: str):
    with pytest.raises(InputError, match=told):
        evaluate(*parse([str(finished) if word == "RUN" else word for word in words]))


def test_a_library_takes_other_data(finished: Path):
    _, data = experiments.load(finished, batch_size=1)
    assert data.batch_size == 1
    with pytest.raises(InputError, match=r"no data\.nose"):
        experiments.load(finished, nose=0.25)
