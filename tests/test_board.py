"""TensorBoard's custom-scalars page and the names of learning rates."""

import re
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.callbacks.board import group_names, layout
from tests.suite import run


def test_every_parameter_group_has_a_name_of_its_own():
    parts = {name: torch.nn.Linear(2, 2) for name in ("cascade", "agent", "adversary")}
    module = torch.nn.ModuleDict({"net": torch.nn.ModuleDict(parts), "rest": torch.nn.Linear(1, 1)})
    groups = [{"params": list(parts[name].parameters())} for name in ("cascade", "agent")]
    adam = torch.optim.Adam([*groups, {"params": [parts["adversary"].bias], "name": "critic"}])
    split = [[parts["adversary"].weight], [module["rest"].weight], [module["rest"].bias]]
    sgd = torch.optim.SGD([{"params": params} for params in split], lr=1.0)
    assert group_names(module, [adam, sgd]) == [
        ["net.cascade", "net.agent", "critic"],
        ["net.adversary", "rest", "rest.2"],
    ]


def test_the_page_begins_with_health_and_each_chart_finds_its_curves(tmp_path: Path):
    charts = "+charts.error=[val/rmse]"
    run(tmp_path, "+exp=smoke/waves", "test=false", "targets={test/rmse: '< 0.2'}", charts)
    events = EventAccumulator(str(tmp_path / "tb")).Reload()
    tags = events.Tags()["scalars"]
    page = layout("waves_smoke", ["level", "slope"], "val/rmse", {"error": ["val/rmse"]})
    assert list(page) == ["Health", "waves_smoke"]
    found = {
        title: [t for t in tags if any(re.match(p, t) for p in patterns)]
        for category in page.values()
        for title, (_, patterns) in category.items()
    }
    assert all(found.values()), found
    assert sorted(found["val/rmse, its baselines and target"]) == [
        "val/rmse", "val_baseline/rmse/average", "val_baseline/rmse/noisy", "val_target/rmse",
    ]  # fmt: skip
    assert events.Scalars("val_target/rmse")[0].value == torch.tensor(0.2)
    assert found["error"] == ["val/rmse"]
    layouts = [t for t in events.Tags()["tensors"] if "custom_scalars" in t]
    assert layouts, "the page was not written"


def test_two_experiments_keep_their_charts():
    """TensorBoard joins layouts by the names of their categories."""
    one, other = layout("one", ["a"], "val/x"), layout("other", ["b"], "val/y")
    assert set(one) & set(other) == {"Health"}
