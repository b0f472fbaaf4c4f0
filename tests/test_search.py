"""A search: failed trials are failed, poor ones end early, a killed search goes on."""

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from experiments.report import write_report
from experiments.running.launch import Job
from experiments.running.places import Place
from experiments.running.studies import search as module
from experiments.running.studies.search import Plan, Search, open_study, plan_of
from experiments.running.studies.space import Range, rounded
from experiments.running.studies.together import work_off
from experiments.shared.errors import InputError
from experiments.shared.folder import SEARCH
from tests.report_runs import make_run
from tests.suite import CONF, SHIPPED, configuration

# What a trial does, without a training: (x - 1) ** 2 at the end, twice that before; above 5 it
# diverges, at 3 it is killed.
WORKS = """
import json, os, sys, time
folder, x = sys.argv[1], float(sys.argv[2])
if x == 3:
    os.kill(os.getpid(), 9)
if x > 5:
    open(folder + "/summary.json", "w").write('{"status": "diverged", "error": "loss is nan"}')
    sys.exit(2)
value = (x - 1) ** 2
history = [[step, value * (2 if step < 3 else 1)] for step in (1, 2, 3)]
open(folder + "/.pulse", "w").write(json.dumps({"history": history}))
time.sleep(float(sys.argv[3]))
objective = {"name": "val/x", "mode": "min", "best": value}
metrics = {"val/x": value, "val/leak": x}
summary = {"status": "completed", "objective": objective, "metrics": metrics}
open(folder + "/summary.json", "w").write(json.dumps(summary))
"""
LINGER_S = 0.0


class Quick(Job):
    def start(self, place: Place, log: bool) -> subprocess.Popen:
        self.folder.mkdir(parents=True, exist_ok=True)
        value = self.words[-1].split("=")[1]
        return subprocess.Popen([sys.executable, "-c", WORKS, self.folder, value, str(LINGER_S)])


@pytest.fixture(autouse=True)
def _quick_jobs(monkeypatch):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    nothing = OmegaConf.create({"overrides": {"task": [], "hydra": []}})
    monkeypatch.setattr(module, "HydraConfig", type("Hydra", (), {"get": lambda: nothing}))
    monkeypatch.setattr(module, "job_of", lambda c, f, name, words, h: Quick(f, name, words))


def plan(trials: int = 12, prune: bool = False, **objectives: str) -> Plan:
    space = {"x": FloatDistribution(0.1, 10, log=True)}
    return Plan(trials, objectives or {"val/x": "min"}, prune, 2, [], space, {"x": 2.0})


def begin(folder: Path, asked: Plan) -> Search:
    study = open_study(folder, asked, seed=3)
    if not study.trials:
        study.enqueue_trial(asked.own)
    return Search(study, asked, folder, OmegaConf.create({"name": "quick"}))


def run(work: Search) -> optuna.Study:
    work_off(work, [Place(0), Place(1)], fail_fast=False, alone=False)
    return work.study


def test_diverged_trials_are_failed_trials(tmp_path: Path):
    work = begin(tmp_path, plan())
    work.study.enqueue_trial({"x": 3.0})
    work.study.enqueue_trial({"x": 7.0})
    study = run(work)
    assert len(study.trials) == 12
    assert study.trials[0].params == {"x": 2.0}, "the experiment's own value first"
    for trial in study.trials:
        x = trial.params["x"]
        failed = x > 5 or x == 3
        assert trial.state == (TrialState.FAIL if failed else TrialState.COMPLETE)
        assert x == float(f"{x:.2g}"), "as in names and tables"
        assert trial.values == (None if failed else [pytest.approx((x - 1) ** 2)])
    assert {t.state for t in study.trials} == {TrialState.FAIL, TrialState.COMPLETE}
    assert len(run(begin(tmp_path, plan())).trials) == 12, "nothing is left to do"
    assert len(run(begin(tmp_path, plan(14))).trials) == 14, "extended"


