"""TensorBoard's HParams page, as its own server makes it, of two experiments in one folder."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import backend_context, list_session_groups
from tensorboard.plugins.hparams.api_pb2 import ListSessionGroupsRequest

from experiments.callbacks.study import swept
from experiments.shared.folder import Folder
from tests.suite import run


def page(logdir: Path) -> tuple[set[str], set[str], list]:
    """The names of the columns (asked, found), and the rows."""
    events = EventMultiplexer(tensor_size_guidance={"tensors": 0}).AddRunsFromDirectory(str(logdir))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(logdir))
    server = backend_context.Context(TBContext(data_provider=provider))
    context, metadata = RequestContext(), server.hparams_metadata(RequestContext(), "")
    experiment = server.experiment_from_metadata(context, "", True, metadata, [])
    request = ListSessionGroupsRequest(slice_size=100, allowed_statuses=[0, 1, 2, 3])
    for info in experiment.metric_infos:
        request.col_params.add().metric.CopyFrom(info.name)
    handler = list_session_groups.Handler(context, server, "", request)
    asked = {info.name for info in experiment.hparam_infos}
    found = {info.name.tag for info in experiment.metric_infos}
    return asked, found, list(handler.run().session_groups)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Two runs that differ in a learning rate, and one of another name and other overrides."""
    base = tmp_path_factory.mktemp("logdir")
    for rate in (0.01, 0.002):
        run(base / f"rate-{rate}", "+exp=smoke/waves", f"model.optimizer.lr={rate}")
    run(base / "other", "+exp=smoke/waves", "name=other", "model.width=8", "watch={}", "test=false")
    return base, *page(base)


def test_every_override_has_a_column_also_beside_another_experiment(rows):
    _, asked, _, sessions = rows
    assert {"exp", "model.optimizer.lr", "model.width", "loss.slope", "seed"} <= asked
    rates = {s.hparams["model.optimizer.lr"].number_value for s in sessions}
    assert {0.01, 0.002} <= rates
    assert len(sessions) == 3


def test_the_objective_stands_at_its_best_under_its_own_name_beside_the_test(rows):
    base, _, found, sessions = rows
    assert found == {"val/rmse", "test/rmse"}
    shown = {
        m.name.tag: m.value
        for s in sessions
        if s.hparams["model.optimizer.lr"].number_value == 0.002
        for m in s.metric_values
    }
    summary = Folder(base / "rate-0.002").read()
    assert shown["val/rmse"] == pytest.approx(summary["objective"]["best"])
    assert shown["test/rmse"] == pytest.approx(summary["metrics"]["test/rmse"])


def test_a_resumed_run_has_one_row_with_what_it_was_last_asked(tmp_path: Path):
    words = ("+exp=smoke/waves", "test=false")
    run(tmp_path, *words, "trainer.max_epochs=1")
    run(tmp_path, *words, "trainer.max_epochs=2")
    _, _, (session,) = page(tmp_path)
    assert session.hparams["trainer.max_epochs"].number_value == 2


def test_words_become_columns():
    config = {"loss": {"kl": 1e-6}, "trainer": {"devices": [0, 1]}, "test": None}
    words = ["+exp=demo/x", "loss.kl=1e-6", "~callbacks.speed", "trainer.devices=[0,1]",
             "test=null", "paths.data=/a", "hydra.run.dir=/b"]  # fmt: skip
    expected = {"exp": "demo/x", "loss.kl": 1e-6, "trainer.devices": "[0, 1]", "test": "null"}
    assert swept(words, config) == expected