def test_a_killed_search_goes_on_with_its_own_trials(tmp_path: Path):
    first = begin(tmp_path, plan(4))
    begun = [first.take(), first.take()]
    beside = begin(tmp_path, plan(4))
    taken = [beside.take(), beside.take()]
    assert not {job.folder for job in begun} & {job.folder for job in taken}, "two at once"
    assert beside.take() is None, "four are at work"
    for lock in first.locks.values():  # as the system does for a process that is gone
        lock.release()
    later = begin(tmp_path, plan(4))
    again = [later.take(), later.take()]
    assert [job.folder for job in again] == [job.folder for job in begun]
    assert [job.words for job in again] == [job.words for job in begun]


def test_a_poor_trial_ends_early(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "LINGER_S", 1.0)
    asked = plan(8, prune=True)
    work = begin(tmp_path, asked)
    for x in (1.0, 1.1, 1.2, 1.3, 0.9, 0.8, 4.9):
        work.study.enqueue_trial({"x": x})
    study = run(work)
    (poor,) = (trial for trial in study.trials if trial.params["x"] == 4.9)
    assert poor.state == TrialState.PRUNED
    assert TrialState.FAIL not in {trial.state for trial in study.trials}
    assert sum(trial.state == TrialState.COMPLETE for trial in study.trials) >= 5


def test_several_objectives_are_taken_as_named(tmp_path: Path):
    study = run(begin(tmp_path, plan(5, **{"val/x": "min", "val/leak": "max"})))
    for trial in study.get_trials(states=(TrialState.COMPLETE,)):
        x = trial.params["x"]
        assert trial.values == pytest.approx([(x - 1) ** 2, x])
    write_report(tmp_path)
    assert (tmp_path / "figures" / "report_search_front.png").is_file()
    with pytest.raises(InputError, match="begun with the objectives"):
        begin(tmp_path, plan(5))


def test_the_report_has_trials_and_plots_and_leaves_the_style_of_others(tmp_path: Path):
    style = dict(mpl.rcParams)
    run(begin(tmp_path, plan(8)))
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "loss is nan" in text
    for name in ("history", "slice", "parallel"):
        assert f"report_search_{name}.png" in text, name
    assert dict(mpl.rcParams) == style


def test_a_search_whose_database_is_damaged_is_reported_from_its_runs(tmp_path: Path):
    make_run(tmp_path / "000_x-1")
    (tmp_path / SEARCH).write_text("no database")
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert f"{SEARCH} cannot be read" in text
    assert "## Results" in text


@given(
    st.floats(1e-6, 1e3).flatmap(
        lambda low: st.tuples(st.just(low), st.floats(low * 1.01, low * 1e6), st.floats(0, 1))
    ),
    st.integers(1, 4),
)
def test_rounded_values_stay_in_their_range(drawn, digits: int):
    low, high, share = drawn
    value = low * (high / low) ** share
    found = rounded(min(max(value, low), high), FloatDistribution(low, high, log=True), digits)
    assert low <= found <= high
    assert found in (low, high) or found == float(f"{found:.{digits - 1}e}")


@pytest.mark.parametrize("experiment", SHIPPED)
def test_every_experiment_has_a_search(experiment: str, tmp_path: Path):
    config = configuration(f"+exp={experiment}", f"+hpo={experiment}", folder=tmp_path)
    found = plan_of(config, [f"+exp={experiment}"])
    assert found.space.keys() == OmegaConf.load(CONF / "hpo" / f"{experiment}.yaml").space.keys()
    assert any(key.startswith("loss.") for key in found.space)
    for key, value in found.own.items():
        assert found.space[key]._contains(found.space[key].to_internal_repr(value)), key


def test_what_is_asked_of_a_search_is_checked(tmp_path: Path):
    config = configuration("+exp=codec", "+hpo=codec", folder=tmp_path)
    assert "loss.mel" not in plan_of(config, ["loss.mel=3"]).space
    config.hpo.space = {"loss.mle": {"low": 1, "high": 2}}
    with pytest.raises(InputError, match=r"there is no loss\.mle"):
        plan_of(config, [])
    for wrong in ({"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True}, {"low": 1}):
        with pytest.raises(InputError, match="expected"):
            Range(**wrong).distribution("loss.mel")
